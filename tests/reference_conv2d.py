"""What the ops of convolutions mean, in plain float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Attrs = dict[str, Any]


def _two_axes(values: list[int], missing: int) -> list[int]:
    return [missing, *values] if len(values) == 1 else list(values)


class _Geometry:
    """Which input pixels each output pixel of a convolution sees.

    Args:
        size: The images' (H, W).
        window: The kernel's (KH, KW).
        attrs: strides, dilation and padding, of one or two axes.
    """

    def __init__(self, size: tuple[int, ...], window: tuple[int, ...], attrs: Attrs) -> None:
        stride = _two_axes(attrs.get("strides", [1, 1]), 1)
        dilation = _two_axes(attrs.get("dilation", [1, 1]), 1)
        padding = list(attrs.get("padding", [0, 0, 0, 0]))
        padding = [0] * (4 - len(padding)) + padding
        self.window, self.stride, self.dilation = window, stride, dilation
        self.border = [(0, 0), tuple(padding[:2]), tuple(padding[2:]), (0, 0)]
        self.size = size
        self.padded = tuple(size[i] + sum(self.border[1 + i]) for i in range(2))
        self.output = tuple(
            (self.padded[i] - (window[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in range(2)
        )

    def seen_by(self, x: Array) -> Array:
        """x (N, H, W, C) -> (N, OH, OW, KH, KW, C): the pixels under each place of the kernel."""
        x = np.ascontiguousarray(np.pad(x, self.border))
        (n, y, i, c), s, d = x.strides, self.stride, self.dilation
        shape = (len(x), *self.output, *self.window, x.shape[-1])
        strides = (n, s[0] * y, s[1] * i, d[0] * y, d[1] * i, c)
        return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)

    def add_up(self, parts: Array) -> Array:
        """The adjoint of `seen_by`: each pixel's sum over the places where it was seen."""
        x = np.zeros((len(parts), *self.padded, parts.shape[-1]), parts.dtype)
        (oh, ow), (sy, sx), (dy, dx) = self.output, self.stride, self.dilation
        for ky in range(self.window[0]):
            for kx in range(self.window[1]):
                rows = slice(ky * dy, ky * dy + (oh - 1) * sy + 1, sy)
                columns = slice(kx * dx, kx * dx + (ow - 1) * sx + 1, sx)
                x[:, rows, columns] += parts[:, :, :, ky, kx]
        top, left = self.border[1][0], self.border[2][0]
        return x[:, top : top + self.size[0], left : left + self.size[1]]


def _as_image(x: Array) -> Array:
    """(N, W, C) -> (N, 1, W, C)."""
    return x[:, None] if x.ndim == 3 else x


def _as_kernel(w: Array) -> Array:
    """(KW, C, F) -> (1, KW, C, F)."""
    return w[None] if w.ndim == 3 else w


def _bias(inputs: list[Array]) -> Any:
    return inputs[2] if len(inputs) > 2 else 0.0


def conv2d(inputs: list[Array], attrs: Attrs) -> Array:
    x, w = _as_image(inputs[0]), _as_kernel(inputs[1])
    seen = _Geometry(x.shape[1:3], w.shape[:2], attrs).seen_by(x)
    y = np.tensordot(seen, w, 3) + _bias(inputs)
    return y[:, 0] if inputs[0].ndim == 3 else y


def conv2d_grad_input(inputs: list[Array], attrs: Attrs) -> Array:
    """(dy, w) -> dx; with a bias after it, the forward pass of conv2d_transpose."""
    dy, w = _as_image(inputs[0]), _as_kernel(inputs[1])
    size = tuple(_two_axes(attrs["size"], 1))
    geometry = _Geometry(size, w.shape[:2], attrs)
    assert geometry.output == dy.shape[1:3]
    dx = geometry.add_up(np.tensordot(dy, w, (3, 3))) + _bias(inputs)
    return dx[:, 0] if inputs[0].ndim == 3 else dx


def conv2d_grad_kernel(inputs: list[Array], attrs: Attrs) -> Array:
    """(x, dy) -> dw."""
    x, dy = _as_image(inputs[0]), _as_image(inputs[1])
    window = tuple(_two_axes(attrs["window"], 1))
    seen = _Geometry(x.shape[1:3], window, attrs).seen_by(x)
    dw = np.tensordot(seen, dy, ((0, 1, 2), (0, 1, 2)))
    return dw[0] if inputs[0].ndim == 3 else dw


OPS: dict[str, Callable[[list[Array], Attrs], Array]] = {
    "conv2d": conv2d,
    "conv2d_transpose": conv2d_grad_input,
    "conv2d_grad_input": conv2d_grad_input,
    "conv2d_grad_kernel": conv2d_grad_kernel,
}
