"""A convolutional autoencoder: digits pressed into a short code and drawn again from it.

Strided convolutions shrink an image of 784 pixels to a code of 7 x 7 x 4 = 196 numbers, transposed
convolutions draw it again. Nobody tells the network which digit it sees: its target is its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import _options
import numpy as np

import weft
from weft.layers import Conv2D, Conv2DTranspose


def build_model() -> weft.Sequential:
    """The compiled network: images (N, 28, 28, 1) from 0 to 1 in, the same out."""
    model = weft.Sequential(
        [
            weft.Input((28, 28, 1)),
            Conv2D(16, 3, strides=2, padding="same", activation="relu"),  # to 14 x 14
            Conv2D(32, 3, strides=2, padding="same", activation="relu"),  # to 7 x 7
            Conv2D(4, 3, padding="same", name="code"),
            Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),  # to 14 x 14
            Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),  # to 28 x 28
        ]
    )
    # Each pixel is taken for the probability of ink. Trained towards the least squared error, a
    # network this narrow starts with black pictures and stays there for a long time.
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["mean_squared_error"])
    return model


def scale(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """uint8 (N, 28, 28) as float32 (N, 28, 28, 1) from 0 to 1."""
    return images[..., None].astype(np.float32) / 255


def plot(file: str, images: np.ndarray[Any, Any], drawn: np.ndarray[Any, Any]) -> None:
    """A picture of some images (N, 28, 28, 1), what was drawn of each below it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(len(images), 2.2), layout="constrained")
    rows = figure.subplots(2, len(images), squeeze=False)
    for row, pictures in zip(rows, (images, drawn), strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture[..., 0], cmap="gray_r", vmin=0, vmax=1)
            axes.axis("off")
    figure.savefig(file, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _options.parser(__doc__, epochs=10, batch_size=128)
    parser.add_argument("--plot", metavar="FILE", help="draw digits and reconstructions into it")
    options = parser.parse_args(arguments)
    weft.utils.set_random_seed(options.seed)

    (train_images, _), (test_images, _) = _options.load(
        weft.datasets.mnist.load_data, options.limit
    )
    x_train, x_test = scale(train_images), scale(test_images)

    model = build_model()
    model.summary()
    model.fit(x_train, x_train, batch_size=options.batch_size, epochs=options.epochs)
    loss, error = model.evaluate(x_test, x_test, batch_size=1000, verbose=0)
    print(f"Test loss {loss:.4f}, mean squared error {error:.5f} on {len(x_test):,} images")
    if options.plot is not None:
        shown = x_test[:12]
        plot(options.plot, shown, model.predict(shown, verbose=0))
        print(f"Plot      {options.plot}")


if __name__ == "__main__":
    main()
