"""A small classifier, data for it, and what it computes in float64 NumPy."""

from __future__ import annotations

import numpy as np

import weft
from weft import layers

_RNG = np.random.default_rng(5)
X = _RNG.normal(size=(50, 6)).astype(np.float32)
LABELS = _RNG.integers(0, 4, size=50)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
TARGETS = _RNG.normal(size=(50, 1)).astype(np.float32)
WEIGHTS = _RNG.uniform(0.1, 2, size=50).astype(np.float32)


def classifier(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=("accuracy",)):
    weft.utils.set_random_seed(11)
    model = weft.Sequential(
        [
            weft.Input((6,)),
            layers.Dense(8, activation="tanh"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def probabilities(model, x=X):
    """The outputs in float64."""
    k1, b1, k2, b2 = [w.astype(np.float64) for w in model.get_weights()]
    logits = np.tanh(x @ k1 + b1) @ k2 + b2
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def cross_entropy(model, rows=slice(None)):
    p = probabilities(model)[rows]
    return -np.log(p[np.arange(len(p)), LABELS[rows]])
