"""Cases of convolutions.

Small ones check values and gradients, through the whole tape; larger ones check the three roles of
a convolution (forward, gradient of the input, gradient of the kernel) directly, every element.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from case import Case, Input


class Conv(NamedTuple):
    """A convolution of images x (N, [H,] W, C) with a kernel ([KH,] KW, C, F).

    `padding`: "valid", "same" (as Keras: outputs of ceil(size / stride), an odd row at the end),
    "causal" (all before), or sizes before and after each axis.
    """

    x: tuple[int, ...]
    w: tuple[int, ...]
    padding: str | list[int] = "valid"
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    @property
    def attrs(self) -> dict[str, list[int]]:
        attrs: dict[str, list[int]] = {}
        if self.strides or self.dilation:
            attrs["strides"] = list(self.strides or [1] * len(self.dilation))
        if self.dilation:
            attrs["dilation"] = list(self.dilation)
        if self.padding == "valid":
            return attrs
        padding: list[int] = []
        for i, (size, window) in enumerate(zip(self.x[1:-1], self.w[:-2], strict=True)):
            stride = self.strides[i] if self.strides else 1
            reach = (window - 1) * (self.dilation[i] if self.dilation else 1)
            if self.padding == "causal":
                padding += [reach, 0]
            else:
                total = max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0)
                padding += [total // 2, total - total // 2]
        return {**attrs, "padding": self.padding if isinstance(self.padding, list) else padding}

    @property
    def output(self) -> tuple[int, ...]:
        """([OH,] OW)."""
        attrs, axes = self.attrs, len(self.x) - 2
        stride, dilation = attrs.get("strides", [1] * axes), attrs.get("dilation", [1] * axes)
        padding = attrs.get("padding", [0] * 2 * axes)
        return tuple(
            (self.x[1 + i] + sum(padding[2 * i : 2 * i + 2]) - (self.w[i] - 1) * dilation[i] - 1)
            // stride[i]
            + 1
            for i in range(axes)
        )

    @property
    def y(self) -> tuple[int, ...]:
        return (self.x[0], *self.output, self.w[-1])

    @property
    def flops(self) -> int:
        return 2 * math.prod(self.y) * math.prod(self.w[:-1])


def _forward(conv: Conv, bias: bool, differentiable: tuple[int, ...] = ()) -> Case:
    inputs = (Input(conv.x), Input(conv.w), *([Input(conv.w[-1:])] if bias else []))
    return Case("conv2d", inputs, conv.attrs, 2e-6, differentiable, conv.flops)


def _transpose(conv: Conv, bias: bool, differentiable: tuple[int, ...] = ()) -> Case:
    """The transpose of `conv`: from what it puts out to what it takes in."""
    attrs = {**conv.attrs, "size": list(conv.x[1:-1])}
    inputs = (Input(conv.y), Input(conv.w), *([Input(conv.w[-2:-1])] if bias else []))
    return Case("conv2d_transpose", inputs, attrs, 2e-6, differentiable, conv.flops)


def _grad_input(conv: Conv, differentiable: tuple[int, ...] = ()) -> Case:
    attrs = {**conv.attrs, "size": list(conv.x[1:-1])}
    inputs = (Input(conv.y), Input(conv.w))
    return Case("conv2d_grad_input", inputs, attrs, 2e-6, differentiable, conv.flops)


def _grad_kernel(conv: Conv, differentiable: tuple[int, ...] = ()) -> Case:
    attrs = {**conv.attrs, "window": list(conv.w[:-2])}
    inputs = (Input(conv.x), Input(conv.y))
    return Case("conv2d_grad_kernel", inputs, attrs, 2e-6, differentiable, conv.flops)


# Few enough elements for central differences.
SMALL = [
    Conv((1, 1, 1, 1), (1, 1, 1, 1)),
    Conv((2, 3, 5, 3), (1, 1, 3, 6)),
    Conv((3, 5, 7, 1), (3, 3, 1, 6)),
    Conv((2, 5, 5, 3), (3, 3, 3, 16), "same"),
    Conv((2, 2, 3, 6), (2, 2, 6, 3), "same"),
    Conv((1, 5, 2, 3), (3, 1, 3, 33)),
    Conv((2, 2, 5, 3), (1, 3, 3, 1), "same"),
    Conv((2, 3, 2, 3), (7, 7, 3, 4), "same"),  # most of the window is padding
    Conv((1, 1, 1, 16), (5, 5, 16, 2), "same"),
    Conv((2, 7, 7, 3), (3, 3, 3, 5), "valid", (2, 2)),
    Conv((2, 7, 5, 3), (3, 3, 3, 5), "same", (2, 2)),
    Conv((2, 6, 5, 2), (2, 2, 2, 3), "same", (2, 3)),
    Conv((2, 7, 5, 2), (1, 1, 2, 3), "valid", (3, 2)),  # pixels that no output sees
    Conv((1, 7, 9, 1), (3, 2, 1, 4), "valid", (4, 5)),
    Conv((2, 7, 7, 2), (3, 3, 2, 3), "valid", (), (2, 3)),
    Conv((2, 5, 7, 2), (3, 2, 2, 3), "same", (), (2, 4)),
    Conv((2, 5, 5, 1), (3, 3, 1, 2), [2, 1, 0, 3]),
    Conv((1, 3, 3, 2), (2, 2, 2, 3), [3, 2, 2, 3]),  # outputs that see padding alone
    Conv((1, 5, 4, 2), (3, 3, 2, 17), [0, 2, 1, 0], (2, 1)),
    # Over one axis.
    Conv((3, 1, 1), (1, 1, 1)),
    Conv((2, 13, 3), (3, 3, 6)),
    Conv((2, 13, 1), (5, 1, 3), "same"),
    Conv((2, 7, 3), (3, 3, 2), "causal", (2,)),
    Conv((2, 7, 3), (3, 3, 2), "causal", (), (3,)),
    Conv((1, 5, 16), (2, 16, 17), "same", (2,)),
]

# Square images of a size, channels, filters; with a window that fits.
_PAIRS = [
    (1, 64, 33, 1), (2, 16, 16, 2), (3, 33, 6, 3), (5, 6, 64, 3), (7, 16, 33, 3), (7, 64, 16, 1),
    (13, 3, 16, 5), (13, 1, 33, 3), (28, 1, 6, 3), (31, 3, 3, 5), (31, 1, 1, 7),
]  # fmt: skip

LARGE = [
    *[Conv((2, n, n, c), (k, k, c, f), "same") for n, c, f, k in _PAIRS],
    *[Conv((2, n, n, c), (k, k, c, f)) for n, c, f, k in _PAIRS if k > 1],
    *[Conv((1, n, n, c), (k, k, c, f), "same", (2, 2)) for n, c, f, k in _PAIRS if n > 2],
    *[Conv((1, n, n, c), (k, k, c, f), "same", (), (2, 2)) for n, c, f, k in _PAIRS if k > 1],
    # Narrow outputs.
    *[Conv((2, 4, ow + 2, 16), (3, 3, 16, 33)) for ow in range(1, 7)],
    *[Conv((2, 3, ow, 6), (3, 3, 6, 16), "same") for ow in range(1, 7)],
    # Few filters, and numbers of them around a panel's width.
    *[Conv((2, 7, 13, 16), (3, 3, 16, f), "same") for f in (1, 2, 3, 4)],
    *[Conv((1, 5, 7, 6), (2, 2, 6, f)) for f in (15, 17, 31, 32, 48, 65)],
    # One and three channels.
    *[Conv((2, 13, 28, c), (3, 3, c, f)) for c in (1, 3) for f in (1, 16, 33)],
    *[Conv((1, 13, 13, c), (5, 5, c, 16), "same", (2, 2)) for c in (1, 3)],
    *[Conv((1, 31, 31, c), (7, 7, c, 6), "same", (2, 2)) for c in (1, 3)],
    # Windows that are not square, and larger than the image.
    Conv((2, 13, 7, 6), (3, 1, 6, 16), "same"),
    Conv((2, 7, 13, 6), (1, 3, 6, 16)),
    Conv((1, 5, 28, 3), (2, 5, 3, 33), "valid", (1, 2)),
    Conv((2, 5, 5, 16), (7, 7, 16, 6), "same"),
    Conv((2, 3, 2, 6), (7, 7, 6, 33), "same"),
    Conv((1, 2, 5, 3), (5, 5, 3, 16), "same", (2, 2)),
    # Many images, alone and in odd numbers.
    Conv((17, 5, 5, 3), (3, 3, 3, 16), "same"),
    Conv((33, 3, 3, 6), (3, 3, 6, 6)),
    # Many channels.
    Conv((2, 7, 7, 64), (3, 3, 64, 64), "same"),
    Conv((1, 5, 5, 33), (3, 3, 33, 64)),
    # Winograd's way, in all three roles where there are 96 blocks of 2x2 outputs, else in two.
    Conv((2, 14, 14, 16), (3, 3, 16, 16), "same"),
    Conv((4, 13, 11, 33), (3, 3, 33, 17)),
    Conv((9, 8, 6, 64), (3, 3, 64, 33), "same"),
    Conv((17, 7, 7, 16), (3, 3, 16, 24), "same"),
    Conv((2, 14, 15, 70), (3, 3, 70, 97), "same"),  # several passes of channels and of filters
    Conv((3, 11, 12, 16), (3, 3, 16, 70), [2, 1, 0, 2]),
    Conv((2, 20, 22, 17), (3, 3, 17, 16), [3, 4, 4, 3]),  # outputs that see padding alone
    Conv((1, 9, 131, 17), (3, 3, 17, 16), "same"),  # rows of blocks in segments
    Conv((1, 11, 43, 300), (3, 3, 300, 16)),  # many passes of channels
    Conv((1, 10, 132, 80), (3, 3, 80, 96)),  # several passes, of windows read in place
    Conv((1, 4, 6, 16), (3, 3, 16, 32)),
    # As many channels without it.
    Conv((2, 7, 9, 33), (5, 5, 33, 48), "same"),
    Conv((2, 9, 8, 64), (3, 2, 64, 40)),
    # Over one axis.
    Conv((2, 31, 16), (3, 16, 33), "same"),
    Conv((3, 28, 33), (5, 33, 6)),
    Conv((2, 31, 1), (7, 1, 16), "causal", (2,)),
    Conv((2, 28, 6), (3, 6, 64), "causal", (), (4,)),
    Conv((1, 7, 3), (5, 3, 16), "same", (), (2,)),
    Conv((5, 13, 64), (1, 64, 3)),
]

# The transpose as layers ask for it: (outputs, inputs) of the convolution that it transposes; the
# padding is such that both fit.
TRANSPOSED = [
    Conv((2, 8, 8, 3), (3, 3, 3, 6), "same", (2, 2)),
    Conv((2, 7, 11, 3), (3, 3, 3, 6), "valid", (2, 2)),
    Conv((2, 8, 10, 2), (3, 3, 2, 4), "valid", (2, 2)),  # output_padding: a last row with no input
    Conv((2, 6, 6, 2), (2, 2, 2, 17), "same", (2, 2)),
    Conv((1, 6, 9, 3), (2, 2, 3, 5), "valid", (3, 3)),  # gaps between the windows
    Conv((1, 6, 9, 3), (1, 1, 3, 5), "same", (3, 3)),
    Conv((2, 9, 9, 2), (3, 3, 2, 3), "valid", (), (2, 2)),
    Conv((2, 5, 5, 2), (3, 3, 2, 3), "same", (), (2, 2)),
    Conv((2, 14, 14, 16), (5, 5, 16, 33), "same", (2, 2)),
    Conv((2, 28, 28, 1), (3, 3, 1, 16), "same", (2, 2)),
    Conv((2, 13, 3), (3, 3, 6), "valid", (2,)),
    Conv((2, 14, 3), (4, 3, 6), "same", (2,)),
]


def _cases() -> list[Case]:
    cases = []
    for i, conv in enumerate(SMALL):
        cases.append(_forward(conv, True, (0, 1, 2)))
        cases.append(_forward(conv, False, [(0, 1), (1,), (1, 0), (0,)][i % 4]))
        cases.append(_transpose(conv, True, (0, 1, 2)))
        # Gradients of gradients.
        cases.append(_grad_input(conv, (0, 1)))
        cases.append(_grad_kernel(conv, (0, 1)))
    for i, conv in enumerate(LARGE):
        cases.append(_forward(conv, i % 2 == 0))
        cases.append(_grad_input(conv))
        cases.append(_grad_kernel(conv))
        if i % 4 == 0:
            cases.append(_transpose(conv, i % 8 == 0))
    for conv in TRANSPOSED:
        small = math.prod(conv.x) < 1000
        cases.append(_transpose(conv, True, (0, 1, 2) if small else ()))
        cases.append(_transpose(conv, False, (1, 0) if small else ()))
    return cases


CASES: list[Case] = _cases()
