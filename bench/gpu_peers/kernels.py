"""Products and convolutions alone: weft's kernels beside PyTorch's.

weft runs a plan with the op and its two gradients under `Plan.profile`, which waits for the GPU
after each kernel. PyTorch is timed the same way, and once more without waiting between calls.
Launching and waiting cost some microseconds, which both carry: that is little for products of 2048
and above, and most of what is seen of small ones.
"""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import weft
from bench import conv
from bench.by_isa import ROLES
from bench.gpu_peers import PRECISIONS, micro
from weft import _core

GEMM_SHAPES = ((128, 784, 512), *((n, n, n) for n in (512, 1024, 2048, 4096, 8192)))
# The convolutions of W9 and W10, with their own batch and one that fills a GPU.
CONV_SHAPES = (
    ("1to32_28x28_same", 64), ("32to64_14x14_same", 64), ("1to32_28x28_same", 2048),
    ("32to64_14x14_same", 2048), ("1to32_28x28_valid", 128), ("32to64_13x13_valid", 128),
    ("1to32_28x28_valid", 2048), ("32to64_13x13_valid", 2048),
)  # fmt: skip
_SECONDS = 0.2  # of calls behind each figure
_LEAST, _MOST = 3, 100  # calls

Call = Callable[[], object]
Seconds = dict[str, float]  # by role

# Which of a plan's kernels do the work of a role, by the beginnings of their names. An
# input's gradient starts with a flipped kernel, or on the CPU with a transposed copy.
_GEMM_KERNELS = {
    "grad_kernel": ("dense_grad_kernel",),
    "grad_input": ("dense_grad_input", "transpose_rows"),
    "forward": ("dense",),
}
_CONV_KERNELS = {
    "grad_kernel": ("conv2d_grad_kernel", "sum_partials"),
    "grad_input": ("conv2d_grad_input", "conv2d_flip_kernel"),
    "forward": ("conv2d",),
}


def role_of(kernel: str, table: dict[str, tuple[str, ...]]) -> str | None:
    """The first role that claims the kernel: 'dense' is also how the gradients' names begin."""
    for role, beginnings in table.items():
        if kernel.startswith(beginnings):
            return role
    return None


def calls_for(seconds: float) -> int:
    """How many calls of so many seconds make up a figure."""
    return max(_LEAST, min(_MOST, int(_SECONDS / max(seconds, 1e-9))))


class Profile:
    """A plan of one op and its gradients with respect to its input and its kernel.

    Args:
        op: Given the graph and its input, records the op and returns its value and the kernel.
        x: The input, and `dy` the gradient that comes back to it.
        table: Which kernels belong to which role.
    """

    def __init__(
        self,
        op: Callable[[_core.Graph, int], tuple[int, int]],
        x: np.ndarray[Any, Any],
        dy: np.ndarray[Any, Any],
        table: dict[str, tuple[str, ...]],
    ) -> None:
        graph = _core.Graph()
        fed = graph.input(list(x.shape), "float32")
        back = graph.input(list(dy.shape), "float32")
        y, kernel = op(graph, fed)
        product = graph.op("binary", [y, back], {"fn": "multiply"})
        loss = graph.op("reduce", [product], {"fn": "sum", "axes": [], "keepdims": False})
        for slot, value in enumerate([loss, *graph.gradients(loss, [fed, kernel])]):
            graph.op("accumulate", [value], {"slot": 2 * slot})  # or nobody would need it
        self.plan = _core.Plan(graph)
        self.arrays = [x, dy]
        self.roles = [role_of(step["kernel"], table) for step in self.plan.describe()]
        missing = set(ROLES) - set(self.roles)
        if missing:
            raise ValueError(f"no kernel of the plan is the {', '.join(sorted(missing))}")

    def seconds(self, precision: str) -> Seconds:
        weft.config.set_matmul_precision(precision)
        state = _core.StepState(0)
        first = self.plan.profile(state, self.arrays, None, 2)
        each = self.plan.profile(state, self.arrays, None, calls_for(sum(first)))
        found = dict.fromkeys(ROLES, 0.0)
        for role, seconds in zip(self.roles, each, strict=True):
            if role is not None:
                found[role] += seconds
        return found


def dense(m: int, k: int, n: int) -> Profile:
    rng = np.random.default_rng(0)
    kernel = _core.Variable(rng.standard_normal((k, n), dtype=np.float32), "kernel")

    def op(graph: _core.Graph, x: int) -> tuple[int, int]:
        w = graph.variable(kernel)
        return graph.op("dense", [x, w]), w

    x, dy = (rng.standard_normal((m, size), dtype=np.float32) for size in (k, n))
    return Profile(op, x, dy, _GEMM_KERNELS)


def convolution(shape: conv.Shape, batch: int) -> Profile:
    """With bias and relu, as in `bench.conv`."""
    rng = np.random.default_rng(0)
    size = (shape.kernel, shape.kernel, shape.c, shape.f)
    kernel = _core.Variable(rng.standard_normal(size, dtype=np.float32), "kernel")
    bias = _core.Variable(rng.standard_normal(shape.f, dtype=np.float32), "bias")
    around = shape.kernel - 1 if shape.padding == "same" else 0
    padding = [around // 2, around - around // 2] * 2

    def op(graph: _core.Graph, x: int) -> tuple[int, int]:
        w = graph.variable(kernel)
        attrs = {"strides": [1, 1], "dilation": [1, 1], "padding": padding}
        y = graph.op("conv2d", [x, w, graph.variable(bias)], attrs)
        return graph.op("unary", [y], {"fn": "relu"}), w

    x = rng.standard_normal((batch, shape.h, shape.w, shape.c), dtype=np.float32)
    dy = rng.standard_normal((batch, *shape.output(), shape.f), dtype=np.float32)
    return Profile(op, x, dy, _CONV_KERNELS)


class Torch:
    """PyTorch's side, in a precision: operands in bfloat16 are stored so, weft's are rounded."""

    def __init__(self, device: str, precision: str) -> None:
        import torch

        from bench.gpu_peers import torch_training

        torch_training.check_device(device)
        torch_training.set_precision(precision)
        torch.set_grad_enabled(False)
        self.torch, self.device = torch, device
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.wait = functools.partial(torch_training.synchronize, device)

    def dense_calls(self, m: int, k: int, n: int) -> dict[str, Call]:
        torch = self.torch
        random = functools.partial(torch.randn, device=self.device, dtype=self.dtype)
        x, w, dy = random(m, k), random(k, n), random(m, n)
        y, dx, dw = random(m, n), random(m, k), random(k, n)
        return {
            "forward": lambda: torch.mm(x, w, out=y),
            "grad_input": lambda: torch.mm(dy, w.t(), out=dx),
            "grad_kernel": lambda: torch.mm(x.t(), dy, out=dw),
        }

    def conv_calls(self, shape: conv.Shape, batch: int, layout: str) -> dict[str, Call]:
        torch = self.torch
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(self.device):
                return conv.torch_calls(shape, batch, layout, 1)
        finally:
            torch.set_default_dtype(torch.float32)

    def waited(self, call: Call) -> float:
        """Median seconds of a call and of waiting for it, as `Plan.profile` measures."""

        def once() -> float:
            start = time.perf_counter()
            call()
            self.wait()
            return time.perf_counter() - start

        once()
        return median(once() for _ in range(calls_for(once())))

    def in_a_row(self, call: Call) -> float:
        """Mean seconds of calls one after the other."""
        start = time.perf_counter()
        call()
        self.wait()
        count = calls_for(time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(count):
            call()
        self.wait()
        return (time.perf_counter() - start) / count


class KernelWorker:
    """Commands of the worker for kernels; answers are {precision: {library: {role: seconds}}}."""

    def __init__(self, device: str) -> None:
        self.device = device

    def load(self) -> dict[str, Any]:
        weft.config.set_device(self.device)
        self.with_torch = importlib.util.find_spec("torch") is not None
        if self.with_torch:
            importlib.import_module("torch")
        return {"torch": self.with_torch}

    def gemm(self, shape: list[int]) -> dict[str, Any]:
        m, k, n = shape
        profile, found = dense(m, k, n), {}
        for precision in PRECISIONS:
            found[precision] = {"weft": profile.seconds(precision)}
            if self.with_torch:
                torch = Torch(self.device, precision)
                calls = torch.dense_calls(m, k, n)
                found[precision]["torch"] = {r: torch.waited(calls[r]) for r in ROLES}
                found[precision]["torch, in a row"] = {r: torch.in_a_row(calls[r]) for r in ROLES}
        found["float32"]["weft, tf32x3"] = profile.seconds("tf32x3")  # as exact
        return found

    def conv(self, shape: str, batch: int) -> dict[str, Any]:
        chosen = conv.parse_shape(shape)
        profile, found = convolution(chosen, batch), {}
        for precision in PRECISIONS:
            found[precision] = {"weft": profile.seconds(precision)}
            if self.with_torch:
                torch = Torch(self.device, precision)
                layouts = [torch.conv_calls(chosen, batch, each) for each in conv.LAYOUTS]
                found[precision]["torch"] = {
                    role: min(torch.waited(calls[role]) for calls in layouts) for role in ROLES
                }
        return found

    def micro(self, name: str) -> dict[str, float]:
        return micro.TABLE[name](self.device)
