"""The benchmark workloads as data: layers, optimizer, batch size, and their useful FLOPs.

A layer type knows its output shape and its multiply-adds; everything else follows from these, so
a new kind of layer needs one dataclass here and one `case` in each peer's builder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


class Unsupported(Exception):
    """A peer cannot express a workload (or its library cannot run it on this machine)."""


class Layer:
    """What a layer does to the shape of one sample (without the batch axis), and what it costs."""

    @property
    def label(self) -> str:
        """How a workload's title names the layer; '' if it does not."""
        return ""

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Multiply-adds of one forward pass over one sample of the given shape."""
        return 0

    def input_multiply_adds(self, shape: Shape) -> int:
        """Those of them that multiply the layer's input: what its input gradient costs."""
        return self.multiply_adds(shape)


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer with bias; `activation` is 'relu', 'sigmoid' or None (logits)."""

    units: int
    activation: str | None = None

    @property
    def label(self) -> str:
        return str(self.units)

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def multiply_adds(self, shape: Shape) -> int:
        return math.prod(shape) * self.units


@dataclass(frozen=True)
class Conv2D(Layer):
    """A convolution over (height, width, channels) with bias and a square kernel.

    Products with the zeros of 'same' padding count like all others, as is usual.
    """

    filters: int
    kernel: int
    strides: int = 1
    padding: str = "valid"
    activation: str | None = None

    @property
    def label(self) -> str:
        return f"conv{self.filters}" + (f"/{self.strides}" if self.strides > 1 else "")

    def output_shape(self, shape: Shape) -> Shape:
        lost = self.kernel - 1 if self.padding == "valid" else 0
        height, width = (-(-(size - lost) // self.strides) for size in shape[:2])
        return (height, width, self.filters)

    def multiply_adds(self, shape: Shape) -> int:
        return math.prod(self.output_shape(shape)) * self.kernel**2 * shape[2]


@dataclass(frozen=True)
class Conv2DTranspose(Layer):
    """A transposed convolution with bias and 'same' padding: sizes grow `strides` times."""

    filters: int
    kernel: int
    strides: int
    activation: str | None = None

    @property
    def label(self) -> str:
        return f"deconv{self.filters}/{self.strides}"

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] * self.strides, shape[1] * self.strides, self.filters)

    def multiply_adds(self, shape: Shape) -> int:
        return math.prod(shape) * self.kernel**2 * self.filters


@dataclass(frozen=True)
class MaxPool2D(Layer):
    """The largest of each window of size x size, windows side by side; a remainder is left out."""

    size: int

    @property
    def label(self) -> str:
        return "pool"

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] // self.size, shape[1] // self.size, shape[2])


@dataclass(frozen=True)
class LSTM(Layer):
    """Reads (steps, features) and gives its last output; tanh, sigmoid gates, one bias."""

    units: int

    @property
    def label(self) -> str:
        return f"lstm{self.units}"

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def multiply_adds(self, shape: Shape) -> int:
        return self.input_multiply_adds(shape) + shape[0] * self.units * 4 * self.units

    def input_multiply_adds(self, shape: Shape) -> int:
        return math.prod(shape) * 4 * self.units


@dataclass(frozen=True)
class Flatten(Layer):
    """All axes of a sample as one."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout: active in training only."""

    rate: float


@dataclass(frozen=True)
class Optimizer:
    """name is 'sgd', 'rmsprop' or 'adam'; momentum and nesterov belong to 'sgd'."""

    name: str
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class Workload:
    """One network and how it is trained: shuffled epochs, softmax cross-entropy on logits.

    An autoencoder is trained towards its own input instead, by the mean squared error.
    """

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    optimizer: Optimizer
    batch: int
    images: int  # training samples of one epoch
    autoencoder: bool = False

    @property
    def title(self) -> str:
        """Such as '784-512-512-10 Adam b32'; dropout is named once, after the layers."""
        labels = ["x".join(str(size) for size in self.input_shape)]
        labels += [layer.label for layer in self.layers if layer.label]
        text = "-".join(labels)
        rates = {layer.rate for layer in self.layers if isinstance(layer, Dropout)}
        text += "".join(f" drop {rate:g}" for rate in sorted(rates))
        label = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}[self.optimizer.name]
        if self.optimizer.nesterov:
            label += " nesterov"
        return f"{text} {label} b{self.batch}"

    def has(self, *kinds: type[Layer]) -> bool:
        """Whether any layer is of one of these kinds."""
        return any(isinstance(layer, kinds) for layer in self.layers)

    def layer_shapes(self) -> list[tuple[Layer, Shape]]:
        """Each layer with the shape of one sample of its input."""
        pairs = []
        shape = self.input_shape
        for layer in self.layers:
            pairs.append((layer, shape))
            shape = layer.output_shape(shape)
        return pairs

    @property
    def predict_flops(self) -> int:
        """Useful FLOPs per image in inference: the products only, 2 per multiply-add."""
        return 2 * sum(layer.multiply_adds(shape) for layer, shape in self.layer_shapes())

    @property
    def train_flops(self) -> int:
        """Useful FLOPs per image in training: forward, grad-kernel and grad-input products.

        Nobody needs the gradient with respect to the images, so none is counted.
        """
        first, shape = next(pair for pair in self.layer_shapes() if pair[0].multiply_adds(pair[1]))
        return 3 * self.predict_flops - 2 * first.input_multiply_adds(shape)


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
_ADAM = Optimizer("adam", learning_rate=1e-3)

_FASHION_CNN = (
    Conv2D(32, 3, padding="same", activation="relu"), MaxPool2D(2),
    Conv2D(64, 3, padding="same", activation="relu"), MaxPool2D(2),
    Dropout(0.5), Flatten(), Dense(128, "relu"), Dense(10),
)  # fmt: skip
_MNIST_CONVNET = (
    Conv2D(32, 3, activation="relu"), MaxPool2D(2),
    Conv2D(64, 3, activation="relu"), MaxPool2D(2),
    Dropout(0.5), Flatten(), Dense(10),
)  # fmt: skip
_AUTOENCODER = (
    Conv2D(16, 3, strides=2, padding="same", activation="relu"),
    Conv2D(32, 3, strides=2, padding="same", activation="relu"),
    Conv2DTranspose(16, 3, strides=2, activation="relu"),
    Conv2DTranspose(1, 3, strides=2, activation="sigmoid"),
)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        _mlp("W1", (784, 10), _NESTEROV, 50, 6_000),
        _mlp("W2", (784, 50, 10), _NESTEROV, 50, 6_000),
        _mlp("W3", (784, 200, 10), _NESTEROV, 50, 6_000),
        _mlp("W4", (784, 1000, 10), _NESTEROV, 50, 6_000),
        _mlp("W5", (784, 500, 500, 10), _NESTEROV, 50, 6_000),
        _mlp("W6", (784, 512, 512, 512, 10), Optimizer("rmsprop", 1e-3), 128, 60_000, dropout=0.2),
        _mlp("W7", (784, 512, 512, 10), _ADAM, 32, 60_000),
        _mlp("W8", (784, 2500, 2000, 1500, 1000, 500, 10), Optimizer("sgd", 0.05), 128, 6_400),
        Workload("W9", (28, 28, 1), _FASHION_CNN, _ADAM, 64, 12_800),
        Workload("W10", (28, 28, 1), _MNIST_CONVNET, _ADAM, 128, 12_800),
        Workload("W11", (28, 28), (LSTM(128), Dense(10)), _ADAM, 128, 12_800),
        Workload("W12", (28, 28, 1), _AUTOENCODER, _ADAM, 128, 12_800, autoencoder=True),
    )
}

ONE_ROW_WORKLOAD = "W2"
PREDICT_BATCH = 128
