"""Fashion-MNIST with four networks: dense or convolutional, without dropout or with it.

Ten kinds of clothes are harder to tell apart than digits. Convolutions see the shapes that dense
layers miss, and dropout keeps either from learning the training images by heart.
"""

from __future__ import annotations

from collections.abc import Sequence

import _options

import weft
from weft.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Rescaling

NETWORKS = ("dense", "dense-dropout", "cnn", "cnn-dropout")


def build_model(network: str) -> weft.Sequential:
    """The compiled network: uint8 images (N, 28, 28, 1) in, probabilities (N, 10) out."""
    dropout = network.endswith("dropout")
    model = weft.Sequential([weft.Input((28, 28, 1)), Rescaling(1 / 255)])
    if network.startswith("cnn"):
        model.add(Conv2D(32, 3, padding="same", activation="relu"))
        model.add(MaxPooling2D(2))  # 28 x 28 to 14 x 14
        model.add(Conv2D(64, 3, padding="same", activation="relu"))
        model.add(MaxPooling2D(2))  # to 7 x 7
        if dropout:
            model.add(Dropout(0.5))
        model.add(Flatten())
        model.add(Dense(128, activation="relu"))
    else:
        model.add(Flatten())
        for _ in range(2):
            model.add(Dense(128, activation="relu"))
            if dropout:
                model.add(Dropout(0.2))
    model.add(Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _options.parser(__doc__, epochs=10, batch_size=64)
    parser.add_argument("--network", choices=NETWORKS, default="cnn-dropout", help="which one")
    options = parser.parse_args(arguments)
    weft.utils.set_random_seed(options.seed)

    fashion_mnist = weft.datasets.fashion_mnist
    (x_train, y_train), (x_test, y_test) = _options.load(fashion_mnist.load_data, options.limit)
    x_train, x_test = x_train[..., None], x_test[..., None]  # one channel

    model = build_model(options.network)
    model.summary()
    model.fit(x_train, y_train, batch_size=options.batch_size, epochs=options.epochs)
    _, accuracy = model.evaluate(x_test, y_test, batch_size=1000, verbose=0)
    print(f"Test accuracy {accuracy:.4f} on {len(x_test):,} images")

    answers = model.predict(x_test, batch_size=1000, verbose=0).argmax(axis=1)
    for label, name in enumerate(fashion_mnist.CLASS_NAMES):
        chosen = y_test == label
        if chosen.any():
            print(f"  {name:<12} {(answers[chosen] == label).mean():.2f}")


if __name__ == "__main__":
    main()
