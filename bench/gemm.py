"""`python -m bench.gemm`: fraction of FMA peak of the dense kernels, by shape, role and ISA.

A dense layer's three products over weights in panels, for a batch of M, K inputs and N units:
forward (M,K)x(K,N), grad_input (M,N)x(N,K) and grad_kernel (K,M)x(M,N). Each ISA runs in a process
of its own, since weft chooses its kernels once. Useful FLOPs only, 2*M*K*N for each role.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine, report, stats
from bench.peak import PeakMeter

ROLES = ("forward", "grad_input", "grad_kernel")
ISAS = {"avx2": "avx2", "avx512": "avx512f"}  # WEFT_ISA -> the flag in /proc/cpuinfo
Shape = tuple[int, int, int]  # (M, K, N)
SHAPES: tuple[Shape, ...] = (
    (128, 784, 512), (32, 784, 512), (50, 784, 200), (50, 784, 1000), (50, 500, 500),
    (128, 512, 512), (32, 512, 512), (128, 2500, 2000), (128, 512, 10),
)  # fmt: skip
# The least share of the FMA peak asked for, in every role and ISA.
GOALS: dict[Shape, float] = {(128, 784, 512): 0.95, (32, 784, 512): 0.90}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gemm", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="such as avx2,avx512; default: all this CPU has")
    parser.add_argument("--shapes", help="such as 128x784x512,32x784x512")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each figure")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a measurement")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--gate", action="store_true", help="print which goals are met")
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    present = [name for name, flag in ISAS.items() if machine.has_flag(flag)]
    options.isa = options.isa.split(",") if options.isa else present
    unknown = [name for name in options.isa if name not in present]
    if unknown or not options.isa:
        parser.error(f"this CPU lacks {', '.join(unknown)}; it has {', '.join(present) or 'none'}")
    if options.shapes is None:
        options.shapes = list(SHAPES)
    else:
        try:
            options.shapes = [parse_shape(text) for text in options.shapes.split(",")]
        except ValueError as error:
            parser.error(str(error))
    return options


def parse_shape(text: str) -> Shape:
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) for part in parts):
        raise ValueError(f"a shape is MxKxN with positive sizes, such as 128x784x512; got {text!r}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def measure(shapes: list[Shape], threads: int, rounds: int, seconds: float) -> dict[str, Any]:
    """GFLOP/s of each shape and role for the active ISA, a peak loop before and after each."""
    bench_dense = importlib.import_module("weft._core").bench_dense
    peak = PeakMeter(threads)
    if peak.loop is None:
        raise SystemExit("weft._core.fma_peak is missing: is weft built?")
    found: dict[str, dict[str, list[float]]] = {}
    kept: dict[str, dict[str, list[float]]] = {}  # those of a quiet machine
    for _ in range(rounds):
        before = peak.measure() or 0.0
        for m, k, n in shapes:
            for role in ROLES:
                rate = bench_dense(role, m, k, n, threads=threads, seconds=seconds)
                after = peak.measure() or 0.0
                shape = f"{m}x{k}x{n}"
                found.setdefault(shape, {}).setdefault(role, []).append(rate)
                if min(before, after) >= stats.MIN_PEAK * max(peak.samples):
                    kept.setdefault(shape, {}).setdefault(role, []).append(rate)
                before = after
    return {"gflops": found, "clean": kept, "peak": peak.typical, "peak_best": peak.best}


def fraction(result: dict[str, Any], shape: str, role: str) -> float:
    """Median share of the peak, over the clean measurements where there are enough."""
    rates = result["clean"].get(shape, {}).get(role, [])
    if len(rates) < stats.MIN_CLEAN:
        rates = result["gflops"][shape][role]
    return float(median(rates) / result["peak"])


def to_markdown(results: dict[str, Any]) -> str:
    parts = []
    for isa, result in results["isa"].items():
        rows = [
            [shape, *(f"{100 * fraction(result, shape, role):.1f}" for role in ROLES)]
            for shape in result["gflops"]
        ]
        parts.append(
            f"## {isa}, {results['threads']} threads: % of FMA peak {result['peak']:.0f} GFLOP/s"
        )
        parts.append(report.table(["M x K x N", *ROLES], rows))
    return "\n\n".join(parts)


def gate_to_text(results: dict[str, Any]) -> str:
    lines = ["## Goals"]
    for (m, k, n), least in GOALS.items():
        shape = f"{m}x{k}x{n}"
        for isa, result in results["isa"].items():
            if shape not in result["gflops"]:
                lines.append(f"- not measured: {isa} {shape} at {least:.0%} of the FMA peak")
                continue
            shares = {role: fraction(result, shape, role) for role in ROLES}
            state = "met" if min(shares.values()) >= least else "NOT MET"
            figures = ", ".join(f"{role} {share:.1%}" for role, share in shares.items())
            lines.append(f"- {state}: {isa} {shape} at {least:.0%} of the FMA peak [{figures}]")
    return "\n".join(lines)


def run_worker(options: argparse.Namespace, isa: str) -> dict[str, Any]:
    """Measure one ISA in a process of its own."""
    command = [
        sys.executable, "-m", "bench.gemm", "--as-worker", "--isa", isa,
        "--threads", str(options.threads), "--rounds", str(options.rounds),
        "--seconds", str(options.seconds),
        "--shapes", ",".join("x".join(map(str, shape)) for shape in options.shapes),
    ]  # fmt: skip
    environment = os.environ | {"WEFT_ISA": isa, "WEFT_NUM_THREADS": str(options.threads)}
    done = subprocess.run(
        command, env=environment, cwd=machine.ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.as_worker:
        result = measure(options.shapes, options.threads, options.rounds, options.seconds)
        print(json.dumps(result))
        return
    if importlib.util.find_spec("weft") is None:
        raise SystemExit("weft is not installed: nothing to measure")
    cpus = machine.choose_cpus(options.threads)
    os.sched_setaffinity(0, cpus)
    results: dict[str, Any] = {**machine.provenance(cpus), "threads": options.threads, "isa": {}}
    for isa in options.isa:
        print(f"measuring {isa}", file=sys.stderr, flush=True)
        results["isa"][isa] = run_worker(options, isa)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(to_markdown(results))
    if options.gate:
        print(gate_to_text(results))


if __name__ == "__main__":
    main()
