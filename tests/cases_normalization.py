"""Cases of normalizations."""

from __future__ import annotations

import math

from case import Case, Input

# Positions fill lanes in several ways: channels that divide 16 or not, more than a block of 1024,
# rows of one position, and a last piece of a row that is shorter than the others.
_SHAPES: list[tuple[int, ...]] = [
    (2, 1),
    (3, 5),
    (7, 16),
    (31, 33),
    (2, 300),
    (2, 1, 2, 1),
    (2, 13, 13, 1),
    (3, 7, 5, 3),
    (1, 28, 28, 6),
    (2, 9, 16),
    (2, 5, 5, 33),
    (3, 3, 65),
    (5, 2, 2, 64),
    (1, 3, 1027),
]


def _cases() -> list[Case]:
    cases = []
    for shape in _SHAPES:
        x, channel = Input(shape), Input(shape[-1:])
        attrs = {"epsilon": 1e-3}
        # Of two values one becomes +1 and the other -1, whatever they were: no gradient to compare.
        positions = math.prod(shape[:-1])
        whole = (0, 1, 2) if positions > 2 else (1, 2)
        cases.append(Case("batch_norm", (x, channel, channel), attrs, 2e-6, whole))
        whole = (0, 1, 2) if shape[-1] > 2 else (1, 2)
        cases.append(Case("layer_norm", (x, channel, channel), attrs, 2e-6, whole))
        spread = Input(shape[-1:], "uniform", 0.1, 4.0)
        given = (x, channel, channel, channel, spread)
        cases.append(Case("batch_norm_inference", given, attrs, 2e-6, (0, 1, 2, 3, 4)))
    return cases


CASES: list[Case] = _cases()
