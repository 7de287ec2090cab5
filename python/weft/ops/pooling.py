"""Pooling over images (N, H, W, C) and sequences (N, T, C), channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from weft.ops.conv import same_padding, sizes_of
from weft.ops.core import apply, shape_of
from weft.ops.reductions import max as reduce_max
from weft.ops.shaping import getitem, reshape

_MOST_PLACES = 256  # of a window of op max_pool2d, which keeps the place of the maximum in a byte


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

    Raises:
        ValueError: An argument cannot be used, or a window is longer than 256 along an axis (and
            there is more than one).
    """
    attrs = _attrs("max_pool", inputs, pool_size, strides, padding, data_format)
    x, window = shape_of(inputs), attrs["window"]
    if math.prod(window) <= _MOST_PLACES:
        return _apply("max_pool2d", inputs, attrs)
    if padding == "valid":
        sizes = [1, *x[1:-1]] if len(x) == 3 else list(x[1:-1])
        if all(w <= n < w + s for n, w, s in zip(sizes, window, attrs["strides"], strict=True)):
            places = tuple(slice(0, w) for w in window[4 - len(x) :])  # there is one window only
            axes = tuple(range(1, len(x) - 1))
            return reduce_max(getitem(inputs, (slice(None), *places)), axes, keepdims=True)
    if max(window) > _MOST_PLACES:
        raise ValueError(
            f"max_pool expects windows of at most {_MOST_PLACES} places along an axis, got "
            f"pool_size {tuple(window[4 - len(x) :])}; pool twice in a row instead, by two sizes "
            "whose product is this one."
        )
    # Along rows, then down columns: of equal maxima the first one counts, as in a single window.
    (height, width), (down, across), around = window, attrs["strides"], attrs["padding"]
    along = {"window": [1, width], "strides": [1, across], "padding": [0, 0, *around[2:]]}
    y = _apply("max_pool2d", inputs, along)
    attrs = {"window": [height, 1], "strides": [down, 1], "padding": [*around[:2], 0, 0]}
    return _apply("max_pool2d", y, attrs)


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
