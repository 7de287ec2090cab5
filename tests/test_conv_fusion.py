"""What joins a convolution: bias, activation, pooling, dropout, their derivatives, the update.

Each network is trained for a few steps fused and unfused, at sizes where the kernels' tiles, panels
and vectors end in the middle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from test_conv_parity import waves

import weft
from weft import layers


class Net(NamedTuple):
    """conv, activation, pooling, dropout, conv, dense, on a batch of `images`.

    The second convolution makes the input's gradient go through the first one's fusions.
    """

    images: tuple[int, ...]
    filters: int
    kernel: Any
    conv: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    activation: str = "relu"
    pool: Any = 2
    pooling: dict[str, Any] = {}  # noqa: RUF012
    rate: float = 0.0
    fused: bool | None = True  # whether pooling joins the convolution; None: on some devices
    after: Any = (5, 2)  # filters and kernel of the second convolution

    def model(self, optimizer: str, fuse: bool) -> weft.Sequential:
        weft.utils.set_random_seed(3)
        flat = len(self.images) == 3
        conv = layers.Conv1D if flat else layers.Conv2D
        pool = layers.MaxPooling1D if flat else layers.MaxPooling2D
        stack: list[Any] = [weft.Input(self.images[1:])]
        stack.append(conv(self.filters, self.kernel, activation=self.activation, **self.conv))
        if self.pool:
            stack.append(pool(self.pool, **self.pooling))
        if self.rate:
            stack.append(layers.Dropout(self.rate))
        stack += [
            conv(*self.after, padding="same", name="after"),
            layers.Flatten(),
            layers.Dense(3),
        ]
        model = weft.Sequential(stack)
        model.compile(optimizer, "mse", fuse=fuse)
        return model


NETS = {
    "small": Net((2, 6, 6, 1), 1, 3),
    "left over at the end": Net((3, 8, 9, 3), 7, 3, pool=(2, 3)),
    "nothing left over": Net((1, 10, 6, 2), 16, 3),
    "odd everything": Net((7, 13, 11, 5), 33, 3, rate=0.3),
    "more images than groups": Net((17, 7, 7, 3), 20, (2, 3), {"padding": "same"}, rate=0.2),
    "many filters": Net((2, 6, 7, 6), 65, 3, {"padding": "same"}),
    "many weights": Net((3, 5, 5, 33), 64, 3, {"padding": "same"}, rate=0.5),
    "large window": Net((2, 9, 9, 2), 9, 3, pool=(3, 2)),
    "tall window": Net((2, 7, 5, 2), 4, (3, 1), pool=(4, 1)),
    "wide window": Net((2, 5, 13, 2), 4, (1, 3), pool=(1, 5)),
    "window of the whole image": Net((2, 5, 6, 3), 17, 2, pool=(4, 5)),
    # Winograd's way, of the second convolution and, with many channels, of the first one.
    "winograd": Net((7, 13, 14, 16), 20, 3, {"padding": "same"}, rate=0.3, after=(33, 3)),
    "winograd, few blocks": Net((2, 9, 8, 17), 16, 3, rate=0.3, after=(16, 3)),
    "winograd, no pooling": Net((3, 9, 8, 16), 33, 3, pool=None, rate=0.3, after=(16, 3)),
    "winograd, tanh": Net(
        (3, 9, 8, 16), 17, 3, activation="tanh", rate=0.2, fused=False, after=(16, 3)
    ),
    "winograd, many filters": Net(
        (3, 12, 12, 16), 70, 3, {"padding": "same"}, rate=0.2, after=(80, 3)
    ),
    "winograd, large window": Net((9, 12, 12, 3), 16, 3, pool=(3, 2), after=(17, 3)),
    "winograd, another window": Net((9, 12, 12, 16), 16, 3, pool=3, fused=None, after=(17, 3)),
    "strides": Net((3, 13, 13, 3), 17, 3, {"strides": 2, "padding": "same"}, rate=0.2),
    "dilation": Net((2, 9, 9, 3), 20, 3, {"dilation_rate": (2, 1)}),
    "no activation": Net((2, 8, 7, 3), 17, 3, activation="linear", rate=0.2),
    "wide images": Net((1, 6, 140, 1), 16, 3),
    "no bias": Net((2, 8, 7, 3), 20, 3, {"use_bias": False}),
    "another activation": Net((2, 8, 7, 3), 6, 3, activation="tanh", rate=0.2, fused=False),
    "overlapping windows": Net((2, 8, 7, 3), 6, 3, pool=3, pooling={"strides": 2}, fused=False),
    "padded windows": Net((2, 8, 7, 3), 6, 3, pooling={"padding": "same"}, fused=False),
    "window of one": Net((2, 8, 7, 3), 6, 3, pool=1, fused=False),
    "no pooling": Net((3, 7, 5, 3), 19, 3, activation="elu", pool=None, rate=0.3),
    "no pooling, relu": Net((3, 7, 5, 3), 4, 3, pool=None),
    "penalties": Net((2, 6, 6, 3), 5, 3, {"kernel_regularizer": "l2", "bias_regularizer": "l1"}),
    "over one axis": Net((4, 31, 3), 17, 3, rate=0.2, fused=False),
    "over one axis, causal": Net((4, 13, 3), 6, 3, {"padding": "causal"}, pool=None),
}


def train(net: Net, optimizer: str, fuse: bool) -> list[Any]:
    model = net.model(optimizer, fuse)
    x = waves(net.images, 1.7)
    y = waves((net.images[0], 3), 0.6)
    losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
    return [losses, *model.get_weights(), model.predict(x, batch_size=net.images[0], verbose=0)]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_fused_equals_unfused(name, optimizer):
    fused, unfused = (train(NETS[name], optimizer, fuse) for fuse in (True, False))
    for a, b in zip(fused, unfused, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", NETS)
def test_what_fuses(name, capsys):
    net = NETS[name]
    net.model("adam", fuse=True).describe_plan()
    kernels = {line.split()[2] for line in capsys.readouterr().out.splitlines()[2:]}
    loose = {kernel for kernel in kernels if kernel.startswith("max_pool")}
    if net.fused is not None:
        assert bool(loose) == (bool(net.pool) and not net.fused)
    if net.fused:
        assert not {"dropout", "update+adam"} & kernels
        assert f"unary_grad+{net.activation}" not in kernels


@pytest.mark.parametrize("channels", [1, 3, 16])
@pytest.mark.parametrize("filters", [3, 16, 33])
def test_nan_survives_pooling(channels, filters):
    x = waves((4, 13, 14, channels), 1.7)
    for image, pixel in enumerate([(0, 0), (5, 6), (6, 7), (12, 13)]):
        x[image, *pixel, 0] = np.nan
    found = []
    for fuse in (True, False):
        net = Net(x.shape, filters, 3, {"padding": "same"}, rate=0.0)
        model = weft.Sequential(net.model("sgd", fuse).layers[:2])
        model.compile("sgd", "mse", fuse=fuse)
        found.append(model.predict(x, batch_size=4, verbose=0))
    assert 0 < np.isnan(found[1]).sum() < found[1].size
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)
