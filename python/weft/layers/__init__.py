"""Layers, as `keras.layers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft import _names
from weft.layers.core import (
    ELU,
    Activation,
    Dense,
    Flatten,
    Input,
    InputLayer,
    LeakyReLU,
    ReLU,
    Rescaling,
    Reshape,
    Softmax,
)
from weft.layers.layer import Layer
from weft.layers.regularization import Dropout

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "deserialize",
    "serialize",
]

_TABLE: dict[str, type[Layer]] = {
    "Activation": Activation,
    "Dense": Dense,
    "Dropout": Dropout,
    "ELU": ELU,
    "Flatten": Flatten,
    "InputLayer": InputLayer,
    "LeakyReLU": LeakyReLU,
    "ReLU": ReLU,
    "Rescaling": Rescaling,
    "Reshape": Reshape,
    "Softmax": Softmax,
}


def serialize(layer: Layer) -> dict[str, Any]:
    """`{"class_name": ..., "config": {...}}` of a layer."""
    return _names.serialize(layer)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Layer:
    """A layer from what `serialize` gave; classes of one's own come in `custom_objects`.

    Raises:
        ValueError: The class is unknown.
    """
    layer: Layer = _names.deserialize("layer", config, _TABLE, custom_objects)
    return layer
