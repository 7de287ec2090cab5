"""PyTorch compiled with inductor: forward and loss in one graph.

Layout, optimizer and gather by a short trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from bench.data import Data, Floats
from bench.peers import Array, OneRow, fastest, torch_common
from bench.workloads import Workload

_TRIAL_BATCHES = 8


class TorchCompile:
    def __init__(self, workload: Workload, data: Data, threads: int) -> None:
        torch_common.set_up(threads)
        self.network = torch_common.build_network(workload)
        self.settings, self.batch = workload.optimizer, workload.batch
        self.x, self.y = torch_common.tensors(workload, data)
        loss = torch_common.build_loss(workload)
        start = {name: value.clone() for name, value in self.network.state_dict().items()}

        def forward_and_loss(x: Tensor, y: Tensor) -> Tensor:
            return loss(self.network(x), y)

        self.forward_and_loss = torch.compile(forward_and_loss, dynamic=False)
        self.forward = torch.compile(self.network, dynamic=False)
        self.layout = ""

        def trial(choice: tuple[str, bool, str]) -> None:
            self.use(*choice)
            self._train(_TRIAL_BATCHES * workload.batch)

        layouts = [(each, False, "batch") for each in torch_common.layouts(workload)]
        layout = fastest(layouts, trial)[0]
        best = fastest(list(itertools.product([layout], [False, True], ["batch", "epoch"])), trial)
        self.use(*best)
        self.network.load_state_dict(start)
        torch_common.reset_optimizer(self.optimizer)
        step = "compiled" if best[1] else self.optimizer_mode
        self.mode = f"{step} optimizer, gather per {self.gather}, {layout}"

    @property
    def optimizer_mode(self) -> str:
        return "foreach" if self.settings.name == "rmsprop" else "fused"

    def use(self, layout: str, compiled: bool, gather: str) -> None:
        if layout != self.layout:
            # A new optimizer, because its state has the strides of the weights it first saw.
            torch_common.use_layout(self.network, layout)
            parameters = list(self.network.parameters())
            self.optimizer = torch_common.build_optimizer(
                self.settings, parameters, self.optimizer_mode
            )
            self.compiled_step = torch.compile(self.optimizer.step, dynamic=False)
            self.layout = layout
        self.step: Callable[[], object] = self.compiled_step if compiled else self.optimizer.step
        self.gather = gather

    def _train(self, limit: int | None = None) -> None:
        for x, y in torch_common.batches(self.x, self.y, self.batch, self.gather, limit):
            self.optimizer.zero_grad(set_to_none=True)
            self.forward_and_loss(x, y).backward()
            self.step()

    def train(self, epochs: int) -> None:
        self.network.train()
        for _ in range(epochs):
            self._train()

    def predict(self, x: Floats) -> Array:
        self.network.eval()
        return torch_common.predict(self.forward, x)

    def one_row(self) -> dict[str, OneRow]:
        self.network.eval()
        return {"compiled model(x)": torch_common.predict_row(self.forward)}


def build(workload: Workload, data: Data, threads: int, name: str) -> TorchCompile:
    return TorchCompile(workload, data, threads)
