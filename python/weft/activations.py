"""Activation functions, named and defined as in `keras.activations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft import _names
from weft.ops import math as _math
from weft.ops import nn as _nn
from weft.ops.nn import (
    elu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    step,
    swish,
)

__all__ = [
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "swish",
    "tanh",
]


def linear(x: Any) -> Any:
    """x itself."""
    return x


def exponential(x: Any) -> Any:
    """exp(x)."""
    return _math.exp(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return _math.tanh(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function, or (`approximate`) its tanh approximation."""
    return _nn.gelu(x, approximate)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_swish,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "step": step,
    "swish": swish,
    "tanh": tanh,
}


def get(identifier: str | Callable[..., Any] | Mapping[str, Any] | None) -> Callable[..., Any]:
    """The function for a name, a callable (returned as it is), or None (linear).

    Raises:
        ValueError: The name is unknown, or `identifier` is none of these.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if callable(identifier):
        return identifier
    if isinstance(identifier, str):
        function: Callable[..., Any] = _names.lookup("activation", identifier, _FUNCTIONS)
        return function
    raise ValueError(f"An activation is a name or a function, got {identifier!r}.")


def serialize(activation: Callable[..., Any]) -> Any:
    """The name of a built-in function; other functions and objects as they are."""
    name = getattr(activation, "__name__", "")  # of functions with two names, the first one
    return name if _FUNCTIONS.get(name) is activation else activation


def deserialize(
    config: Mapping[str, Any] | str, custom_objects: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """The function for a name, or for `{"class_name": "function", "config": name}`."""
    name = config if isinstance(config, str) else config.get("config")
    if not isinstance(name, str):
        raise ValueError(f"An activation's config needs a name, got {config!r}.")
    custom: Callable[..., Any] | None = (custom_objects or {}).get(name)
    return custom or get(name)


_names.explain_missing(__name__)
