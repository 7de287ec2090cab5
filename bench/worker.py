"""A peer's process: reads commands as lines of JSON on stdin and answers each with one line.

Started by `bench.process` with the peer's name; between commands it sleeps (and is stopped).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import resource
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from bench import data
from bench.data import Data
from bench.peers import PEERS, OneRow, Peer, PeerModule
from bench.workloads import WORKLOADS, Unsupported, Workload

_ONE_ROW_CALLS = 1000
_ONE_ROW_SECONDS = 1.0


class Worker:
    """Holds the built peer; one public method per command."""

    peer: Peer
    data: Data
    workload: Workload

    def __init__(self, name: str) -> None:
        self.name = name
        self.epochs = 0
        # Seconds of one epoch, or of one pass over the test images, as last measured.
        self.estimates: dict[str, float] = {}

    def build(self, workload: str, path: str | None, threads: int) -> dict[str, Any]:
        """Import, load, build, choose the mode and train the first epoch (which compiles)."""
        start = time.perf_counter()
        module = cast(PeerModule, importlib.import_module(f"bench.peers.{PEERS[self.name].module}"))
        self.workload = WORKLOADS[workload]
        self.data = data.load(self.workload, path)
        self.peer = module.build(self.workload, self.data, threads, self.name)
        self._train(1)
        return {"mode": self.peer.mode, "seconds": time.perf_counter() - start}

    def train(self, seconds: float) -> dict[str, Any]:
        return self._block("train", self._train, len(self.data.x_train), seconds)

    def predict(self, seconds: float) -> dict[str, Any]:
        return self._block("predict", self._predict, len(self.data.x_test), seconds)

    def accuracy(self) -> dict[str, Any]:
        """That the peer really learns: epochs trained so far and test accuracy.

        Of an autoencoder the mean squared error between test images and reconstructions.
        """
        x, y = self.data.x_test, self.data.y_test
        scores = np.asarray(self.peer.predict(x))
        if self.workload.autoencoder:
            return {"epochs": self.epochs, "squared_error": float(np.mean((scores - x) ** 2))}
        return {"epochs": self.epochs, "accuracy": float(np.mean(scores.argmax(axis=1) == y))}

    def one_row(self) -> dict[str, Any]:
        """Median and least microseconds per call of each way to score one row."""
        row = self.data.x_test[:1].copy()
        return {"ways": {name: _latency(call, row) for name, call in self.peer.one_row().items()}}

    def _train(self, times: int) -> None:
        self.peer.train(times)
        self.epochs += times

    def _predict(self, times: int) -> None:
        for _ in range(times):
            self.peer.predict(self.data.x_test)

    def _block(
        self, kind: str, run: Callable[[int], None], images: int, seconds: float
    ) -> dict[str, Any]:
        """Time at least `seconds` of whole passes; long passes are measured one per block."""
        cpu_before = _cpu_seconds()
        if self.estimates.get(kind, 0.0) < seconds / 2:
            # Caches and branch predictors hold another peer's state: one pass untimed, repeated
            # while there is no estimate (the first passes may still compile).
            for _ in range(1 if kind in self.estimates else 2):
                self.estimates[kind] = _timed(run, 1)
        passes = max(1, math.ceil(seconds / self.estimates[kind]))
        wall = _timed(run, passes)
        self.estimates[kind] = wall / passes
        return {
            "seconds": wall, "images": passes * images, "cpu_seconds": _cpu_seconds() - cpu_before,
        }  # fmt: skip


def _timed(run: Callable[[int], None], passes: int) -> float:
    start = time.perf_counter()
    run(passes)
    return time.perf_counter() - start


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _latency(call: OneRow, row: data.Floats) -> dict[str, float]:
    times: list[float] = []
    for _ in range(20):
        call(row)
    deadline = time.perf_counter() + _ONE_ROW_SECONDS
    while len(times) < _ONE_ROW_CALLS or (
        len(times) < 20 * _ONE_ROW_CALLS and time.perf_counter() < deadline
    ):
        start = time.perf_counter()
        call(row)
        times.append(1e6 * (time.perf_counter() - start))
    return {"median_us": statistics.median(times), "min_us": min(times)}


def _die_with_parent() -> None:
    """A stopped worker would outlive a killed driver: ask the kernel to end it too."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def serve(worker: object) -> None:
    """Answer every command with one line, until stdin ends, as it does when the driver is gone."""
    # Frameworks print to stdout at will: keep it to ourselves and point theirs at stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Unsupported as error:
            answer = {"unsupported": str(error)}
        except Exception as error:  # reported to the driver, which leaves the peer out
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        answers.write(json.dumps(answer) + "\n")


def main() -> None:
    _die_with_parent()
    serve(Worker(sys.argv[1]))


if __name__ == "__main__":
    main()
