"""PyTorch eager: a hand-written loop; optimizer, layout, gather and threads by a short trial.

Also the `torch_mkl` peer, which is this one with MKL's fast path forced.
"""

from __future__ import annotations

import itertools

import torch

from bench.data import Data, Floats
from bench.peers import Array, OneRow, fastest, torch_common
from bench.workloads import PREDICT_BATCH, Workload

_TRIAL_BATCHES = 8


class TorchEager:
    def __init__(self, workload: Workload, data: Data, threads: int) -> None:
        torch_common.set_up(threads)
        self.network = torch_common.build_network(workload)
        self.batch = workload.batch
        self.x, self.y = torch_common.tensors(workload, data)
        self.loss = torch_common.build_loss(workload)
        self.traced: dict[str, torch_common.Forward] = {}  # by layout; copies of the weights
        start = {name: value.clone() for name, value in self.network.state_dict().items()}

        def use(choice: tuple[str, str, int, str]) -> None:
            mode, self.gather, self.threads, self.layout = choice
            torch.set_num_threads(self.threads)
            torch_common.use_layout(self.network, self.layout)
            parameters = list(self.network.parameters())
            self.optimizer = torch_common.build_optimizer(workload.optimizer, parameters, mode)

        current: list[object] = []

        def trial(choice: tuple[str, str, int, str]) -> None:
            if current != [choice]:
                current[:] = [choice]
                use(choice)
            self._train(_TRIAL_BATCHES * workload.batch)

        # Small networks are faster on one thread: the best mode may use fewer than allowed.
        modes = torch_common.optimizer_modes(workload.optimizer)
        counts, layouts = sorted({1, threads}), torch_common.layouts(workload)
        # The layout first, by itself: it matters most, and all combinations would take minutes.
        layout = fastest([(modes[0], "batch", threads, each) for each in layouts], trial)[3]
        choices = itertools.product(modes, ["batch", "epoch"], counts, [layout])
        best = fastest(list(choices), trial)
        use(best)
        self.network.load_state_dict(start)
        self.mode = f"{best[0]} optimizer, gather per {best[1]}, {best[2]} threads, {best[3]}"

        ways = list(itertools.product([False, True], counts, layouts))
        self.predict_way = fastest(ways, lambda way: self._predict(data.x_test, *way))
        way = "traced" if self.predict_way[0] else "eager"
        self.mode += f"; predict {way}, {self.predict_way[1]} threads, {self.predict_way[2]}"

    def _train(self, limit: int | None = None) -> None:
        for x, y in torch_common.batches(self.x, self.y, self.batch, self.gather, limit):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.network(x), y).backward()
            self.optimizer.step()

    def train(self, epochs: int) -> None:
        torch.set_num_threads(self.threads)
        torch_common.use_layout(self.network, self.layout)
        self.network.train()
        self.traced.clear()
        for _ in range(epochs):
            self._train()

    def predict(self, x: Floats) -> Array:
        return self._predict(x, *self.predict_way)

    def _predict(self, x: Floats, traced: bool, threads: int, layout: str) -> Array:
        torch.set_num_threads(threads)
        torch_common.use_layout(self.network, layout)
        self.network.eval()
        if traced and layout not in self.traced:
            example = torch_common.to_tensor(x[:PREDICT_BATCH])
            frozen = torch.jit.trace(self.network, example)
            self.traced[layout] = torch.jit.optimize_for_inference(frozen)
        forward = self.traced[layout] if traced else self.network
        return torch_common.predict(forward, x)

    def one_row(self) -> dict[str, OneRow]:
        self.network.eval()
        torch.set_num_threads(1)
        return {"model(x)": torch_common.predict_row(self.network)}


def build(workload: Workload, data: Data, threads: int, name: str) -> TorchEager:
    return TorchEager(workload, data, threads)
