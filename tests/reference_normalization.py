"""What the ops of normalizations mean, in plain float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def normalize(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float
) -> Array:
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def batch_norm(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    """Mean and biased variance over all axes but the last."""
    x, gamma, beta = inputs
    axes = tuple(range(x.ndim - 1))
    return normalize(x, gamma, beta, x.mean(axes), x.var(axes), attrs["epsilon"])


def batch_norm_inference(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    x, gamma, beta, mean, variance = inputs
    return normalize(x, gamma, beta, mean, variance, attrs["epsilon"])


def layer_norm(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    """Mean and biased variance over the last axis."""
    x, gamma, beta = inputs
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return normalize(x, gamma, beta, mean, variance, attrs["epsilon"])


OPS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "batch_norm": batch_norm,
    "batch_norm_inference": batch_norm_inference,
    "layer_norm": layer_norm,
}
