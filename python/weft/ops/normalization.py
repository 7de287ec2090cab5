"""Normalizations: values shifted and scaled to mean 0 and variance 1.

The channels are the last axis; statistics of other axes are computed with elementary functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.graph import Tensor, Trace
from weft.ops.core import EagerPlan, apply, convert, normalized_axis, shape_of, trace_of
from weft.ops.math import add, multiply, rsqrt, square, subtract
from weft.ops.reductions import Axis, mean, moments
from weft.ops.shaping import reshape


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with given statistics.

    Args:
        x: Values of any shape.
        mean, variance, offset, scale: A number for each index of `axis`; offset and scale may be
            left out.
        axis: The axis of the channels.
        epsilon: Keeps the root away from 0.
    """
    rank = len(shape_of(x))
    axis = normalized_axis(axis, rank)
    channels = shape_of(x)[axis]
    if axis == rank - 1 and rank > 1:
        gamma, beta = _or_constant(scale, channels, 1.0), _or_constant(offset, channels, 0.0)
        inputs = [x, gamma, beta, mean, variance]
        return apply("batch_norm_inference", inputs, epsilon=float(epsilon))
    along = tuple(channels if i == axis else 1 for i in range(rank))
    factor = rsqrt(add(reshape(variance, along), epsilon))
    return _scaled(multiply(subtract(x, reshape(mean, along)), factor), scale, offset, along)


def batch_normalization_with_moments(
    x: Any, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """Normalizes each channel by the mean and variance that it has in x.

    Args:
        x: Values (..., C), at least two axes.
        offset, scale: A number for each channel, or None.
        epsilon: Keeps the root away from 0.

    Returns:
        (x - mean) / sqrt(variance + epsilon) * scale + offset; the mean (C,); and the variance (C,)
        divided by the number of values of a channel. Gradients flow through the first one alone,
        and take into account that the moments depend on x.
    """
    channels = shape_of(x)[-1]
    inputs = [x, _or_constant(scale, channels, 1.0), _or_constant(offset, channels, 0.0)]

    def record(trace: Trace, tensors: list[Tensor]) -> tuple[Tensor, ...]:
        y = trace.op("batch_norm", tensors, {"epsilon": float(epsilon)})
        return tuple(trace.results(y)[:3])

    trace = trace_of(inputs)
    if trace is not None:
        y, mean, variance = record(trace, [_float_tensor(trace, value) for value in inputs])
        return y, mean, variance
    arrays = [np.asarray(convert(value), np.float32, order="C") for value in inputs]
    y, mean, variance = EagerPlan(record, arrays).run(arrays)
    return y, mean, variance


def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the moments over `axis` of each x.

    Args:
        x: Values of any shape.
        gamma, beta: Of the shape that `axis` has in x, or None.
        axis: One or several axes.
        epsilon: Keeps the root away from 0; 1e-7 if left out.
    """
    shape, rank = shape_of(x), len(shape_of(x))
    epsilon = 1e-7 if epsilon is None else float(epsilon)
    axes = sorted({normalized_axis(a, rank) for a in _listed(axis)})
    if not axes:
        raise ValueError("layer_normalization expects at least one axis, got none.")
    if axes != list(range(axes[0], rank)):
        along = tuple(size if i in axes else 1 for i, size in enumerate(shape))
        centre, variance = moments(x, axes, keepdims=True)
        centred = multiply(subtract(x, centre), rsqrt(add(variance, epsilon)))
        return _scaled(centred, gamma, beta, along)
    features = math.prod(shape[axes[0] :])
    flat = reshape(x, (*shape[: axes[0]], features))
    factors = [_or_constant(gamma, features, 1.0), _or_constant(beta, features, 0.0)]
    rows = [value if len(axes) == 1 else reshape(value, (features,)) for value in factors]
    return reshape(apply("layer_norm", [flat, *rows], epsilon=epsilon), shape)


def rms_normalization(
    x: Any, scale: Any = None, axis: Axis = -1, epsilon: float | None = None
) -> Any:
    """x / sqrt(mean(x**2) + epsilon) * scale, with the mean over `axis`."""
    epsilon = 1e-7 if epsilon is None else float(epsilon)
    normalized = multiply(x, rsqrt(add(mean(square(x), axis, keepdims=True), epsilon)))
    return normalized if scale is None else multiply(normalized, scale)


def _listed(axis: int | Sequence[int]) -> list[int]:
    return [int(axis)] if isinstance(axis, (int, np.integer)) else [int(a) for a in axis]


def _or_constant(value: Any, size: int, constant: float) -> Any:
    return np.full(size, constant, np.float32) if value is None else value


def _float_tensor(trace: Trace, value: Any) -> Tensor:
    tensor = trace.tensor(value)
    return tensor if tensor.dtype == "float32" else trace.op("cast", [tensor], {"dtype": "float32"})


def _scaled(x: Any, scale: Any, offset: Any, shape: tuple[int, ...]) -> Any:
    if scale is not None:
        x = multiply(x, reshape(scale, shape))
    return x if offset is None else add(x, reshape(offset, shape))
