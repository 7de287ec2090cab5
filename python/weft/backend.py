"""The small part of `keras.backend` that programs for Keras 2 still call."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import _names
from weft.config import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_value",
    "image_data_format",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_value",
]


def backend() -> str:
    """The name of what computes: "weft"."""
    return "weft"


def clear_session(free_memory: bool = True) -> None:
    """Numbers the names of layers and models from the start again ("dense", "dense_1", ...).

    Models that exist stay as they are. `free_memory` is accepted as in Keras; memory is returned
    as soon as a model is no longer used, so nothing needs to be done.
    """
    _names.reset_names()


def get_value(x: Any) -> Any:
    """The value of a variable, or of `optimizer.learning_rate`, as a NumPy array or number."""
    return x.numpy() if hasattr(x, "numpy") else np.asarray(x)


def set_value(x: Any, value: Any) -> None:
    """Overwrites a variable, or `optimizer.learning_rate`.

    Raises:
        ValueError: The shape differs.
    """
    x.assign(value)


_names.explain_missing(__name__)
