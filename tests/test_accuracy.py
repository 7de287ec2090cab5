"""The networks of the lecture that weft came from reach the lecture's test accuracies."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import layers

pytestmark = pytest.mark.long

# Units of the hidden layers, and the accuracy on the test images that the lecture reports.
LECTURE = [
    ((), 0.8911),
    ((50,), 0.9380),
    ((200,), 0.9437),
    ((1000,), 0.9462),
    ((500, 500), 0.9529),
]


@pytest.fixture(scope="module")
def digits():
    """The first 6,000 training images and all test images, divided by 255 and centred."""
    (x, y), (x_test, y_test) = weft.datasets.mnist.load_data()
    x = x[:6000].reshape(-1, 784) / 255
    x_test = x_test.reshape(-1, 784) / 255
    mean = x.mean(axis=0)
    return (
        (x - mean).astype(np.float32),
        weft.utils.to_categorical(y[:6000], 10),
        (x_test - mean).astype(np.float32),
        weft.utils.to_categorical(y_test, 10),
    )


@pytest.mark.parametrize(("hidden", "accuracy"), LECTURE, ids=lambda value: str(value))
def test_lecture_network(digits, hidden, accuracy):
    x, y, x_test, y_test = digits
    weft.utils.set_random_seed(0)
    model = weft.Sequential([weft.Input((784,))])
    for units in hidden:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        weft.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        x,
        y,
        batch_size=50,
        epochs=100,
        verbose=0,
        validation_split=0.1,
        callbacks=[weft.callbacks.EarlyStopping("val_accuracy", min_delta=1e-4, patience=5)],
    )
    assert model.evaluate(x_test, y_test, verbose=0)[1] > accuracy - 0.01
