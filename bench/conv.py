"""`python -m bench.conv`: fraction of FMA peak of the convolution kernels, by shape, role and ISA.

forward is the convolution with bias and relu, grad_input includes flipping the kernel, grad_kernel
stores the gradient; transforming a kernel for Winograd's way is part of each. Useful FLOPs only,
2*KH*KW*C*F for each output pixel and role, those over the zeros around an image included: a kernel
that skips them, or goes Winograd's way, can exceed 100 %. Each ISA runs in a process of its own.
PyTorch, where it is installed, runs beside it in the same rounds, each role in the faster of its
two layouts.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import by_isa, report
from bench.by_isa import ROLES, fraction, rate_of

LAYOUTS = ("channels_last", "contiguous_format")  # of PyTorch


@dataclass(frozen=True)
class Shape:
    """A convolution with a square kernel and stride 1; padding "same" or "valid"."""

    c: int
    f: int
    h: int
    w: int
    kernel: int
    padding: str

    def __str__(self) -> str:
        text = f"{self.c}to{self.f}_{self.h}x{self.w}_{self.padding}"
        return text if self.kernel == 3 else f"{text}_k{self.kernel}"

    def output(self) -> tuple[int, int]:
        lost = 0 if self.padding == "same" else self.kernel - 1
        return self.h - lost, self.w - lost

    def flops(self, batch: int) -> int:
        height, width = self.output()
        return 2 * batch * height * width * self.kernel**2 * self.c * self.f


def parse_shape(text: str) -> Shape:
    found = re.fullmatch(r"(\d+)to(\d+)_(\d+)x(\d+)_(same|valid)(?:_k(\d+))?", text)
    if found is None or any(part == "0" for part in found.groups()):
        raise ValueError(f"a shape is such as 32to64_14x14_same or 3to8_9x9_valid_k5; got {text!r}")
    c, f, h, w = (int(part) for part in found.groups()[:4])
    shape = Shape(c, f, h, w, int(found[6] or 3), found[5])
    if min(shape.output()) < 1:
        raise ValueError(f"the kernel does not fit into the images of {text!r}")
    return shape


SHAPES: tuple[Shape, ...] = (
    Shape(1, 32, 28, 28, 3, "same"), Shape(1, 32, 28, 28, 3, "valid"),
    Shape(32, 64, 14, 14, 3, "same"), Shape(32, 64, 13, 13, 3, "valid"),
    Shape(64, 64, 16, 16, 3, "same"), Shape(3, 32, 32, 32, 3, "same"),
    Shape(32, 1, 28, 28, 3, "same"),
)  # fmt: skip
BATCHES = (32, 128)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.conv", description=__doc__)
    by_isa.add_options(parser, seconds=0.1)
    parser.add_argument("--shapes", help="such as 32to64_14x14_same,3to8_9x9_valid_k5")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--pool", type=int, default=1, help="2: 2x2 max-pooling behind the relu")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    options = parser.parse_args(arguments)
    options.isa = by_isa.chosen_isas(parser, options.isa)
    try:
        names = options.shapes.split(",") if options.shapes else map(str, SHAPES)
        options.shapes = [parse_shape(name) for name in names]
        options.batches = [int(batch) for batch in options.batches.split(",")]
    except ValueError as error:
        parser.error(str(error))
    if min(options.batches) < 1 or options.pool < 1:
        parser.error("--batches and --pool must be positive")
    return options


Call = Callable[[], object]


def torch_calls(shape: Shape, batch: int, layout: str, pool: int) -> dict[str, Call]:
    """The same work in PyTorch, by role; with pooling forward alone, as the rest is other ops."""
    import torch
    from torch.nn import functional

    memory = getattr(torch, layout)
    height, width = shape.output()
    padding = [(shape.kernel - 1) // 2 if shape.padding == "same" else 0] * 2
    x = torch.rand(batch, shape.c, shape.h, shape.w).to(memory_format=memory)
    w = torch.rand(shape.f, shape.c, shape.kernel, shape.kernel).to(memory_format=memory)
    dy = torch.rand(batch, shape.f, height, width).to(memory_format=memory)
    bias = torch.rand(shape.f)

    def forward() -> object:
        y = functional.conv2d(x, w, bias, padding=padding).relu_()
        return functional.max_pool2d(y, pool, return_indices=True) if pool > 1 else y

    def backward(wanted: list[bool]) -> Call:
        one, none = [1, 1], [0, 0]
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, one, padding, one, False, none, 1, wanted
        )

    calls: dict[str, Call] = {"forward": forward}
    if pool == 1:
        calls["grad_input"] = backward([True, False, False])
        calls["grad_kernel"] = backward([False, True, False])
    return calls


def weft_rate(role: str, shape: Shape, batch: int, options: argparse.Namespace) -> float:
    bench_conv: Callable[..., float] = importlib.import_module("weft._core").bench_conv
    return bench_conv(
        role, batch, shape.h, shape.w, shape.c, shape.f, shape.kernel, shape.padding == "same",
        threads=options.threads, seconds=options.seconds, pool=options.pool,
    )  # fmt: skip


def measure(options: argparse.Namespace, with_torch: bool) -> dict[str, Any]:
    """GFLOP/s by shape and column for the active ISA."""
    rates = by_isa.Rates(options.threads)
    if with_torch:
        import torch

        torch.set_num_threads(options.threads)
        torch.set_grad_enabled(False)
    for shape in options.shapes:
        for batch in options.batches:
            name, flops = f"{shape} b{batch}", shape.flops(batch)
            runs: dict[tuple[str, str], Callable[[], float]] = {
                (name, role): partial(weft_rate, role, shape, batch, options) for role in ROLES
            }
            # PyTorch's "same" padding is that of an odd kernel only.
            for layout in LAYOUTS if with_torch and shape.kernel % 2 else ():
                for role, call in torch_calls(shape, batch, layout, options.pool).items():
                    column = f"torch {role} {layout}"
                    runs[name, column] = partial(rate_of, call, flops, options.seconds)
            for _ in range(options.rounds):
                rates.measure_round(runs)
    return rates.to_json()


def torch_fraction(result: dict[str, Any], shape: str, role: str) -> float | None:
    """That of PyTorch's faster layout, None where it was not measured."""
    columns = [f"torch {role} {layout}" for layout in LAYOUTS]
    measured = [column for column in columns if column in result["gflops"][shape]]
    return max((fraction(result, shape, column) for column in measured), default=None)


def to_markdown(results: dict[str, Any]) -> str:
    def cell(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f}"

    parts = []
    for isa, result in results["isa"].items():
        columns = {column for row in result["gflops"].values() for column in row}
        peers = any(column.startswith("torch") for column in columns)
        head = ["shape, batch", *ROLES, *(f"torch {role}" for role in ROLES if peers)]
        rows = [
            [shape, *(cell(fraction(result, shape, role)) for role in ROLES)]
            + [cell(torch_fraction(result, shape, role)) for role in ROLES if peers]
            for shape in result["gflops"]
        ]
        pooled = f", {results['pool']}x{results['pool']} max-pooling" if results["pool"] > 1 else ""
        parts.append(
            f"## {isa}, {results['threads']} threads{pooled}: "
            f"% of FMA peak {result['peak']:.0f} GFLOP/s"
        )
        parts.append(report.table(head, rows))
    return "\n\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.as_worker:
        installed = importlib.util.find_spec("torch") is not None
        print(json.dumps(measure(options, installed and not options.no_torch)))
        return
    own = ["--pool", str(options.pool), "--shapes", ",".join(map(str, options.shapes))]
    own += ["--batches", ",".join(map(str, options.batches))]
    own += ["--no-torch"] if options.no_torch else []
    results = by_isa.measure_all(options, "bench.conv", own, pool=options.pool)
    print(to_markdown(results))


if __name__ == "__main__":
    main()
