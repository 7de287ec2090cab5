"""A small batch of which Keras's numbers are known, and how near to them is near enough."""

from __future__ import annotations

import numpy as np

X = np.array(
    [[[0.5, -1, 2], [1.5, 0, -2]], [[-0.5, 3, 1], [2.5, 1, 0]]],
    np.float32,
)  # (2, 2, 3)


def close(value, expected, tolerance=1e-6):
    """Asserts it, relative to each number and to the largest."""
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance * scale)
