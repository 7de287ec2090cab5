"""Cases of pooling."""

from __future__ import annotations

from case import Case, Input

# (N, H, W, C), window, strides, padding: top, bottom, left, right.
_GEOMETRIES: list[tuple[tuple[int, ...], list[int], list[int], list[int]]] = [
    ((1, 1, 1, 1), [1, 1], [1, 1], [0, 0, 0, 0]),
    ((2, 2, 2, 1), [2, 2], [2, 2], [0, 0, 0, 0]),
    ((3, 6, 4, 16), [2, 2], [2, 2], [0, 0, 0, 0]),
    ((2, 7, 5, 3), [2, 2], [2, 2], [0, 0, 0, 0]),  # a row and a column are left over
    ((2, 7, 5, 33), [2, 2], [2, 2], [0, 1, 0, 1]),
    ((1, 28, 28, 1), [2, 2], [2, 2], [0, 0, 0, 0]),
    ((2, 4, 6, 64), [2, 2], [2, 2], [0, 0, 0, 0]),
    ((2, 5, 6, 17), [2, 2], [1, 1], [0, 0, 0, 0]),
    ((2, 7, 7, 6), [3, 3], [2, 2], [0, 0, 0, 0]),
    ((3, 7, 6, 15), [3, 3], [2, 2], [1, 1, 0, 1]),
    ((2, 5, 5, 16), [3, 3], [1, 1], [1, 1, 1, 1]),
    ((2, 7, 9, 6), [2, 3], [3, 4], [0, 0, 0, 0]),  # gaps between the windows
    ((1, 5, 31, 3), [1, 5], [1, 2], [0, 0, 2, 2]),
    ((7, 13, 1, 7), [3, 1], [3, 1], [1, 2, 0, 0]),
    ((2, 3, 4, 5), [3, 4], [1, 1], [2, 2, 3, 3]),  # most windows hang over the border
    ((1, 17, 16, 2), [16, 16], [1, 1], [0, 0, 0, 0]),  # 256 places, the most there can be
]


def _cases() -> list[Case]:
    cases = []
    for shape, window, strides, padding in _GEOMETRIES:
        attrs = {"window": window, "strides": strides, "padding": padding}
        cases.append(Case("max_pool2d", (Input(shape, "distinct"),), attrs, 0.0))
        cases.append(Case("avg_pool2d", (Input(shape),), attrs, 2e-6))
    return cases


CASES: list[Case] = _cases()
