"""What the benchmarks of kernels share: rates between peak loops, in a process for each ISA.

weft chooses its kernels once, so each instruction set needs a process of its own. `python -m
bench.NAME` starts itself again with `--as-worker` and WEFT_ISA for each, and that process prints
its rates as JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine, stats
from bench.command_line import say, write_json
from bench.peak import PeakMeter

ROLES = ("forward", "grad_input", "grad_kernel")
ISAS = {"avx2": "avx2", "avx512": "avx512f"}  # WEFT_ISA -> the flag in /proc/cpuinfo


def add_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="such as avx2,avx512; default: all this CPU has")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each figure")
    parser.add_argument("--seconds", type=float, default=seconds, help="length of a measurement")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)


def chosen_isas(parser: argparse.ArgumentParser, text: str | None) -> list[str]:
    """Those that were asked for, or all that this CPU has."""
    present = [name for name, flag in ISAS.items() if machine.has_flag(flag)]
    chosen = text.split(",") if text else present
    unknown = [name for name in chosen if name not in present]
    if unknown or not chosen:
        parser.error(f"this CPU lacks {', '.join(unknown)}; it has {', '.join(present) or 'none'}")
    return chosen


class Rates:
    """GFLOP/s of the active ISA by shape and column, a peak loop before and after each."""

    def __init__(self, threads: int) -> None:
        self.peak = PeakMeter(threads)
        if self.peak.loop is None:
            raise SystemExit("weft._core.fma_peak is missing: is weft built?")
        self.found: dict[str, dict[str, list[float]]] = {}
        self.kept: dict[str, dict[str, list[float]]] = {}  # those of a quiet machine

    def measure_round(self, runs: Mapping[tuple[str, str], Callable[[], float]]) -> None:
        """One rate of each (shape, column)."""
        before = self.peak.measure() or 0.0
        for (shape, column), run in runs.items():
            rate = run()
            after = self.peak.measure() or 0.0
            self.found.setdefault(shape, {}).setdefault(column, []).append(rate)
            if min(before, after) >= stats.MIN_PEAK * max(self.peak.samples):
                self.kept.setdefault(shape, {}).setdefault(column, []).append(rate)
            before = after

    def to_json(self) -> dict[str, Any]:
        return {
            "gflops": self.found, "clean": self.kept,
            "peak": self.peak.typical, "peak_best": self.peak.best,
        }  # fmt: skip


def rate_of(call: Callable[[], object], flops: int, seconds: float) -> float:
    """GFLOP/s of calls that take about `seconds` together."""
    call()
    count, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or count == 0:
        call()
        count += 1
    return flops * count / elapsed * 1e-9


def fraction(result: dict[str, Any], shape: str, column: str) -> float:
    """Median share of the peak, over the clean measurements where there are enough."""
    rates = result["clean"].get(shape, {}).get(column, [])
    if len(rates) < stats.MIN_CLEAN:
        rates = result["gflops"][shape][column]
    return float(median(rates) / result["peak"])


def best_fraction(result: dict[str, Any], shape: str, column: str) -> float:
    """The best rate over the best peak: neighbours slow caches, which no peak loop shows."""
    return float(max(result["gflops"][shape][column]) / result["peak_best"])


def measure_all(
    options: argparse.Namespace,
    module: str,
    arguments: Sequence[str],
    environment_of: Callable[[str], Mapping[str, str]] = lambda isa: {},
    **about: Any,
) -> dict[str, Any]:
    """The results of every ISA, which --out is written with.

    Args:
        options: Of the command line, with those of `add_options`.
        module: What to start again, such as "bench.gemm".
        arguments: The options of that module's own that a worker needs.
        environment_of: What is set for the worker of an ISA beside weft's own variables.
        **about: What else the results say of the run.
    """
    if importlib.util.find_spec("weft") is None:
        raise SystemExit("weft is not installed: nothing to measure")
    cpus = machine.choose_cpus(options.threads)
    os.sched_setaffinity(0, cpus)
    results = {**machine.provenance(cpus), "threads": options.threads, **about, "isa": {}}
    for isa in options.isa:
        say(f"measuring {isa}")
        results["isa"][isa] = _run_worker(options, module, isa, arguments, environment_of(isa))
    if options.out:
        write_json(options.out, results)
    return results


def _run_worker(
    options: argparse.Namespace,
    module: str,
    isa: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    command = [
        sys.executable, "-m", module, "--as-worker", "--isa", isa,
        "--threads", str(options.threads), "--rounds", str(options.rounds),
        "--seconds", str(options.seconds), *arguments,
    ]  # fmt: skip
    own = {"WEFT_ISA": isa, "WEFT_NUM_THREADS": str(options.threads)}
    all_of_it = {**os.environ, **own, **environment}
    done = subprocess.run(
        command, env=all_of_it, cwd=machine.ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result
