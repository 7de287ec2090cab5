"""MNIST with a small convolutional network: two convolutions, each followed by max-pooling."""

from __future__ import annotations

from collections.abc import Sequence

import _options

import weft
from weft.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Rescaling


def build_model() -> weft.Sequential:
    """The compiled network: uint8 images (N, 28, 28, 1) in, probabilities (N, 10) out."""
    model = weft.Sequential(
        [
            weft.Input((28, 28, 1)),
            Rescaling(1 / 255),
            Conv2D(32, 3, activation="relu"),  # 28 x 28 to 26 x 26: no padding
            MaxPooling2D(2),  # to 13 x 13
            Conv2D(64, 3, activation="relu"),  # to 11 x 11
            MaxPooling2D(2),  # to 5 x 5, the last row and column are left out
            Dropout(0.5),
            Flatten(),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options.parser(__doc__, epochs=20, batch_size=128).parse_args(arguments)
    weft.utils.set_random_seed(options.seed)

    mnist = weft.datasets.mnist
    (x_train, y_train), (x_test, y_test) = _options.load(mnist.load_data, options.limit)
    x_train, x_test = x_train[..., None], x_test[..., None]  # one channel

    model = build_model()
    model.summary()
    model.fit(x_train, y_train, batch_size=options.batch_size, epochs=options.epochs)
    _, accuracy = model.evaluate(x_test, y_test, batch_size=1000, verbose=0)
    print(f"Test accuracy {accuracy:.4f} on {len(x_test):,} images")


if __name__ == "__main__":
    main()
