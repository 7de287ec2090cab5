"""Functions that reduce axes, named and behaving as in NumPy: sums, means, extrema, norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from weft.ops.core import apply, convert, normalized_axis, shape_of
from weft.ops.math import (
    abs,
    add,
    divide,
    exp,
    log,
    maximum,
    multiply,
    not_equal,
    rsqrt,
    sqrt,
    square,
    subtract,
    truth,
)

Axis: TypeAlias = int | Sequence[int] | None


def reduce(fn: str, x: Any, axis: Axis, keepdims: bool) -> Any:
    """sum, mean, max, min or prod over the given axes, all of them for None."""
    rank = len(shape_of(x))
    if axis is None:
        axes: list[int] = []
    else:
        given = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
        axes = sorted(normalized_axis(a, rank) for a in given)
        if not axes:
            return convert(x)
    if rank == 0:
        return apply("unary", [x], fn="identity", a=0.0, b=0.0, c=0.0)
    return apply("reduce", [x], fn=fn, axes=axes, keepdims=bool(keepdims))


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return reduce("sum", x, axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return reduce("mean", x, axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return reduce("max", x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return reduce("min", x, axis, keepdims)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return reduce("prod", x, axis, keepdims)


amax, amin = max, min


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean squared deviation from the mean (divided by n, as NumPy does)."""
    return mean(square(subtract(x, mean(x, axis, keepdims=True))), axis, keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return sqrt(var(x, axis, keepdims))


def moments(x: Any, axes: Axis, keepdims: bool = False) -> tuple[Any, Any]:
    """Mean and variance."""
    return mean(x, axes, keepdims), var(x, axes, keepdims)


def average(x: Any, axis: Axis = None, weights: Any = None) -> Any:
    """The mean weighted by `weights`, which has the shape of x."""
    if weights is None:
        return mean(x, axis)
    return divide(sum(multiply(x, weights), axis), sum(weights, axis))


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return truth(max(not_equal(x, 0.0), axis, keepdims))


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return truth(min(not_equal(x, 0.0), axis, keepdims))


def count_nonzero(x: Any, axis: Axis = None) -> Any:
    return sum(not_equal(x, 0.0), axis)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), without overflow."""
    largest = apply("stop_gradient", [max(x, axis, keepdims=True)])
    total = log(sum(exp(subtract(x, largest)), axis, keepdims=True))
    result = add(total, largest)
    return result if keepdims else sum(result, axis)  # a sum over axes of size 1


def norm(x: Any, ord: int | str | None = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """The length of vectors: Euclid's for `ord` None, 2 or "euclidean"; 1; or `inf`."""
    if ord in (None, 2, "euclidean", "fro"):
        return sqrt(sum(square(x), axis, keepdims))
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if ord == np.inf:
        return max(abs(x), axis, keepdims)
    raise ValueError(f"norm expects ord 1, 2, 'euclidean' or inf, got {ord!r}.")


def normalize(x: Any, axis: int = -1, order: int | str = 2, epsilon: float = 1e-7) -> Any:
    """x divided by its norm along an axis; a norm below `epsilon` counts as `epsilon`."""
    if order in (2, "euclidean"):
        return multiply(x, rsqrt(maximum(sum(square(x), axis, keepdims=True), epsilon**2)))
    return divide(x, maximum(norm(x, order, axis, keepdims=True), epsilon))


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """int32 positions of the first largest element along an axis, or in all of x."""
    return _position(x, axis, keepdims, smallest=False)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """int32 positions of the first smallest element along an axis, or in all of x."""
    return _position(x, axis, keepdims, smallest=True)


def _position(x: Any, axis: int | None, keepdims: bool, smallest: bool) -> Any:
    from weft.ops import shaping

    rank = len(shape_of(x))
    if axis is None:
        flat = shaping.reshape(x, (1, -1))
        result = shaping.reshape(apply("argmax", [flat], smallest=smallest), (1,) * rank)
        return result if keepdims else shaping.reshape(result, ())
    axis = normalized_axis(axis, rank)
    last = shaping.moveaxis(x, axis, -1) if axis != rank - 1 else x
    result = apply("argmax", [last], smallest=smallest)
    return shaping.expand_dims(result, axis) if keepdims else result
