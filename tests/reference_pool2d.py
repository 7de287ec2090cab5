"""What the ops of pooling mean, in plain float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def _pool(x: Array, attrs: dict[str, Any], of_window: Callable[[Array], Array]) -> Array:
    """`of_window` of each window (N, h, w, C) of x (N, H, W, C), without what is padding."""
    (height, width), (down, right) = attrs["window"], attrs["strides"]
    top, bottom, left, after = attrs["padding"]
    rows = range(-top, x.shape[1] + bottom - height + 1, down)
    columns = range(-left, x.shape[2] + after - width + 1, right)
    y = np.empty((len(x), len(rows), len(columns), x.shape[3]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = x[:, max(row, 0) : row + height, max(column, 0) : column + width]
            y[:, i, j] = of_window(window)
    return y


OPS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "max_pool2d": lambda inputs, attrs: _pool(inputs[0], attrs, lambda w: w.max((1, 2))),
    "avg_pool2d": lambda inputs, attrs: _pool(inputs[0], attrs, lambda w: w.mean((1, 2))),
}
