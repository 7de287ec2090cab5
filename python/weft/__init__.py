"""weft: trains neural networks on hand-written kernels, behind the API of Keras.

    import weft as keras

    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=128, epochs=5)

Programs that write `tf.keras` run with `import weft as tf`.
"""

import sys as _sys

from weft import (
    _core,
    _names,
    activations,
    backend,
    callbacks,
    config,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    preprocessing,
    random,
    regularizers,
    saving,
    utils,
)
from weft.graph import Variable
from weft.layers import Input, Layer
from weft.losses import Loss
from weft.metrics import Metric
from weft.models import Model, Sequential
from weft.optimizers import Optimizer

__all__ = [
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Sequential",
    "Variable",
    "__version__",
    "_core",
    "activations",
    "backend",
    "callbacks",
    "config",
    "datasets",
    "initializers",
    "keras",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "utils",
]

__version__ = _core.__version__

# `import weft as tf` serves programs that write tf.keras. The modules are entered under both
# names, or `from weft.keras.layers import Dense` would load a second copy of every class.
keras = _sys.modules[__name__]
for _name in [_name for _name in _sys.modules if _name == "weft" or _name.startswith("weft.")]:
    _sys.modules["weft.keras" + _name.removeprefix("weft")] = _sys.modules[_name]

_names.explain_missing(__name__)
