"""What the PyTorch peers share: the network, the optimizers, batches and inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from bench.data import Floats
from bench.peers import Array
from bench.workloads import PREDICT_BATCH, Dense, Dropout, Optimizer, Unsupported, Workload

Forward = Callable[[Tensor], Tensor]


def set_up(threads: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    # Before the pool starts, so that its threads inherit it: hundreds of epochs over the same
    # 6,000 images shrink gradients to denormal numbers, which would slow PyTorch down.
    torch.set_flush_denormal(True)


def build_network(workload: Workload) -> nn.Sequential:
    """The network with Keras's initial weights, so that every peer trains the same one."""
    layers: list[nn.Module] = []
    shape = workload.input_shape
    for layer in workload.layers:
        match layer:
            case Dense(units, activation):
                linear = nn.Linear(shape[-1], units)
                nn.init.xavier_uniform_(linear.weight)
                nn.init.zeros_(linear.bias)
                layers.append(linear)
                if activation == "relu":
                    layers.append(nn.ReLU())
            case Dropout(rate):
                layers.append(nn.Dropout(rate))
            case _:
                raise Unsupported(f"no {type(layer).__name__} in the PyTorch peers yet")
        shape = layer.output_shape(shape)
    return nn.Sequential(*layers)


def optimizer_modes(settings: Optimizer) -> list[str]:
    """PyTorch's implementations of an optimizer on the CPU; its RMSprop has no fused one."""
    return ["foreach", "single"] if settings.name == "rmsprop" else ["foreach", "fused", "single"]


def build_optimizer(
    settings: Optimizer, parameters: list[nn.Parameter], mode: str
) -> torch.optim.Optimizer:
    rate = settings.learning_rate
    foreach = mode == "foreach"
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, eps=1e-7, foreach=foreach)
    fused = mode == "fused"
    if settings.name == "adam":
        return torch.optim.Adam(parameters, lr=rate, eps=1e-7, foreach=foreach, fused=fused)
    return torch.optim.SGD(
        parameters, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov,
        foreach=foreach, fused=fused,
    )  # fmt: skip


def batches(
    x: Tensor, y: Tensor, batch: int, gather: str, limit: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches: gathered one by one, or as slices of a whole gathered epoch."""
    order = torch.randperm(len(x))[:limit]
    if gather == "epoch":
        yield from zip(x[order].split(batch), y[order].split(batch), strict=True)
        return
    for index in order.split(batch):
        yield x.index_select(0, index), y.index_select(0, index)


def predict(forward: Forward, x: Floats) -> Array:
    with torch.inference_mode():
        scores = [forward(rows) for rows in torch.from_numpy(x).split(PREDICT_BATCH)]
        return np.asarray(torch.cat(scores).numpy())


def predict_row(forward: Forward) -> Callable[[Array], object]:
    def one_row(row: Array) -> object:
        with torch.inference_mode():
            return forward(torch.from_numpy(row)).numpy()

    return one_row
