"""Models that are saved and copied, and the ways to do it."""

from __future__ import annotations

import copy
import pickle

import numpy as np

import weft
from weft import layers, ops

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 8)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 60)

OPTIMIZERS = {
    "sgd": lambda: weft.optimizers.SGD(0.1),
    "momentum": lambda: weft.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0),
    "rmsprop": lambda: weft.optimizers.RMSprop(0.01, centered=True, momentum=0.5),
    "adamw": lambda: weft.optimizers.AdamW(
        weft.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9), weight_decay=0.01
    ),
}


class Double(layers.Layer):
    """A layer of one's own."""

    def call(self, inputs):
        return inputs * 2.0


class Halves(weft.initializers.Initializer):
    """An initializer of one's own."""

    def __call__(self, shape, dtype=None):
        return np.full(shape, 0.5, np.float32)


def squash(x):
    return ops.tanh(x) * 0.5


def squared(y_true, y_pred):
    return ops.square(y_true - y_pred)


def make_model(optimizer="adamw"):
    weft.utils.set_random_seed(3)
    model = weft.Sequential(
        [
            weft.Input((8,)),
            layers.Dense(16, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            weft.Sequential([layers.Dense(5, activation="tanh")]),
            layers.Dense(3, activation="softmax", trainable=False),
        ]
    )
    metrics = ["accuracy", weft.metrics.SparseTopKCategoricalAccuracy(2)]
    loss = weft.losses.SparseCategoricalCrossentropy()
    model.compile(OPTIMIZERS[optimizer](), loss, metrics=metrics, weighted_metrics=["accuracy"])
    return model


def train(model, epochs=2):
    return model.fit(X, LABELS, batch_size=16, epochs=epochs, verbose=0).history


def saved(model, path):
    model.save(path)
    return weft.models.load_model(path)


WAYS = {
    "file": lambda model, folder: saved(model, folder / "model.keras"),
    "copy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
}


class Stack(weft.Sequential):
    """A Sequential of one's own."""


class Net(weft.Sequential):
    """A Sequential of one's own that makes its layers by itself."""

    def __init__(self, units):
        super().__init__([weft.Input((8,)), layers.Dense(units), layers.Dense(3)])


class Scale(layers.Layer):
    """A layer of one's own with an argument that its configuration does not hold."""

    def __init__(self, factor=5.0):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


class Sized(layers.Layer):
    """A layer of one's own with a tuple."""

    def __init__(self, size=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        return inputs * (2.0 if self.size == (2, 2) else 3.0)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def check_all_ways(model, tmp_path, own=None):
    """The model, trained, goes on in all ways to keep it as it would by itself."""
    train(model)
    model.save(tmp_path / "m")
    others = [
        weft.models.load_model(tmp_path / "m", custom_objects=own),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ]
    history = train(model)
    for other in others:
        assert type(other) is type(model)
        assert train(other) == history
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    return others


def compiled(model, optimizer="adam", **options):
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model
