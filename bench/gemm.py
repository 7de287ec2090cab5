"""`python -m bench.gemm`: fraction of FMA peak of the dense kernels, by shape, role and ISA.

A dense layer's three products over weights in panels, for a batch of M, K inputs and N units:
forward (M,K)x(K,N), grad_input (M,N)x(N,K) and grad_kernel (K,M)x(M,N). Each ISA runs in a process
of its own, since weft chooses its kernels once. Useful FLOPs only, 2*M*K*N for each role.
`--peers numpy,torch` measures the same products of NumPy's OpenBLAS and PyTorch's MKL in the same
rounds.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import blas, by_isa, report
from bench.by_isa import ROLES, best_fraction, fraction, rate_of

Shape = tuple[int, int, int]  # (M, K, N)
SHAPES: tuple[Shape, ...] = (
    (128, 784, 512), (32, 784, 512), (50, 784, 200), (50, 784, 1000), (50, 500, 500),
    (128, 512, 512), (32, 512, 512), (128, 2500, 2000), (128, 512, 10),
)  # fmt: skip
# The least share of the FMA peak asked for, in every role and ISA.
GOALS: dict[Shape, float] = {(128, 784, 512): 0.95, (32, 784, 512): 0.90}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gemm", description=__doc__)
    by_isa.add_options(parser, seconds=0.2)
    parser.add_argument("--shapes", help="such as 128x784x512,32x784x512")
    parser.add_argument("--peers", default="", help="libraries to measure beside it: numpy,torch")
    parser.add_argument("--gate", action="store_true", help="print which goals are met")
    options = parser.parse_args(arguments)
    options.isa = by_isa.chosen_isas(parser, options.isa)
    options.peers = [name for name in options.peers.split(",") if name]
    for name in options.peers:
        if name not in blas.LIBRARIES:
            parser.error(f"--peers takes {' and '.join(blas.LIBRARIES)}; got {name!r}")
        if importlib.util.find_spec(name) is None:
            parser.error(f"{name} is not installed")
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


def name_of(shape: Shape) -> str:
    return "x".join(map(str, shape))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """GFLOP/s of each shape and column for the active ISA; a peer's column is "numpy forward"."""
    bench_dense = importlib.import_module("weft._core").bench_dense
    rates = by_isa.Rates(options.threads)
    runs: dict[tuple[str, str], Callable[[], float]] = {}
    for shape in options.shapes:
        m, k, n = shape
        for role in ROLES:
            runs[name_of(shape), role] = partial(
                bench_dense, role, m, k, n, threads=options.threads, seconds=options.seconds
            )
        for peer in options.peers:
            for role in ROLES:
                call = blas.call_of(peer, role, shape, options.threads)
                column = f"{peer} {role}"
                runs[name_of(shape), column] = partial(
                    rate_of, call, 2 * m * k * n, options.seconds
                )
    for _ in range(options.rounds):
        rates.measure_round(runs)
    return rates.to_json()


def share_of(result: dict[str, Any], shape: str, role: str) -> str:
    best = best_fraction(result, shape, role)
    return f"{100 * fraction(result, shape, role):.1f} ({100 * best:.1f})"


def to_markdown(results: dict[str, Any]) -> str:
    parts = []
    for isa, result in results["isa"].items():
        columns = list(next(iter(result["gflops"].values())))
        rows = [
            [shape, *(share_of(result, shape, column) for column in columns)]
            for shape in result["gflops"]
        ]
        parts.append(
            f"## {isa}, {results['threads']} threads: % of FMA peak {result['peak']:.0f} GFLOP/s, "
            "median (best)"
        )
        parts.append(report.table(["M x K x N", *columns], rows))
    return "\n\n".join(parts)


def gate_to_text(results: dict[str, Any]) -> str:
    lines = ["## Goals"]
    for goal, least in GOALS.items():
        shape = name_of(goal)
        for isa, result in results["isa"].items():
            if shape not in result["gflops"]:
                lines.append(f"- not measured: {isa} {shape} at {least:.0%} of the FMA peak")
                continue
            medians = [fraction(result, shape, role) for role in ROLES]
            best = [best_fraction(result, shape, role) for role in ROLES]
            state = (
                "met" if min(medians) >= least
                else "met in the best blocks" if min(best) >= least
                else "NOT MET"
            )  # fmt: skip
            figures = ", ".join(f"{role} {share_of(result, shape, role)}" for role in ROLES)
            lines.append(f"- {state}: {isa} {shape} at {least:.0%} of the FMA peak [{figures}]")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.as_worker:
        print(json.dumps(measure(options)))
        return
    own = ["--shapes", ",".join(map(name_of, options.shapes)), "--peers", ",".join(options.peers)]
    with tempfile.TemporaryDirectory() as scratch:
        results = by_isa.measure_all(
            options,
            "bench.gemm",
            own,
            lambda isa: blas.environment(options.peers, isa, options.threads, Path(scratch)),
        )
    print(to_markdown(results))
    if options.gate:
        print(gate_to_text(results))


if __name__ == "__main__":
    main()
