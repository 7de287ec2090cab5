"""Microbenchmarks: small measurements of a GPU that decide how kernels are built.

Each is a function of the device that returns named figures, in the units its docstring says, and
an entry of TABLE. `python -m bench.gpu` runs them all, in a process of their own with weft in it,
and keeps their figures under "micro" in the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import weft


def step_latency(device: str) -> dict[str, float]:
    """Microseconds of a training step whose kernels have next to nothing to do, by dense layers.

    The slope over the number of layers is what one more layer costs in launches alone.
    """
    steps = 2000
    x, y = np.zeros((steps, 16), np.float32), np.zeros(steps, np.int32)
    x[:] = np.random.default_rng(0).random(x.shape, dtype=np.float32)
    found = {}
    for count in (1, 4, 8):
        model = weft.Sequential([weft.Input((16,))])
        for _ in range(count - 1):
            model.add(weft.layers.Dense(16, activation="relu"))
        model.add(weft.layers.Dense(10))
        model.compile("sgd", weft.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=1, epochs=1, verbose=0)
        start = time.perf_counter()
        model.fit(x, y, batch_size=1, epochs=4, verbose=0)
        found[f"{count} layers"] = (time.perf_counter() - start) / (4 * steps) * 1e6
    return found


def copy_to_device(device: str) -> dict[str, float]:
    """GB/s from the host's memory to the device's, in the ways that data get there."""
    found = {}
    for megabytes in (1, 16, 256):
        array = np.random.default_rng(0).random(megabytes << 18, dtype=np.float32)
        variable = weft._core.Variable(array, "array")
        variable.assign(array)
        start = time.perf_counter()
        for _ in range(4):
            variable.assign(array)
        found[f"{megabytes} MiB"] = 4 * array.nbytes / (time.perf_counter() - start) / 1e9
    return found


TABLE: dict[str, Callable[[str], dict[str, float]]] = {
    "step_latency": step_latency,
    "copy_to_device": copy_to_device,
}
