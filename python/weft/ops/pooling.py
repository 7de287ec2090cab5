"""Pooling over images (N, H, W, C) and sequences (N, T, C), channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from weft.ops.conv import same_padding, sizes_of
from weft.ops.core import apply, shape_of
from weft.ops.reductions import max as reduce_max
from weft.ops.shaping import getitem, reshape

_MOST_PLACES = 256  # of a window of op max_pool2d


def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """The largest element of each window; padding never is.

    Args:
        inputs: (N, H, W, C) or (N, T, C).
        pool_size: The window's size along each axis, or one number for all.
        strides: Distances of the windows; the window's sizes by default.
        padding: "valid": windows lie within the input, what is left over at the end is dropped;
            "same": outputs of ceil(size / stride), an odd place of padding is after.
        data_format: "channels_last" or None.

    Returns:
        (N, OH, OW, C) or (N, OT, C).
    """
    x, attrs = (
        shape_of(inputs),
        _attrs("max_pool", inputs, pool_size, strides, padding, data_format),
    )
    window = attrs["window"]
    if math.prod(window) > _MOST_PLACES and padding == "valid":
        sizes = [1, *x[1:-1]] if len(x) == 3 else list(x[1:-1])
        if all(w <= n < w + s for n, w, s in zip(sizes, window, attrs["strides"], strict=True)):
            places = tuple(slice(0, w) for w in window[4 - len(x) :])  # there is one window only
            axes = tuple(range(1, len(x) - 1))
            return reduce_max(getitem(inputs, (slice(None), *places)), axes, keepdims=True)
    return _apply("max_pool2d", inputs, attrs)


def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """The mean of each window, over what lies within the input.

    The arguments are those of `max_pool`.
    """
    attrs = _attrs("average_pool", inputs, pool_size, strides, padding, data_format)
    return _apply("avg_pool2d", inputs, attrs)


def _attrs(
    name: str,
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
) -> dict[str, list[int]]:
    """Attributes of the op: sequences are images of height 1."""
    x = shape_of(inputs)
    if len(x) not in (3, 4):
        raise ValueError(f"{name} expects inputs (N, T, C) or (N, H, W, C), got shape {x}.")
    if data_format not in (None, "channels_last"):
        raise ValueError(f"{name} expects data_format 'channels_last', got {data_format!r}.")
    if padding not in ("valid", "same"):
        raise ValueError(f"{name} expects padding 'valid' or 'same', got {padding!r}.")
    axes = len(x) - 2
    window = sizes_of(pool_size, axes, name, "pool_size")
    steps = window if strides is None else sizes_of(strides, axes, name, "strides")
    around = [0] * (2 * axes)
    if padding == "same":
        around = [
            n for axis in zip(x[1:-1], window, steps, strict=True) for n in same_padding(*axis)
        ]
    missing = 2 - axes
    return {
        "window": [1] * missing + list(window),
        "strides": [1] * missing + list(steps),
        "padding": [0, 0] * missing + around,
    }


def _apply(op: str, inputs: Any, attrs: dict[str, list[int]]) -> Any:
    x = shape_of(inputs)
    if len(x) == 4:
        return apply(op, [inputs], **attrs)
    y = apply(op, [reshape(inputs, (x[0], 1, *x[1:]))], **attrs)
    return reshape(y, (x[0], *shape_of(y)[2:]))
