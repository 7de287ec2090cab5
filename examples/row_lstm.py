"""MNIST read like text: an LSTM sees an image as 28 rows, one after the other from the top."""

from __future__ import annotations

from collections.abc import Sequence

import _options

import weft
from weft.layers import LSTM, Dense, Rescaling


def build_model() -> weft.Sequential:
    """The compiled network: uint8 images (N, 28 rows, 28) in, probabilities (N, 10) out."""
    model = weft.Sequential(
        [
            weft.Input((28, 28)),
            Rescaling(1 / 255),
            LSTM(128),  # its output after the last row
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options.parser(__doc__, epochs=15, batch_size=128).parse_args(arguments)
    weft.utils.set_random_seed(options.seed)

    mnist = weft.datasets.mnist
    (x_train, y_train), (x_test, y_test) = _options.load(mnist.load_data, options.limit)

    model = build_model()
    model.summary()
    model.fit(x_train, y_train, batch_size=options.batch_size, epochs=options.epochs)
    _, accuracy = model.evaluate(x_test, y_test, batch_size=1000, verbose=0)
    print(f"Test accuracy {accuracy:.4f} on {len(x_test):,} images")


if __name__ == "__main__":
    main()
