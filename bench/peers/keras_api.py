"""The one network builder for everything with Keras's API: Keras on its backends, and weft."""

from __future__ import annotations

from typing import Any

from bench.workloads import Dense, Dropout, Optimizer, Unsupported, Workload


def build_optimizer(keras: Any, settings: Optimizer) -> Any:
    rate = settings.learning_rate
    match settings.name:
        case "sgd":
            return keras.optimizers.SGD(
                learning_rate=rate, momentum=settings.momentum, nesterov=settings.nesterov
            )
        case "rmsprop":
            return keras.optimizers.RMSprop(learning_rate=rate)
        case "adam":
            return keras.optimizers.Adam(learning_rate=rate)
    raise Unsupported(f"no optimizer {settings.name} in the Keras peers yet")


def build_model(keras: Any, workload: Workload, **compile_options: Any) -> Any:
    model = keras.Sequential([keras.Input(shape=workload.input_shape)])
    for layer in workload.layers:
        match layer:
            case Dense(units, activation):
                model.add(keras.layers.Dense(units, activation=activation))
            case Dropout(rate):
                model.add(keras.layers.Dropout(rate))
            case _:
                raise Unsupported(f"no {type(layer).__name__} in the Keras peers yet")
    model.compile(
        optimizer=build_optimizer(keras, workload.optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **compile_options,
    )
    return model
