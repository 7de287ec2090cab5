"""Blocks, which of them count, and what is reported about them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

# A block is noisy when a peak loop beside it ran below this share of the run's best peak ...
MIN_PEAK = 0.90
# ... or when a cache line to another CPU and back took more than so many times the run's least ...
MAX_ROUND_TRIP = 2.0
# ... or when other processes, or other guests of the host, used more than this share of its CPUs.
MAX_FOREIGN = 0.05
MAX_STEAL = 0.02
# Noisy blocks are left out only where at least this many clean ones remain.
MIN_CLEAN = 3


@dataclass(frozen=True)
class Block:
    """One timed block of a peer and what surrounded it."""

    seconds: float
    images: int
    peak_before: float | None = None  # GFLOP/s of the FMA loop, None without weft
    peak_after: float | None = None
    foreign: float = 0.0  # share of the CPU set used by other processes
    steal: float = 0.0  # share of the CPU set taken by the hypervisor
    trip_before: float | None = None  # ns to another CPU and back, None for one thread
    trip_after: float | None = None

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    def is_noisy(self, best_peak: float | None, least_trip: float | None = None) -> bool:
        if self.foreign > MAX_FOREIGN or self.steal > MAX_STEAL:
            return True
        peaks = [peak for peak in (self.peak_before, self.peak_after) if peak is not None]
        trips = [trip for trip in (self.trip_before, self.trip_after) if trip is not None]
        slow = best_peak is not None and any(peak < MIN_PEAK * best_peak for peak in peaks)
        apart = least_trip is not None and any(trip > MAX_ROUND_TRIP * least_trip for trip in trips)
        return slow or apart

    def to_json(self) -> dict[str, Any]:
        return {"images_per_second": self.rate, **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Block:
        return cls(**{key: values[key] for key in cls.__dataclass_fields__ if key in values})


@dataclass(frozen=True)
class Summary:
    """Images per second over the blocks that count."""

    median: float
    low: float
    high: float
    used: int
    total: int
    clean: bool  # whether the noisy blocks could be left out

    def ratio_to(self, other: Summary) -> tuple[float, float]:
        """(ratio of the medians, ratio of the best blocks)."""
        return self.median / other.median, self.high / other.high


def clean_blocks(
    blocks: Sequence[Block], best_peak: float | None, least_trip: float | None = None
) -> list[Block]:
    return [block for block in blocks if not block.is_noisy(best_peak, least_trip)]


def summarise(
    blocks: Sequence[Block], best_peak: float | None, least_trip: float | None = None
) -> Summary:
    """Median, lowest and highest rate; all blocks count where too few clean ones remain."""
    if not blocks:
        raise ValueError("no blocks to summarise")
    used = clean_blocks(blocks, best_peak, least_trip)
    clean = len(used) >= min(MIN_CLEAN, len(blocks))
    rates = [block.rate for block in (used if clean else blocks)]
    return Summary(median(rates), min(rates), max(rates), len(rates), len(blocks), clean)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    if not logs:
        raise ValueError("the geometric mean needs at least one value")
    return math.exp(sum(logs) / len(logs))


def typical_peak(peaks: Sequence[float]) -> float | None:
    """The median of the peak loops that were not disturbed: what fractions refer to."""
    if not peaks:
        return None
    return median(peak for peak in peaks if peak >= MIN_PEAK * max(peaks))
