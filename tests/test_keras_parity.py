"""Whole trainings against histories from Keras 3.15 on JAX.

Weights and data come from formulas, so that nothing here depends on random numbers; large
epsilons keep rounding errors from growing where a gradient is nearly 0. The numbers were printed
by this file (`KERAS_BACKEND=jax python tests/test_keras_parity.py`) beside Keras.
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
        "SGD(0.05, momentum=0.9, nesterov=True)",
        ["accuracy", "SparseTopKCategoricalAccuracy(2)"],
        {},
    ),
    "smoothed": (
        *("one_hot", 4, "softmax", "CategoricalCrossentropy(label_smoothing=0.1)"),
        "Adam(0.01, epsilon=1e-3, clipnorm=0.5)",
        [
            "accuracy",
            "Precision(0.3, name='precision')",
            "Recall(0.3, class_id=2, name='recall')",
            "mse",
        ],
        {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.0}},
    ),
    "binary": (
        *("binary", 1, "sigmoid", "binary_crossentropy"),
        "RMSprop(0.01, momentum=0.5, centered=True, epsilon=1e-3)",
        ["accuracy", "BinaryCrossentropy()"],
        {"sample_weight": WEIGHTS},
    ),
    "regression": (
        *("one_hot", 4, "tanh", "Huber(0.3)"),
        "AdamW(0.01, epsilon=1e-3)",
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
            layers.Dense(17, activation="gelu", kernel_regularizer=regularizers.L1L2(1e-3, 1e-2)),
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
        metrics=[eval(m, dict(vars(keras.metrics))) if "(" in m else m for m in metrics],
    )
    options = {"batch_size": 32, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    history = model.fit(X, TARGETS[target], validation_split=0.2, **options).history
    return {key: [float(v) for v in values] for key, values in history.items()}


GOLDEN = {
    "classifier": {
        "accuracy": [0.2625, 0.2625, 0.275],
        "loss": [1.644303, 1.614402, 1.590099],
        "sparse_top_k_categorical_accuracy": [0.525, 0.525, 0.525],
        "val_accuracy": [0.3, 0.25, 0.25],
        "val_loss": [1.596151, 1.582426, 1.58042],
        "val_sparse_top_k_categorical_accuracy": [0.6, 0.6, 0.55],
    },
    "smoothed": {
        "accuracy": [0.2625, 0.2625, 0.2625],
        "loss": [1.738031, 1.698334, 1.66976],
        "mse": [0.1938346, 0.1955256, 0.1972909],
        "precision": [0.2588235, 0.2625, 0.2625],
        "recall": [0.04761905, 0, 0],
        "val_accuracy": [0.3, 0.3, 0.3],
        "val_loss": [1.619664, 1.627029, 1.633336],
        "val_mse": [0.1907284, 0.193184, 0.1952529],
        "val_precision": [0.3, 0.3, 0.3],
        "val_recall": [0, 0, 0],
    },
    "binary": {
        "accuracy": [0.5125, 0.4625, 0.4625],
        "binary_crossentropy": [0.695901, 0.6980113, 0.7194115],
        "loss": [0.6829609, 0.6379994, 0.6130535],
        "val_accuracy": [0.5, 0.4, 0.4],
        "val_binary_crossentropy": [0.695172, 0.7466098, 0.780137],
        "val_loss": [0.638236, 0.6424516, 0.6421891],
    },
    "regression": {
        "cosine_similarity": [-0.1503043, -0.1382404, -0.102316],
        "loss": [0.3239644, 0.2987991, 0.2719355],
        "mae": [0.4888783, 0.4374593, 0.379051],
        "val_cosine_similarity": [-0.09647876, -0.08156466, -0.02750235],
        "val_loss": [0.3059248, 0.2793175, 0.2555343],
        "val_mae": [0.453623, 0.3974702, 0.3405159],
    },
    "hinge": {
        "hinge": [0.9376761, 0.9831684, 1.00325],
        "loss": [1.494076, 1.288113, 1.27364],
        "val_hinge": [0.9782035, 1.010012, 1.01099],
        "val_loss": [1.313143, 1.268819, 1.261178],
    },
}


@pytest.mark.parametrize("name", list(RUNS))
def test_history(name):
    history = train(weft, name)
    assert set(history) == set(GOLDEN[name])
    for key, values in GOLDEN[name].items():
        np.testing.assert_allclose(history[key], values, rtol=1e-4, atol=1e-5, err_msg=key)


if __name__ == "__main__":
    import keras

    for name in RUNS:
        print(f'    "{name}": {{')
        for key, values in train(keras, name).items():
            print(f'        "{key}": [{", ".join(f"{v:.7g}" for v in values)}],')
        print("    },")
