"""What layers check or find out about shapes and signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

PartialShape: TypeAlias = tuple[int | None, ...]  # the batch size is None


def is_integer(value: Any) -> bool:
    """Whether it is an int, of Python or NumPy, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a real number, of Python or NumPy, and no bool."""
    return is_integer(value) or isinstance(value, (float, np.floating))


def checked_seed(seed: Any, layer: Any) -> int | None:
    """The seed as an int or None; ValueError for anything else."""
    if seed is not None and not is_integer(seed):
        raise ValueError(f"{layer} expects an integer or None as its seed, got {seed!r}.")
    return None if seed is None else int(seed)


def integers(value: Any, layer: Any, name: str) -> tuple[int, ...]:
    """An integer or several as a tuple of ints; ValueError for anything else."""
    given = value if isinstance(value, (list, tuple, np.ndarray)) else (value,)
    if not all(is_integer(item) for item in given):
        raise ValueError(f"{layer} expects {name} to be integers, got {value!r}.")
    return tuple(int(item) for item in given)


def positive(value: Any, layer: Any, what: str) -> int:
    """A number of something as an int; ValueError unless it is an integer of at least 1."""
    if not is_integer(value) or value < 1:
        raise ValueError(f"{layer} expects a positive number of {what}, got {value!r}.")
    return int(value)


def axes_of(axis: Any, layer: Any) -> tuple[int, ...]:
    """One axis or several as a tuple of ints, which may be negative; ValueError for others."""
    given = axis if isinstance(axis, (list, tuple)) else (axis,)
    if not given or not all(isinstance(a, (int, np.integer)) for a in given):
        raise ValueError(f"{layer} expects axis as an integer or several, got {axis!r}.")
    return tuple(int(a) for a in given)


def positive_axes(axes: Sequence[int], shape: Sequence[int | None], layer: Any) -> list[int]:
    """The axes of such a shape counted from 0, in order; ValueError if it lacks one."""
    rank = len(shape)
    if any(not -rank <= a < rank for a in axes):
        raise ValueError(
            f"{layer} has axis={list(axes)}, which inputs of shape {(None, *shape[1:])} lack"
        )
    return sorted({a % rank for a in axes})


def sizes_along(axes: Sequence[int], shape: PartialShape, layer: Any) -> tuple[int, ...]:
    """The sizes of axes; ValueError unless all are known and positive."""
    sizes = tuple(shape[a] for a in axes)
    if any(not size for size in sizes):
        raise ValueError(f"{layer} expects known sizes along axes {list(axes)}, got shape {shape}")
    return tuple(int(size) for size in sizes if size)


def expect_channels_last(data_format: Any, layer: Any) -> str:
    """The only order in which weft computes; ValueError for another one."""
    if data_format not in (None, "channels_last"):
        raise ValueError(f"{layer} expects data_format 'channels_last', got {data_format!r}.")
    return "channels_last"


def training_position(call: Callable[..., Any]) -> int | None:
    """Where `training` stands among the arguments after the inputs: -1 by keyword, None nowhere."""
    code = getattr(getattr(call, "__func__", call), "__code__", None)
    if code is None:
        return None
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "training" not in names:
        return -1 if code.co_flags & 0x08 else None  # **kwargs takes it
    position = names.index("training")
    return position - 2 if position < code.co_argcount else -1  # after self and the inputs


def sample_shape(shape: Any, layer: Any) -> tuple[int, ...]:
    """The shape of one sample as ints; ValueError unless all sizes are known and positive."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if not all(is_integer(size) and size >= 1 for size in sizes):
        message = f"{layer} expects an input shape of positive integers, got {sizes}"
        if None in sizes:
            message += (
                "; give all sizes (such as a fixed number of steps), or leave the shape out and "
                "the model is built for its first batch"
            )
        raise ValueError(f"{message}.")
    return tuple(int(size) for size in sizes)
