"""The machine at a moment: its FMA peak, by weft's own loop of independent multiply-adds in
registers, and how far its CPUs are apart."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bench import stats


def find(name: str) -> Callable[..., float] | None:
    """A function of weft._core, or None where weft is not built."""
    try:
        found: Callable[..., float] = getattr(importlib.import_module("weft._core"), name)
    except (ImportError, AttributeError):
        return None
    return found


class PeakMeter:
    """Runs the loop on the driver's CPU set and remembers every figure in GFLOP/s."""

    def __init__(self, threads: int, seconds: float = 0.05) -> None:
        self.threads, self.seconds = threads, seconds
        self.loop = find("fma_peak")
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


class RoundTripMeter:
    """Nanoseconds of a cache line from one CPU to another and back, all that were measured.

    A host may place two CPUs on cores that share no cache, for seconds or minutes; the peak loop
    does not notice.
    """

    def __init__(self, threads: int) -> None:
        self.trip = find("round_trip") if threads > 1 else None
        self.samples: list[float] = []

    def measure(self) -> float | None:
        if self.trip is None:
            return None
        self.samples.append(self.trip())
        return self.samples[-1]

    @property
    def least(self) -> float | None:
        return min(self.samples, default=None)
