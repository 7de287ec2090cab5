"""What the ops of depthwise convolutions mean, in plain float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def _depthwise(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    """Output c*M + m is the convolution of channel c with its kernel m; trailing axes: C, M."""
    x, w = inputs[0], inputs[1]
    axes = w.ndim - 2
    strides = attrs.get("strides") or [1] * axes
    dilation = attrs.get("dilation") or [1] * axes
    pads = attrs.get("padding") or [0] * (2 * axes)
    around = [(pads[2 * a], pads[2 * a + 1]) for a in range(axes)]
    padded = np.pad(x, [(0, 0), *around, (0, 0)])
    sizes = [
        (padded.shape[a + 1] - (w.shape[a] - 1) * dilation[a] - 1) // strides[a] + 1
        for a in range(axes)
    ]
    y = np.zeros((len(x), *sizes, *w.shape[-2:]))
    for tap in np.ndindex(*w.shape[:axes]):
        seen = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, sizes, strides, strict=True)
        )
        y += padded[(slice(None), *seen)][..., None] * w[tap]
    y = y.reshape(*y.shape[:-2], -1)
    return y + inputs[2] if len(inputs) > 2 else y


OPS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {"depthwise_conv2d": _depthwise}
