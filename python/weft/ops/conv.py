"""Convolutions over images (N, H, W, C) and sequences (N, W, C), channels last.

Kernels are laid out as Keras has them: (KH, KW, C, F), without KH for sequences. With `bias`, a
vector of an element per output channel, convolution and addition are one op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.graph import Shape
from weft.ops.core import apply, shape_of
from weft.ops.math import add
from weft.ops.shaping import concatenate, getitem, reshape


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis that make outputs of ceil(size / stride); an odd one after."""
    reach = (window - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def conv_output_size(size: int, window: int, stride: int, padding: str, dilation: int = 1) -> int:
    """The size of a convolution's output along an axis; below 1 where the window does not fit."""
    if padding != "valid":
        return -(-size // stride)
    return (size - (window - 1) * dilation - 1) // stride + 1


def conv_transpose_size(
    size: int,
    window: int,
    stride: int,
    padding: str,
    output_padding: int | None = None,
    dilation: int = 1,
) -> tuple[int, int, int]:
    """Along an axis of `conv_transpose`: the output's size, and how it is padded.

    Returns:
        The size; and the zeros before and after outputs of that size with which a convolution of
        the same stride, window and dilation would give `size` again.
    """
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        extra = max(stride - reach, 0) if output_padding is None else output_padding
        output, before = (size - 1) * stride + reach + extra, 0
    else:
        if output_padding is None:
            output = size * stride
        else:
            output = (size - 1) * stride + reach % 2 + output_padding
        removed = reach - 1 - (output - (size - 1) * stride - 1)  # of the full outputs
        before = max(removed // 2, 0)
    return output, before, max((size - 1) * stride + reach - output - before, 0)


def conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    bias: Any = None,
) -> Any:
    """Convolution, or rather correlation, as neural networks have it.

    Args:
        inputs: (N, H, W, C) or (N, W, C).
        kernel: (KH, KW, C / groups, F) or (KW, C / groups, F). Where it has fewer channels than
            the inputs, these are cut into groups of that many, each of which makes its share of
            the F outputs.
        strides: Steps of the window, of each axis or all of them.
        padding: "valid": none; "same": zeros all around, for outputs of ceil(size / stride);
            "causal", for sequences: all zeros before, so that no output sees what comes later.
        data_format: "channels_last" or None.
        dilation_rate: Distance of the inputs that a window sees; strides or this must be 1.
        bias: (F,) or None.

    Returns:
        (N, OH, OW, F) or (N, OW, F).
    """
    x, w = shape_of(inputs), shape_of(kernel)
    geometry = _Geometry("conv", x, w, strides, padding, data_format, dilation_rate)
    if not w[-2] or x[-1] % w[-2]:
        raise ValueError(f"conv expects inputs with a multiple of {w[-2]} channels, got shape {x}.")
    groups = x[-1] // w[-2]
    if w[-1] % groups:
        raise ValueError(
            f"conv expects a number of outputs that {groups} groups can share, got {w[-1]}."
        )
    if groups == 1:
        return apply("conv2d", _present(inputs, kernel, bias), **geometry.attrs())
    if w[-2] == 1:
        per_channel = reshape(kernel, (*w[:-2], groups, w[-1] // groups))
        return _depthwise(inputs, per_channel, bias, geometry)
    parts = []
    for group in range(groups):
        channels = slice(group * w[-2], (group + 1) * w[-2])
        filters = slice(group * (w[-1] // groups), (group + 1) * (w[-1] // groups))
        parts.append(
            apply(
                "conv2d",
                [getitem(inputs, (..., channels)), getitem(kernel, (..., filters))],
                **geometry.attrs(),
            )
        )
    y = concatenate(parts, -1)
    return y if bias is None else add(y, bias)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    bias: Any = None,
) -> Any:
    """Convolves each channel on its own.

    Args:
        inputs: (N, H, W, C) or (N, W, C).
        kernel: (KH, KW, C, M) or (KW, C, M): M outputs for each channel.
        strides, padding, data_format, dilation_rate: See `conv`.
        bias: (C*M,) or None.

    Returns:
        (N, OH, OW, C*M) or (N, OW, C*M), the outputs of one channel side by side.
    """
    x, w = shape_of(inputs), shape_of(kernel)
    geometry = _Geometry("depthwise_conv", x, w, strides, padding, data_format, dilation_rate)
    if x[-1] != w[-2]:
        raise ValueError(f"depthwise_conv expects inputs with {w[-2]} channels, got shape {x}.")
    return _depthwise(inputs, kernel, bias, geometry)


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    bias: Any = None,
) -> Any:
    """A depthwise convolution, then one that mixes its outputs.

    Args:
        inputs: (N, H, W, C) or (N, W, C).
        depthwise_kernel: (KH, KW, C, M) or (KW, C, M).
        pointwise_kernel: (1, 1, C*M, F) or (1, C*M, F).
        strides, padding, data_format, dilation_rate: Of the first; see `conv`.
        bias: (F,) or None.

    Returns:
        (N, OH, OW, F) or (N, OW, F).
    """
    between = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(between, pointwise_kernel, bias=bias)


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    bias: Any = None,
) -> Any:
    """The transpose of a convolution: each input adds a multiple of the kernel to the outputs.

    Args:
        inputs: (N, H, W, C) or (N, W, C).
        kernel: (KH, KW, F, C) or (KW, F, C).
        strides: How far apart the windows of neighbouring inputs lie in the outputs.
        padding: "valid": outputs of (size - 1) * stride + window, at least size * stride; "same":
            outputs of size * stride.
        output_padding: Given, outputs are this much larger than (size - 1) * stride + window
            ("valid") or than (size - 1) * stride + window % 2 ("same").
        data_format: "channels_last" or None.
        dilation_rate: Distance of the outputs in a window; strides or this must be 1.
        bias: (F,) or None.

    Returns:
        (N, OH, OW, F) or (N, OW, F).
    """
    x, w = shape_of(inputs), shape_of(kernel)
    geometry = _Geometry(
        "conv_transpose", x, w, strides, padding, data_format, dilation_rate, ("valid", "same")
    )
    if x[-1] != w[-1]:
        raise ValueError(f"conv_transpose expects inputs with {w[-1]} channels, got shape {x}.")
    axes = len(x) - 2
    extra: list[int | None] = [None] * axes
    if output_padding is not None:
        extra = [*sizes_of(output_padding, axes, "conv_transpose", "output_padding", least=0)]
    found = [
        conv_transpose_size(
            x[1 + i], w[i], geometry.strides[i], padding, extra[i], geometry.dilation[i]
        )
        for i in range(axes)
    ]
    size = [output for output, _, _ in found]
    if min(size) < 1:
        raise ValueError(f"conv_transpose expects outputs of at least 1, got {size} from {x}.")
    attrs = {
        "strides": geometry.strides,
        "dilation": geometry.dilation,
        "padding": [zeros for _, before, after in found for zeros in (before, after)],
        "size": size,
    }
    return apply("conv2d_transpose", _present(inputs, kernel, bias), **attrs)


def sizes_of(value: Any, count: int, owner: object, name: str, least: int = 1) -> tuple[int, ...]:
    """An int for each of `count` axes, from one int or that many.

    Raises:
        ValueError: Not integers, not that many, or below `least`; the message begins with `owner`.
    """
    given = (value,) * count if isinstance(value, (int, np.integer)) else value
    try:
        sizes = tuple(given)
    except TypeError:
        sizes = ()
    whole = all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in sizes)
    if len(sizes) != count or not whole or min(sizes) < least:
        numbers = "an integer" if count == 1 else f"an integer or {count} of them"
        raise ValueError(f"{owner} expects {name} as {numbers}, at least {least}, got {value!r}.")
    return tuple(int(s) for s in sizes)


class _Geometry:
    """Checked strides, dilation and padding of a convolution."""

    def __init__(
        self,
        name: str,
        x: Shape,
        w: Shape,
        strides: Any,
        padding: Any,
        data_format: str | None,
        dilation_rate: Any,
        paddings: tuple[str, ...] = ("valid", "same", "causal"),
    ) -> None:
        if len(w) not in (3, 4) or len(x) != len(w):
            raise ValueError(
                f"{name} expects inputs (N, W, C) or (N, H, W, C) and a kernel of the same rank, "
                f"got shapes {x} and {w}."
            )
        if data_format not in (None, "channels_last"):
            raise ValueError(f"{name} expects data_format 'channels_last', got {data_format!r}.")
        if padding not in paddings or (padding == "causal" and len(w) != 3):
            raise ValueError(
                f"{name} expects padding 'valid' or 'same' (or 'causal' for sequences), "
                f"got {padding!r}."
            )
        axes = len(w) - 2
        self.size, self.window, self.padding = x[1:-1], w[:-2], padding
        self.strides = list(sizes_of(strides, axes, name, "strides"))
        self.dilation = list(sizes_of(dilation_rate, axes, name, "dilation_rate"))

    def attrs(self) -> dict[str, list[int]]:
        """Those of op conv2d."""
        padding: list[int] = []
        for axis in zip(self.size, self.window, self.strides, self.dilation, strict=True):
            if self.padding == "same":
                padding += same_padding(*axis)
            else:
                _, window, _, dilation = axis
                padding += [(window - 1) * dilation if self.padding == "causal" else 0, 0]
        return {"strides": self.strides, "dilation": self.dilation, "padding": padding}


def _present(inputs: Any, kernel: Any, bias: Any) -> list[Any]:
    return [inputs, kernel] if bias is None else [inputs, kernel, bias]


def _depthwise(inputs: Any, kernel: Any, bias: Any, geometry: _Geometry) -> Any:
    """The op has images only: sequences are images of height 1."""
    x, w, attrs = shape_of(inputs), shape_of(kernel), geometry.attrs()
    if len(x) == 4:
        return apply("depthwise_conv2d", _present(inputs, kernel, bias), **attrs)
    images, window = reshape(inputs, (x[0], 1, *x[1:])), reshape(kernel, (1, *w))
    attrs = {
        "strides": [1, *attrs["strides"]],
        "dilation": [1, *attrs["dilation"]],
        "padding": [0, 0, *attrs["padding"]],
    }
    y = apply("depthwise_conv2d", _present(images, window, bias), **attrs)
    return reshape(y, (x[0], *shape_of(y)[2:]))
