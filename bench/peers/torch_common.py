"""What the PyTorch peers share: the network, the optimizers, batches and inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from bench.data import Data, Floats
from bench.peers import Array
from bench.workloads import (
    LSTM,
    PREDICT_BATCH,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    Optimizer,
    Unsupported,
    Workload,
)

Forward = Callable[[Tensor], Tensor]


def set_up(threads: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    # Before the pool starts, so that its threads inherit it: hundreds of epochs over the same
    # 6,000 images shrink gradients to denormal numbers, which would slow PyTorch down.
    torch.set_flush_denormal(True)


class LastOutput(nn.Module):
    """An LSTM over (N, steps, features) that gives its last output, with Keras's initial weights.

    PyTorch adds two biases where Keras has one; the second stays, as users get it.
    """

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, units, batch_first=True)
        nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        nn.init.orthogonal_(self.lstm.weight_hh_l0)
        nn.init.zeros_(self.lstm.bias_hh_l0)
        nn.init.zeros_(self.lstm.bias_ih_l0)
        with torch.no_grad():
            self.lstm.bias_ih_l0[units : 2 * units] = 1  # the forget gate is PyTorch's second

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.lstm(x)[0]
        return outputs[:, -1]


_ACTIVATIONS: dict[str | None, Callable[[], list[nn.Module]]] = {
    None: lambda: [],
    "relu": lambda: [nn.ReLU()],
    "sigmoid": lambda: [nn.Sigmoid()],
}


def build_network(workload: Workload) -> nn.Sequential:
    """The network with Keras's initial weights, so that every peer trains the same one.

    Images are (N, channels, height, width) here. Where 'same' padding is odd, PyTorch pads one
    more before than Keras does; shapes and costs are the same.
    """
    layers: list[nn.Module] = []
    for layer, shape in workload.layer_shapes():
        match layer:
            case Dense(units, activation):
                weighted: nn.Module = nn.Linear(shape[-1], units)
            case Conv2D(filters, kernel, strides, padding, activation):
                around = kernel // 2 if padding == "same" else 0
                weighted = nn.Conv2d(shape[2], filters, kernel, strides, around)
            case Conv2DTranspose(filters, kernel, strides, activation):
                around = kernel // 2
                weighted = nn.ConvTranspose2d(
                    shape[2], filters, kernel, strides, around, output_padding=strides - 1
                )
            case MaxPool2D(size):
                layers.append(nn.MaxPool2d(size))
                continue
            case LSTM(units):
                layers.append(LastOutput(shape[-1], units))
                continue
            case Flatten():
                layers.append(nn.Flatten())
                continue
            case Dropout(rate):
                layers.append(nn.Dropout(rate))
                continue
            case _:
                raise Unsupported(f"no {type(layer).__name__} in the PyTorch peers yet")
        nn.init.xavier_uniform_(weighted.weight)
        nn.init.zeros_(weighted.bias)
        layers += [weighted, *_ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def build_loss(workload: Workload) -> nn.Module:
    return nn.MSELoss() if workload.autoencoder else nn.CrossEntropyLoss()


def to_tensor(x: Floats) -> Tensor:
    """Rows as they are; images as (N, channels, height, width), without a copy."""
    tensor = torch.from_numpy(x)
    if x.ndim != 4:
        return tensor
    if x.shape[3] != 1:
        raise Unsupported("images with several channels would have to be transposed")
    # permute() would leave strides that PyTorch takes for channels_last.
    return tensor.reshape(len(x), 1, *x.shape[1:3])


def tensors(workload: Workload, data: Data) -> tuple[Tensor, Tensor]:
    """The training images and what training aims at."""
    x = to_tensor(data.x_train)
    return x, x if workload.autoencoder else torch.from_numpy(data.y_train).long()


def layouts(workload: Workload) -> list[str]:
    """Ways to lay out or compute the network, one of which is to be chosen by `use_layout`."""
    if workload.has(Conv2D, Conv2DTranspose):
        return ["channels_first", "channels_last"]
    return ["onednn", "native"] if workload.has(LSTM) else ["default"]


def use_layout(network: nn.Module, layout: str) -> None:
    if layout == "channels_first":
        network.to(memory_format=torch.contiguous_format)
    elif layout == "channels_last":
        network.to(memory_format=torch.channels_last)
    elif layout in ("onednn", "native"):
        torch.backends.mkldnn.set_flags(layout == "onednn")


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


def reset_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """As if it had never stepped; in place, because a compiled step would be compiled again."""
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, Tensor):
                value.zero_()


def batches(
    x: Tensor, y: Tensor, batch: int, gather: str, limit: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches: gathered one by one, or as slices of a whole gathered epoch."""
    order = torch.randperm(len(x))[:limit]
    if gather == "epoch":
        rows = x[order].split(batch)
        yield from zip(rows, rows if y is x else y[order].split(batch), strict=True)
        return
    for index in order.split(batch):
        row = x.index_select(0, index)
        yield row, row if y is x else y.index_select(0, index)


def predict(forward: Forward, x: Floats) -> Array:
    with torch.inference_mode():
        scores = torch.cat([forward(rows) for rows in to_tensor(x).split(PREDICT_BATCH)])
        images = scores.ndim == 4
        return np.asarray((scores.permute(0, 2, 3, 1) if images else scores).numpy())


def predict_row(forward: Forward) -> Callable[[Array], object]:
    def one_row(row: Array) -> object:
        with torch.inference_mode():
            return forward(to_tensor(row)).numpy()

    return one_row
