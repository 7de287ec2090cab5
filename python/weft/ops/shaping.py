"""Moving elements: shapes, axes, slices, joins, and arrays of constants. Shapes are plain ints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from weft.graph import Array, Shape, Tensor, Trace, Variable
from weft.ops.core import apply, convert, normalized_axis, shape_of
from weft.ops.math import multiply, not_equal


def shape(x: Any) -> Shape:
    """The shape as a tuple of ints."""
    return shape_of(x)


def ndim(x: Any) -> int:
    return len(shape_of(x))


def size(x: Any) -> int:
    return math.prod(shape_of(x))


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """A tensor or array from anything, cast if a dtype is given."""
    return convert(x) if dtype is None else cast(x, dtype)


array = convert_to_tensor


def convert_to_numpy(x: Any) -> Array:
    """The array of a variable or array; a tensor has none yet, which raises TypeError."""
    return np.asarray(x)


def cast(x: Any, dtype: Any) -> Any:
    """x as float32 (for every float type), int32 (for every integer type) or truth values."""
    if not isinstance(dtype, str):
        dtype = np.dtype(dtype).name
    if dtype == "bool":
        return not_equal(x, 0.0)
    to = "float32" if "float" in dtype else "int32" if "int" in dtype else ""
    if not to:
        raise ValueError(f"cast expects a float, integer or bool dtype, got {dtype!r}.")
    x = convert(x)
    if isinstance(x, Tensor):
        return x if x.dtype == to else apply("cast", [x], dtype=to)
    return x.astype(to)


def stop_gradient(x: Any) -> Any:
    """x as a constant for gradients."""
    return apply("stop_gradient", [x])


def reshape(x: Any, newshape: int | Sequence[int]) -> Any:
    """x with another shape of as many elements; one size may be -1."""
    old = shape_of(x)
    new = [newshape] if isinstance(newshape, (int, np.integer)) else [int(n) for n in newshape]
    if new.count(-1) == 1:
        rest = -math.prod(new)
        new[new.index(-1)] = math.prod(old) // rest if rest else 0
    if math.prod(new) != math.prod(old) or min(new, default=0) < 0:
        raise ValueError(f"An array of shape {old} cannot be reshaped to {newshape}.")
    return convert(x) if tuple(new) == old else apply("reshape", [x], shape=new)


def ravel(x: Any) -> Any:
    return reshape(x, (-1,))


def expand_dims(x: Any, axis: int) -> Any:
    """x with a new axis of size 1 at position `axis`."""
    old = shape_of(x)
    at = normalized_axis(axis, len(old) + 1)
    return reshape(x, (*old[:at], 1, *old[at:]))


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """x without its axes of size 1, or without the given ones."""
    old = shape_of(x)
    if axis is None:
        return reshape(x, [n for n in old if n != 1])
    axes = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    at = {normalized_axis(a, len(old)) for a in axes}
    if any(old[a] != 1 for a in at):
        raise ValueError(f"squeeze expects axes of size 1, got axis {axis} of shape {old}.")
    return reshape(x, [n for a, n in enumerate(old) if a not in at])


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """x with its axes in another order, reversed by default."""
    rank = len(shape_of(x))
    order = (
        list(reversed(range(rank))) if axes is None else [normalized_axis(a, rank) for a in axes]
    )
    if sorted(order) != list(range(rank)):
        raise ValueError(f"transpose expects each of {rank} axes once, got {axes}.")
    return convert(x) if order == list(range(rank)) else apply("transpose", [x], axes=order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    rank = len(shape_of(x))
    order = list(range(rank))
    a, b = normalized_axis(axis1, rank), normalized_axis(axis2, rank)
    order[a], order[b] = order[b], order[a]
    return transpose(x, order)


def moveaxis(x: Any, source: int, destination: int) -> Any:
    rank = len(shape_of(x))
    order = list(range(rank))
    order.insert(normalized_axis(destination, rank), order.pop(normalized_axis(source, rank)))
    return transpose(x, order)


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """x repeated along axes that it lacks or that have size 1."""
    new = [int(n) for n in shape]
    if tuple(new) == shape_of(x):
        return convert(x)
    return apply("broadcast_to", [x], shape=new)


def concatenate(xs: Sequence[Any], axis: int = -1) -> Any:
    """Joins arrays along an existing axis."""
    parts = _of_one_type(xs)
    if len(parts) == 1:
        return parts[0]
    return apply("concatenate", parts, axis=normalized_axis(axis, len(shape_of(parts[0]))))


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """Joins arrays of one shape along a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis)


def _of_one_type(xs: Sequence[Any]) -> list[Any]:
    parts = [convert(x) for x in xs]
    if not parts:
        raise ValueError("At least one array is needed to join, got none.")
    if len({str(part.dtype) for part in parts}) > 1:
        parts = [cast(part, "float32") for part in parts]
    return parts


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cuts x along an axis: into equal parts for an int, else before the given indices."""
    rank = len(shape_of(x))
    axis = normalized_axis(axis, rank)
    extent = shape_of(x)[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        parts = int(indices_or_sections)
        if parts < 1 or extent % parts:
            raise ValueError(f"An axis of size {extent} cannot be split into {parts} equal parts.")
        edges = [i * (extent // parts) for i in range(parts + 1)]
    else:
        edges = [0, *[int(i) for i in indices_or_sections], extent]
    index: list[Any] = [slice_(None)] * rank
    result = []
    for begin, end in pairwise(edges):
        index[axis] = slice_(begin, end)
        result.append(getitem(x, tuple(index)))
    return result


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """The arrays that `stack` would join along `axis`."""
    extent = shape_of(x)[axis] if num is None else num
    return [squeeze(part, axis) for part in split(x, extent, axis)]


slice_ = slice  # the built-in one; Keras calls an op by this name


def slice(inputs: Any, start_indices: Sequence[int], shape: Sequence[int]) -> Any:
    """The block of the given shape that starts at the given indices."""
    ends = [int(b) + int(n) for b, n in zip(start_indices, shape, strict=True)]
    begins = [int(b) for b in start_indices]
    return getitem(inputs, tuple(slice_(b, e) for b, e in zip(begins, ends, strict=True)))


def getitem(x: Any, key: Any) -> Any:
    """x[key] with ints, slices of positive step, None and `...`."""
    old = shape_of(x)
    keys = list(key) if isinstance(key, tuple) else [key]
    for k in keys:
        if k is not None and k is not Ellipsis and not isinstance(k, (int, np.integer, slice_)):
            raise TypeError(
                f"A tensor is indexed by ints, slices, None and ..., got {type(k).__name__}."
            )
    used = sum(1 for k in keys if k is not None and k is not Ellipsis)
    if used > len(old):
        raise IndexError(f"A tensor of shape {old} got {used} indices.")
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    keys[at : at + 1] = [slice_(None)] * (len(old) - used)

    begin: list[int] = []
    sizes: list[int] = []
    strides: list[int] = []
    new: list[int] = []
    for k in keys:
        if k is None:
            new.append(1)
            continue
        extent = old[len(begin)]
        if isinstance(k, slice_):
            first, last, step = k.indices(extent)
            if step < 1:
                raise ValueError("A tensor is sliced with positive steps only.")
            count = len(range(first, last, step))
            new.append(count)
        else:
            first, step, count = int(k) + (extent if k < 0 else 0), 1, 1
            if not 0 <= first < extent:
                raise IndexError(f"Index {k} is out of range for an axis of size {extent}.")
        begin.append(first if count else 0)
        sizes.append(count)
        strides.append(step)
    if tuple(sizes) != old:
        x = apply("slice", [x], begin=begin, size=sizes, strides=strides)
    return reshape(x, new)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Any:
    """x with a border of constants; `pad_width` as in NumPy: (before, after) of each axis."""
    if mode != "constant":
        raise ValueError(f"pad expects mode 'constant', got {mode!r}.")
    old = shape_of(x)
    widths = np.broadcast_to(np.asarray(pad_width, int), (len(old), 2)).tolist()
    if any(before < 0 or after < 0 for before, after in widths):
        raise ValueError(f"pad expects widths of at least 0, got {pad_width}.")
    if not any(before or after for before, after in widths):
        return convert(x)
    if constant_values == 0 and 0 not in old:  # x is placed into zeros, as a slice's gradient is
        new = [before + n + after for n, (before, after) in zip(old, widths, strict=True)]
        begin = [before for before, _ in widths]
        return apply("slice_grad", [x], shape=new, begin=begin, strides=[1] * len(old))
    for axis, (before, after) in enumerate(widths):
        extents = list(shape_of(x))

        def border(width: int, axis: int = axis, extents: list[int] = extents) -> list[Array]:
            extents[axis] = width
            return [full(extents, constant_values)] if width else []

        x = concatenate([*border(before), x, *border(after)], axis)
    return x


def tile(x: Any, repeats: int | Sequence[int]) -> Any:
    """x laid side by side, `repeats` times along each axis."""
    counts = [repeats] if isinstance(repeats, (int, np.integer)) else list(repeats)
    rank = max(len(counts), len(shape_of(x)))
    counts = [1] * (rank - len(counts)) + counts
    old = (1,) * (rank - len(shape_of(x))) + shape_of(x)
    pairs = [n for pair in zip([1] * rank, old, strict=True) for n in pair]
    wide = [n for pair in zip(counts, old, strict=True) for n in pair]
    new = [c * n for c, n in zip(counts, old, strict=True)]
    return reshape(broadcast_to(reshape(x, pairs), wide), new)


def repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Each element (along an axis) `repeats` times in a row."""
    if axis is None:
        x, axis = ravel(x), 0
    old = shape_of(x)
    at = normalized_axis(axis, len(old)) + 1
    wide = broadcast_to(expand_dims(x, at), (*old[:at], int(repeats), *old[at:]))
    return reshape(wide, (*old[: at - 1], old[at - 1] * int(repeats), *old[at:]))


def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product of (..., K) and (K, N) or (K,); batches of matrices are not supported."""
    a, b = shape_of(x1), shape_of(x2)
    if not a or len(b) not in (1, 2) or a[-1] != b[0]:
        raise ValueError(f"matmul expects shapes (..., K) and (K, N), got {a} and {b}.")
    left = reshape(x1, (-1, a[-1])) if a[-1] else reshape(x1, (math.prod(a[:-1]), 0))
    right = x2 if len(b) == 2 else reshape(x2, (*b, 1))
    return reshape(apply("matmul", [left, right]), (*a[:-1], *b[1:]))


def dot(x1: Any, x2: Any) -> Any:
    """As NumPy's for vectors, matrices and numbers."""
    if not shape_of(x1) or not shape_of(x2):
        return multiply(x1, x2)
    return matmul(x1, x2)


def outer(x1: Any, x2: Any) -> Any:
    """The products of each element of x1 with each of x2."""
    return matmul(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


# Constants are arrays, in a trace too: the op that uses them records them.


def full(shape: int | Sequence[int], fill_value: float, dtype: Any = None) -> Array:
    return np.full(shape, fill_value, dtype or "float32")


def zeros(shape: int | Sequence[int], dtype: Any = None) -> Array:
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = None) -> Array:
    return full(shape, 1, dtype)


def full_like(x: Any, fill_value: float, dtype: Any = None) -> Array:
    return full(shape_of(x), fill_value, dtype)


def zeros_like(x: Any, dtype: Any = None) -> Array:
    return full(shape_of(x), 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Array:
    return full(shape_of(x), 1, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:
    return np.eye(N, M, k, dtype or "float32")


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Array:
    values = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    return values.astype(dtype or ("int32" if values.dtype.kind == "i" else "float32"))


def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True) -> Array:
    return np.linspace(start, stop, num, endpoint=endpoint, dtype="float32")


def is_tensor(x: Any) -> bool:
    """Whether x is a symbolic tensor, or a variable while a trace records."""
    return isinstance(x, Tensor) or (isinstance(x, Variable) and Trace.current() is not None)
