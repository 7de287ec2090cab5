"""PyTorch compiled with inductor: forward and loss in one graph, the optimizer by a short trial."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.data import Data, Floats
from bench.peers import Array, OneRow, fastest, torch_common
from bench.workloads import Workload

_TRIAL_BATCHES = 8


class TorchCompile:
    def __init__(self, workload: Workload, data: Data, threads: int) -> None:
        torch_common.set_up(threads)
        self.network = torch_common.build_network(workload)
        self.batch = workload.batch
        self.x = torch.from_numpy(data.x_train)
        self.y = torch.from_numpy(data.y_train).long()
        loss = nn.CrossEntropyLoss()
        start = {name: value.clone() for name, value in self.network.state_dict().items()}

        def forward_and_loss(x: Tensor, y: Tensor) -> Tensor:
            return loss(self.network(x), y)

        self.forward_and_loss = torch.compile(forward_and_loss, dynamic=False)
        self.forward = torch.compile(self.network, dynamic=False)
        settings = workload.optimizer
        mode = "foreach" if settings.name == "rmsprop" else "fused"
        parameters = list(self.network.parameters())
        self.optimizer = torch_common.build_optimizer(settings, parameters, mode)
        steps = {
            f"{mode} optimizer": self.optimizer.step,
            "compiled optimizer": torch.compile(self.optimizer.step, dynamic=False),
        }

        def trial(choice: tuple[str, str]) -> None:
            self.use(steps[choice[0]], choice[1])
            self._train(_TRIAL_BATCHES * workload.batch)

        best = fastest(list(itertools.product(steps, ["batch", "epoch"])), trial)
        self.use(steps[best[0]], best[1])
        self.network.load_state_dict(start)
        self.mode = f"{best[0]}, gather per {best[1]}"

    def use(self, step: Callable[[], object], gather: str) -> None:
        self.step, self.gather = step, gather

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
