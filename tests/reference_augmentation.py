"""What the ops of augmentation of images mean, in plain float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def filled_index(index: Array, size: int, mode: str) -> Array:
    """The pixel that stands at any index along an axis; -1 for the constant."""
    if mode == "nearest":
        return np.clip(index, 0, size - 1)
    if mode == "wrap":
        return index % size
    if mode == "reflect":
        r = index % (2 * size)
        return np.where(r < size, r, 2 * size - 1 - r)
    return np.where((index >= 0) & (index < size), index, -1)


def affine_transform(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    """See csrc/ops/image.h."""
    x, m = inputs[0], inputs[1][:, :, None, None]
    n, h, w, _ = x.shape
    oh, ow = attrs.get("size", (h, w))
    i, j = np.meshgrid(np.arange(oh), np.arange(ow), indexing="ij")
    column = m[:, 0] * j + m[:, 1] * i + m[:, 2]
    row = m[:, 3] * j + m[:, 4] * i + m[:, 5]
    if len(inputs) > 2:
        row, column = row + inputs[2][:, 0], column + inputs[2][:, 1]
    bilinear = attrs["interpolation"] == "bilinear"
    image = np.arange(n)[:, None, None]
    first_row, first_column = (np.floor(p if bilinear else p + 0.5) for p in (row, column))
    y = np.zeros((n, oh, ow, x.shape[3]))
    for a in range(2 if bilinear else 1):
        for b in range(2 if bilinear else 1):
            r = filled_index((first_row + a).astype(int), h, attrs["fill_mode"])
            c = filled_index((first_column + b).astype(int), w, attrs["fill_mode"])
            value = np.where(((r < 0) | (c < 0))[..., None], attrs["fill_value"], x[image, r, c])
            if bilinear:
                weight = (1 - np.abs(row - first_row - a)) * (1 - np.abs(column - first_column - b))
                value = value * weight[..., None]
            y = y + value
    return y


def band(size: int, sigma: float, radius: int) -> Array:
    """The matrix that filters a vector: normalized Gaussian weights of |i - j|, 0 outside."""
    d = np.arange(-radius, radius + 1)
    total = np.sum(np.exp(-(d**2) / (2 * sigma**2)))
    distance = np.abs(np.arange(size)[:, None] - np.arange(size))
    return np.where(distance <= radius, np.exp(-(distance**2) / (2 * sigma**2)) / total, 0.0)


def gaussian_filter(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    """See csrc/ops/image.h."""
    (x,) = inputs
    rows = band(x.shape[2], attrs["sigma"], attrs["radius"])
    columns = band(x.shape[3], attrs["sigma"], attrs["radius"])
    return attrs["scale"] * (rows @ x @ columns)


OPS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "affine_transform": affine_transform,
    "gaussian_filter": gaussian_filter,
}
