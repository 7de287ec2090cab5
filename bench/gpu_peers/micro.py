"""Microbenchmarks: small measurements of a GPU that decide how kernels are built.

Each is a function of the device that returns named figures, in the units its docstring says, and
an entry of TABLE. `python -m bench.gpu` runs them all, in a process of their own with weft in it,
and keeps their figures under "micro" in the result.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import numpy as np

import weft
from weft import _core


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable that is set for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


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


def step_orders(device: str) -> dict[str, float]:
    """Microseconds of a step of W6's network by how its kernels follow each other."""
    rng = np.random.default_rng(0)
    x = rng.random((128 * 64, 784), dtype=np.float32)
    y = rng.integers(0, 10, len(x)).astype(np.int32)
    found = {}
    for order in ("serial", "branches", "overlaps", "branches+overlaps"):
        with _environment("WEFT_CUDA_STEPS", order):
            stack: list[weft.layers.Layer] = [weft.Input((784,))]
            for _ in range(3):
                stack += [weft.layers.Dense(512, activation="relu"), weft.layers.Dropout(0.2)]
            model = weft.Sequential([*stack, weft.layers.Dense(10)])
            model.compile("rmsprop", weft.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(x, y, batch_size=128, epochs=2, verbose=0)
            times = []
            for epochs in (2, 42):
                start = time.perf_counter()
                model.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
                times.append(time.perf_counter() - start)
            found[order] = (times[1] - times[0]) / (40 * 64) * 1e6
    return found


def copy_to_device(device: str) -> dict[str, float]:
    """GB/s from the host's memory to the device's, in the ways that data get there.

    "direct" is one call of the driver and "staged" goes through pinned buffers, both with the
    allocation that goes before. "rows" are staged, too: 4 KiB each, gathered in random order, as
    for data that do not fit.
    """
    graph = _core.Graph()
    x = graph.input([1, 1024], "float32")
    plan = _core.Plan(graph, [graph.op("unary", [x], {"fn": "negative"})])
    found = {}
    for megabytes in (1, 16, 256):
        for way in ("direct", "staged", "rows"):
            with _environment("WEFT_CUDA_COPIES", "direct" if way == "direct" else "staged"):
                found[f"{way}, {megabytes} MiB"] = _copy_rate(way, megabytes, plan)
    return found


def _copy_rate(way: str, megabytes: int, plan: _core.Plan) -> float:
    rng = np.random.default_rng(0)
    array = rng.random((megabytes << 8, 1024), dtype=np.float32)
    order = rng.permutation(len(array)).astype(np.int32)
    held = _core.DeviceArray(array, plan)

    def copy() -> None:
        if way == "rows":
            held.gather(array, order, 0, len(order))
        else:
            _core.DeviceArray(array, plan)

    copy()
    start = time.perf_counter()
    for _ in range(4):
        copy()
    return 4 * array.nbytes / (time.perf_counter() - start) / 1e9


TABLE: dict[str, Callable[[str], dict[str, float]]] = {
    "step_latency": step_latency,
    "step_orders": step_orders,
    "copy_to_device": copy_to_device,
}
