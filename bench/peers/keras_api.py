"""The one network builder for everything with Keras's API: Keras on its backends, and weft."""

from __future__ import annotations

from typing import Any

from bench.workloads import (
    LSTM,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    Optimizer,
    Unsupported,
    Workload,
)


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


def build_layer(layers: Any, layer: Layer, **lstm_options: Any) -> Any:
    match layer:
        case Dense(units, activation):
            return layers.Dense(units, activation=activation)
        case Conv2D(filters, kernel, strides, padding, activation):
            return layers.Conv2D(
                filters, kernel, strides=strides, padding=padding, activation=activation
            )
        case Conv2DTranspose(filters, kernel, strides, activation):
            return layers.Conv2DTranspose(
                filters, kernel, strides=strides, padding="same", activation=activation
            )
        case MaxPool2D(size):
            return layers.MaxPooling2D(size)
        case LSTM(units):
            return layers.LSTM(units, **lstm_options)
        case Flatten():
            return layers.Flatten()
        case Dropout(rate):
            return layers.Dropout(rate)
    raise Unsupported(f"no {type(layer).__name__} in the Keras peers yet")


def build_model(
    keras: Any, workload: Workload, lstm_options: dict[str, Any] | None = None, **options: Any
) -> Any:
    """A compiled model; `options` are those of `compile`."""
    model = keras.Sequential([keras.Input(shape=workload.input_shape)])
    for layer in workload.layers:
        model.add(build_layer(keras.layers, layer, **(lstm_options or {})))
    losses = keras.losses
    model.compile(
        optimizer=build_optimizer(keras, workload.optimizer),
        loss=(
            losses.MeanSquaredError()
            if workload.autoencoder
            else losses.SparseCategoricalCrossentropy(from_logits=True)
        ),
        **options,
    )
    return model
