"""Whole trainings against histories from Keras 3.15 on JAX.

Weights and data come from formulas, so that nothing here depends on random numbers. The numbers
were printed by this file (`KERAS_BACKEND=jax python tests/test_keras_parity.py`) beside Keras.
"""

from __future__ import annotations

import numpy as np
import pytest

import weft

N = 100
X = np.cos(np.arange(N * 12) * 1.7).reshape(N, 12).astype(np.float32)
LABELS = (np.arange(N) * 7) % 11 % 4
TARGETS = {
    "labels": LABELS,
    "one_hot": np.eye(4, dtype=np.float32)[LABELS],
    "binary": (LABELS > 1).astype(np.float32)[:, None],
}
WEIGHTS = np.abs(np.sin(np.arange(N) * 0.3)).astype(np.float32)

# Targets, outputs, activation, loss, optimizer, metrics, options of fit.
RUNS = {
    "classifier": (
        *("labels", 4, "softmax", "sparse_categorical_crossentropy"),
        "SGD(0.1, momentum=0.9, nesterov=True)",
        ["accuracy", "SparseTopKCategoricalAccuracy(2)"],
        {},
    ),
    "smoothed": (
        *("one_hot", 4, "softmax", "CategoricalCrossentropy(label_smoothing=0.1)"),
        "Adam(0.01, clipnorm=0.5)",
        ["accuracy", "Precision(0.3)", "Recall(0.3, class_id=2)", "mse"],
        {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.0}},
    ),
    "binary": (
        *("binary", 1, "sigmoid", "binary_crossentropy"),
        "RMSprop(0.01, momentum=0.5, centered=True)",
        ["accuracy", "BinaryCrossentropy()"],
        {"sample_weight": WEIGHTS},
    ),
    "regression": (
        *("one_hot", 4, "tanh", "Huber(0.3)"),
        "AdamW(0.01)",
        ["mae", "cosine_similarity"],
        {},
    ),
    "hinge": (
        *("one_hot", 4, None, "CategoricalHinge()"),
        "Adagrad(0.1, global_clipnorm=0.5)",
        ["hinge"],
        {},
    ),
}


def train(keras, name):
    """The history of a run of RUNS with `keras`, which is Keras or weft."""
    target, outputs, activation, loss, optimizer, metrics, options = RUNS[name]
    scope = {**vars(keras.losses), **vars(keras.optimizers)}
    layers, regularizers = keras.layers, keras.regularizers
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Rescaling(0.5, offset=0.1),
            layers.Dense(
                17, activation="gelu", kernel_regularizer=regularizers.L1L2(1e-3, 1e-2)
            ),
            layers.Dense(9),
            layers.LeakyReLU(negative_slope=0.1),
            layers.Dense(
                outputs, activation=activation, activity_regularizer=regularizers.L2(1e-2)
            ),
        ]
    )
    model.set_weights(
        [
            np.sin(np.arange(np.prod(w.shape)) * 2.3 + i).reshape(w.shape) * 0.4
            for i, w in enumerate(model.weights)
        ]
    )
    model.compile(
        eval(optimizer, scope),
        eval(loss, scope) if "(" in loss else loss,
        [eval(m, dict(vars(keras.metrics))) if "(" in m else m for m in metrics],
    )
    options = {"batch_size": 32, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    history = model.fit(X, TARGETS[target], validation_split=0.2, **options).history
    return {key: [float(v) for v in values] for key, values in history.items()}


GOLDEN = {}


@pytest.mark.parametrize("name", list(RUNS))
def test_history(name):
    history = train(weft, name)
    assert set(history) == set(GOLDEN[name])
    for key, values in GOLDEN[name].items():
        np.testing.assert_allclose(history[key], values, rtol=2e-5, atol=1e-6, err_msg=key)


if __name__ == "__main__":
    import keras

    for name in RUNS:
        print(f'    "{name}": {{')
        for key, values in train(keras, name).items():
            print(f'        "{key}": [{", ".join(f"{v:.7g}" for v in values)}],')
        print("    },")
