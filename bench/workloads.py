"""The benchmark workloads as data: layers, optimizer, batch size, and their useful FLOPs.

A layer type knows its output shape and its multiply-adds; everything else follows from these, so
a new kind of network needs one dataclass here and one `case` in each peer's builder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


class Unsupported(Exception):
    """A peer cannot express a workload (or its library cannot run it on this machine)."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer with bias; `activation` is 'relu' or None (logits)."""

    units: int
    activation: str | None = None

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def multiply_adds(self, shape: Shape) -> int:
        """Multiply-adds of one forward pass over one sample of the given shape."""
        return math.prod(shape) * self.units


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout: active in training only."""

    rate: float

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        return 0


Layer = Dense | Dropout


@dataclass(frozen=True)
class Optimizer:
    """name is 'sgd', 'rmsprop' or 'adam'; momentum and nesterov belong to 'sgd'."""

    name: str
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class Workload:
    """One network and how it is trained: softmax cross-entropy on logits, shuffled epochs."""

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    optimizer: Optimizer
    batch: int
    images: int  # training samples of one epoch

    @property
    def title(self) -> str:
        """Such as '784-512-512-10 Adam b32'; dropout is named once, after the widths."""
        widths = [math.prod(self.input_shape)]
        widths += [layer.units for layer in self.layers if isinstance(layer, Dense)]
        text = "-".join(str(width) for width in widths)
        rates = {layer.rate for layer in self.layers if isinstance(layer, Dropout)}
        text += "".join(f" drop {rate:g}" for rate in sorted(rates))
        label = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}[self.optimizer.name]
        if self.optimizer.nesterov:
            label += " nesterov"
        return f"{text} {label} b{self.batch}"

    def layer_multiply_adds(self) -> list[int]:
        """Forward multiply-adds per image of each layer that has weights."""
        counts = []
        shape = self.input_shape
        for layer in self.layers:
            counts.append(layer.multiply_adds(shape))
            shape = layer.output_shape(shape)
        return [count for count in counts if count]

    @property
    def predict_flops(self) -> int:
        """Useful FLOPs per image in inference: the products only, 2 per multiply-add."""
        return 2 * sum(self.layer_multiply_adds())

    @property
    def train_flops(self) -> int:
        """Useful FLOPs per image in training: forward, grad-kernel and grad-input products.

        The first layer needs no gradient with respect to its input, so none is counted.
        """
        counts = self.layer_multiply_adds()
        return 6 * sum(counts) - 2 * counts[0]


def _mlp(
    name: str,
    widths: tuple[int, ...],
    optimizer: Optimizer,
    batch: int,
    images: int,
    dropout: float = 0.0,
) -> Workload:
    """A dense network: ReLU (and dropout) after every hidden layer, ten logits at the end."""
    layers: list[Layer] = []
    for units in widths[1:-1]:
        layers.append(Dense(units, "relu"))
        if dropout:
            layers.append(Dropout(dropout))
    layers.append(Dense(widths[-1]))
    return Workload(name, (widths[0],), tuple(layers), optimizer, batch, images)


_NESTEROV = Optimizer("sgd", learning_rate=0.01, momentum=0.9, nesterov=True)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        _mlp("W1", (784, 10), _NESTEROV, 50, 6_000),
        _mlp("W2", (784, 50, 10), _NESTEROV, 50, 6_000),
        _mlp("W3", (784, 200, 10), _NESTEROV, 50, 6_000),
        _mlp("W4", (784, 1000, 10), _NESTEROV, 50, 6_000),
        _mlp("W5", (784, 500, 500, 10), _NESTEROV, 50, 6_000),
        _mlp("W6", (784, 512, 512, 512, 10), Optimizer("rmsprop", 1e-3), 128, 60_000, dropout=0.2),
        _mlp("W7", (784, 512, 512, 10), Optimizer("adam", 1e-3), 32, 60_000),
        _mlp("W8", (784, 2500, 2000, 1500, 1000, 500, 10), Optimizer("sgd", 0.05), 128, 6_400),
    )
}

ONE_ROW_WORKLOAD = "W2"
PREDICT_BATCH = 128
