"""The machine's FMA peak, from weft's own loop of independent multiply-adds in registers."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bench import stats


def find_loop() -> Callable[..., float] | None:
    """weft._core.fma_peak, or None where weft is not built."""
    try:
        loop: Callable[..., float] = importlib.import_module("weft._core").fma_peak
    except (ImportError, AttributeError):
        return None
    return loop


class PeakMeter:
    """Runs the loop on the driver's CPU set and remembers every figure in GFLOP/s."""

    def __init__(self, threads: int, seconds: float = 0.05) -> None:
        self.threads, self.seconds = threads, seconds
        self.loop = find_loop()
        self.samples: list[float] = []

    def measure(self) -> float | None:
        if self.loop is None:
            return None
        self.samples.append(self.loop(threads=self.threads, seconds=self.seconds))
        return self.samples[-1]

    @property
    def best(self) -> float | None:
        return max(self.samples, default=None)

    @property
    def typical(self) -> float | None:
        return stats.typical_peak(self.samples)
