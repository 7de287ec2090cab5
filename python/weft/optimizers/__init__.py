"""Optimizers and learning-rate schedules, as in `keras.optimizers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft import _names
from weft.optimizers import schedules
from weft.optimizers.adagrad import Adagrad
from weft.optimizers.adam import Adam, AdamW
from weft.optimizers.optimizer import Optimizer
from weft.optimizers.rmsprop import RMSprop
from weft.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_CLASSES: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
}


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as `{"class_name": ..., "config": {...}}`."""
    return _names.serialize(optimizer)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Optimizer:
    """The optimizer that `serialize` described.

    Raises:
        ValueError: The class is unknown, or an argument is.
    """
    name = config.get("class_name")
    if isinstance(name, str) and name not in (custom_objects or {}):
        config = {**config, "class_name": name.lower()}
    optimizer: Optimizer = _names.deserialize("optimizer", config, _CLASSES, custom_objects)
    return optimizer


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name such as "adam" (in any case), a config, a class, or itself.

    Raises:
        ValueError: The name is unknown; the message has the nearest one.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # type: ignore[call-arg]
    if isinstance(identifier, str):
        name = identifier.lower()
        if name not in _CLASSES:
            raise _names.unknown_name("optimizer", identifier, _CLASSES)
        return _CLASSES[name]()  # type: ignore[call-arg]
    raise ValueError(f"optimizers.get expects a name or an optimizer, got {identifier!r}.")


_names.explain_missing(__name__)
