"""PyTorch on a GPU: eager, with the whole step in a CUDA graph, and compiled.

The data lie on the GPU and batches are gathered there. Each of the three peers tries its modes on
the spot and keeps the fastest; every mode has a network of its own, so that none sees another's
memory layout or graphs.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data import Data, Floats
from bench.gpu_peers import Settings
from bench.peers import Array, OneRow, fastest, torch_common
from bench.workloads import Conv2D, Conv2DTranspose, Unsupported, Workload

_TRIAL_BATCHES = 16
_STEPS_OF_A_LONG_GRAPH = 8
_WARM_UP = 3  # steps before a capture: state and workspaces come into being in the first
_PREDICT_ROWS = 1000


@dataclass(frozen=True)
class Mode:
    """One way to train."""

    optimizer: str  # "foreach" or "fused"
    layout: str = "contiguous"  # of images and convolution kernels; or "channels_last"
    gather: str = "batch"  # each batch by itself, or a whole "epoch" at once; not in a graph
    compiled: str = ""  # torch.compile's mode for forward and backward, "" for eager
    compiled_optimizer: bool = False
    captured: int = 0  # steps in one CUDA graph, 0 without one

    def __str__(self) -> str:
        parts = [f"{self.optimizer} optimizer" + (" compiled" if self.compiled_optimizer else "")]
        parts += [f"compiled {self.compiled}"] if self.compiled else []
        graph = f"{self.captured} steps a graph" if self.captured else f"gather per {self.gather}"
        return ", ".join([*parts, graph, self.layout])


def set_precision(precision: str) -> None:
    """In what float32 products and convolutions multiply; bfloat16 is the business of autocast.

    By the older names of these switches: torch.compile of several releases refuses the newer ones.
    """
    coarse = precision != "float32"
    torch.set_float32_matmul_precision("high" if coarse else "highest")
    torch.backends.cudnn.allow_tf32 = coarse
    torch.backends.cudnn.benchmark = True


def check_device(device: str) -> None:
    if device != "cpu" and not torch.cuda.is_available():
        raise Unsupported("PyTorch finds no GPU")


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def candidates(name: str, workload: Workload, thorough: bool) -> list[Mode]:
    """The modes that a peer may choose from, all in one layout."""
    optimizers = ["foreach"] if workload.optimizer.name == "rmsprop" else ["fused", "foreach"]
    if name == "torch_eager":
        pairs = itertools.product(optimizers, ("batch", "epoch"))
        return [Mode(optimizer, gather=gather) for optimizer, gather in pairs]
    if name == "torch_graph":
        lengths = (1, _STEPS_OF_A_LONG_GRAPH)
        return [
            Mode(each, captured=steps) for each, steps in itertools.product(optimizers, lengths)
        ]
    # The strongest is compiled and captured as a whole; inductor's own graphs leave the optimizer
    # and the gathering of batches outside.
    whole = Mode(optimizers[0], compiled="default", captured=_STEPS_OF_A_LONG_GRAPH)
    modes = [
        Mode(optimizers[0], compiled="reduce-overhead"),
        whole,
        replace(whole, optimizer="foreach", compiled_optimizer=True),
    ]
    if thorough:
        modes += [replace(mode, compiled="max-autotune-no-cudagraphs") for mode in modes[1:]]
    return modes


class Trainer:
    """A network, its optimizer and its graphs, in one mode."""

    def __init__(
        self, workload: Workload, x: Tensor, y: Tensor, mode: Mode, settings: Settings
    ) -> None:
        self.mode, self.device = mode, settings.device
        self.x, self.y, self.batch = x, y, workload.batch
        torch.manual_seed(0)
        memory = torch.channels_last if mode.layout == "channels_last" else torch.contiguous_format
        network = torch_common.build_network(workload).to(settings.device, memory_format=memory)
        loss = torch_common.build_loss(workload)
        self.network = network
        self.start = {name: value.clone() for name, value in network.state_dict().items()}
        self.optimizer = torch_common.build_optimizer(
            workload.optimizer, list(network.parameters()), mode.optimizer
        )
        if mode.captured and settings.device != "cpu":
            for group in self.optimizer.param_groups:
                group["capturable"] = True  # counts its steps on the GPU
        coarse = settings.precision == "bfloat16"

        def forward(rows: Tensor) -> Tensor:
            # Weights are used once a step, so their copies in bfloat16 need no cache.
            with torch.autocast(settings.device, torch.bfloat16, coarse, cache_enabled=False):
                scores: Tensor = network(rows)
                return scores

        def forward_and_loss(rows: Tensor, targets: Tensor) -> Tensor:
            result: Tensor = loss(forward(rows).float(), targets)
            return result

        self.forward = forward
        self.forward_and_loss: Callable[[Tensor, Tensor], Tensor] = forward_and_loss
        self.step_optimizer: Callable[[], object] = self.optimizer.step
        if mode.compiled:
            self.forward_and_loss = torch.compile(
                forward_and_loss, mode=mode.compiled, dynamic=False
            )
        if mode.compiled_optimizer:
            self.step_optimizer = torch.compile(self.optimizer.step, dynamic=False)
        # A graph finds its place in the epoch by itself.
        self.order = torch.arange(len(x), device=settings.device)
        self.position = torch.zeros(1, dtype=torch.long, device=settings.device)
        self.graphs: dict[tuple[int, int], Callable[[], object]] = {}  # by rows and steps

    def train(self, epochs: int, limit: int | None = None) -> None:
        """Whole epochs, or the first `limit` rows of them; returns when the GPU is done."""
        self.network.train()
        for _ in range(epochs):
            order = torch.randperm(len(self.x), device=self.device)
            if self.mode.captured:
                self._replay(order, limit or len(order))
            else:
                self._loop(order[:limit])
        synchronize(self.device)

    def reset(self) -> None:
        """Back to the first weights, in place: graphs hold their addresses."""
        self.network.load_state_dict(self.start)
        torch_common.reset_optimizer(self.optimizer)

    def _loop(self, order: Tensor) -> None:
        if self.mode.gather == "epoch":
            xs, ys = self.x[order].split(self.batch), self.y[order].split(self.batch)
            for rows, targets in zip(xs, ys, strict=True):
                self._step(rows, targets)
            return
        for index in order.split(self.batch):
            self._step(self.x.index_select(0, index), self.y.index_select(0, index))

    def _step(self, rows: Tensor, targets: Tensor) -> None:
        if self.mode.compiled == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        self.forward_and_loss(rows, targets).backward()
        self.step_optimizer()

    def _replay(self, order: Tensor, limit: int) -> None:
        steps, rest = divmod(limit, self.batch)
        many, single = divmod(steps, self.mode.captured)
        runs = [(self.batch, self.mode.captured, many), (self.batch, 1, single), (rest, 1, 1)]
        wanted = [(self._graph(rows, steps), count) for rows, steps, count in runs if rows * count]
        self.order.copy_(order)
        self.position.zero_()
        for graph, count in wanted:
            for _ in range(count):
                graph()

    def _graph(self, rows: int, steps: int) -> Callable[[], object]:
        if (rows, steps) not in self.graphs:
            self.graphs[rows, steps] = self._capture(rows, steps)
        return self.graphs[rows, steps]

    def _capture(self, rows: int, steps: int) -> Callable[[], object]:
        """Replays so many steps of so many rows each; they begin at `position` of the order."""
        offsets = torch.arange(rows, device=self.device)

        def run(count: int = steps) -> None:
            for _ in range(count):
                index = self.order.index_select(0, self.position + offsets)
                self.position.add_(rows)
                self._step(self.x.index_select(0, index), self.y.index_select(0, index))

        if self.device == "cpu":
            return run
        # The steps before the capture train on the first rows; what they change is put back.
        kept = [(value, value.clone()) for value in self._state()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self.position.zero_()
                run(1)
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        torch_common.reset_optimizer(self.optimizer)
        for value, before in kept:
            value.copy_(before)
        return graph.replay

    def _state(self) -> Iterator[Tensor]:
        """Weights, and what the optimizer has come to keep."""
        yield from self.network.state_dict().values()
        for state in self.optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))


class TorchTraining:
    """The peer: the fastest of its modes."""

    def __init__(self, workload: Workload, data: Data, settings: Settings, name: str) -> None:
        set_precision(settings.precision)
        # Every mode and size of batch is another variant of the same functions.
        torch.compiler.reset()
        torch._dynamo.config.cache_size_limit = 64
        self.device = settings.device
        x, y = (each.to(settings.device) for each in torch_common.tensors(workload, data))
        limit = min(_TRIAL_BATCHES * workload.batch, len(x) // workload.batch * workload.batch)
        trainers: dict[Mode, Trainer] = {}

        def trial(mode: Mode) -> None:
            if mode not in trainers:
                trainers[mode] = Trainer(workload, x, y, mode, settings)
            trainers[mode].train(1, limit)

        modes = candidates(name, workload, settings.thorough)
        if workload.has(Conv2D, Conv2DTranspose):
            # The layout first, by itself: all combinations would take minutes.
            layouts = [replace(modes[0], layout=each) for each in ("contiguous", "channels_last")]
            modes = [replace(mode, layout=fastest(layouts, trial).layout) for mode in modes]
        best = fastest(modes, trial)
        if best not in trainers:  # the only one, for which there was no trial
            trainers[best] = Trainer(workload, x, y, best, settings)
        self.trainer, self.mode = trainers[best], str(best)
        trainers.clear()
        gc.collect()
        self.trainer.reset()

    def train(self, epochs: int) -> None:
        self.trainer.train(epochs)

    def predict(self, x: Floats) -> Array:
        trainer = self.trainer
        trainer.network.eval()
        with torch.inference_mode():
            parts = torch_common.to_tensor(x).split(_PREDICT_ROWS)
            scores = torch.cat([trainer.forward(part.to(self.device)).float() for part in parts])
        images = scores.ndim == 4
        return np.asarray((scores.permute(0, 2, 3, 1) if images else scores).cpu().numpy())

    def one_row(self) -> dict[str, OneRow]:
        return {}


def build(workload: Workload, data: Data, settings: Settings, name: str) -> Any:
    return TorchTraining(workload, data, settings, name)
