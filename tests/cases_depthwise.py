"""Cases of depthwise convolutions."""

from __future__ import annotations

import math

from case import Case, Input

# x (N, [H,] W, C), window and multiplier, strides, dilation, padding: before and after each axis.
_GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], int, list[int], list[int], list[int]]] = [
    ((1, 1, 1, 1), (1, 1), 1, [1, 1], [1, 1], [0, 0, 0, 0]),
    ((2, 7, 5, 1), (3, 3), 1, [1, 1], [1, 1], [1, 1, 1, 1]),
    ((3, 5, 7, 3), (3, 3), 1, [1, 1], [1, 1], [0, 0, 0, 0]),
    ((2, 6, 13, 16), (3, 3), 1, [1, 1], [1, 1], [1, 1, 1, 1]),
    ((2, 5, 28, 33), (3, 3), 1, [1, 1], [1, 1], [1, 1, 1, 1]),
    ((1, 4, 31, 64), (3, 2), 1, [1, 1], [1, 1], [1, 1, 0, 1]),
    ((2, 7, 8, 17), (3, 3), 1, [2, 2], [1, 1], [1, 1, 0, 1]),
    ((2, 9, 9, 6), (5, 5), 1, [2, 3], [1, 1], [2, 2, 2, 2]),
    ((2, 5, 6, 5), (2, 2), 1, [3, 3], [1, 1], [0, 0, 0, 0]),  # gaps between the windows
    ((2, 9, 11, 3), (3, 3), 1, [1, 1], [2, 3], [2, 2, 3, 3]),
    ((1, 3, 2, 16), (5, 5), 1, [1, 1], [1, 1], [2, 2, 2, 2]),  # the kernel is larger
    ((2, 5, 6, 1), (3, 3), 2, [1, 1], [1, 1], [1, 1, 1, 1]),
    ((2, 5, 9, 3), (3, 3), 2, [1, 1], [1, 1], [1, 1, 1, 1]),
    ((2, 6, 5, 7), (2, 3), 5, [2, 2], [1, 1], [0, 0, 1, 1]),
    ((1, 3, 13, 16), (1, 3), 3, [1, 1], [1, 2], [0, 0, 2, 2]),
    ((2, 2, 3, 2), (2, 2), 33, [1, 1], [1, 1], [0, 0, 0, 0]),
    ((3, 31, 6), (3,), 1, [1], [1], [2, 0]),
    ((2, 13, 3), (4,), 2, [2], [1], [1, 2]),
]


def _cases() -> list[Case]:
    cases = []
    for number, geometry in enumerate(_GEOMETRIES):
        shape, window, multiplier, strides, dilation, padding = geometry
        attrs = {"strides": strides, "dilation": dilation, "padding": padding}
        channels = shape[-1]
        x, w = Input(shape), Input((*window, channels, multiplier))
        bias = Input((channels * multiplier,))
        flops = 2 * math.prod(shape) * math.prod(window) * multiplier
        inputs = (x, w, bias) if number % 2 else (x, w)
        wanted = tuple(range(len(inputs)))
        cases.append(Case("depthwise_conv2d", inputs, attrs, 2e-6, wanted, flops))
    plain = (Input((2, 5, 4, 3)), Input((3, 3, 3, 1)), Input((3,)))
    cases.append(Case("depthwise_conv2d", plain, {}, 2e-6, (0, 1, 2), 1080))
    return cases


CASES: list[Case] = _cases()
