"""3x3 convolutions by Winograd's way: which ones, and what must not differ from the direct way."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import layers


def kernels(stack, shape, batch_size, capsys):
    model = weft.Sequential([weft.Input(shape), *stack, layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.describe_plan(batch_size=batch_size)
    return [line.split()[2] for line in capsys.readouterr().out.splitlines()[2:]]


@pytest.mark.cpu
@pytest.mark.parametrize(
    ("conv", "shape", "transforms"),
    [
        # The first layer's input has no gradient.
        (layers.Conv2D(16, 3, padding="same"), (14, 14, 16), 1),
        (layers.Conv2D(16, 3), (6, 6, 16), 1),
        (layers.Conv2D(15, 3), (14, 14, 16), 0),
        (layers.Conv2D(16, 3), (14, 14, 15), 0),
        (layers.Conv2D(16, 3, strides=2), (14, 14, 16), 0),
        (layers.Conv2D(16, 3, dilation_rate=2), (14, 14, 16), 0),
        (layers.Conv2D(16, (3, 2)), (14, 14, 16), 0),
        (layers.Conv2D(16, 5), (14, 14, 16), 0),
        (layers.Conv2D(16, 3, padding="same"), (3, 3, 16), 0),  # most taps see the border
        (layers.Conv2D(512, 3, padding="same"), (7, 7, 512), 0),  # a large kernel for few blocks
        (layers.Conv1D(16, 3), (14, 16), 0),
        (layers.Conv2DTranspose(16, 3), (14, 14, 16), 1),
        (layers.Conv2D(32, 3, groups=2), (14, 14, 32), 2),
    ],
)
def test_which_convolutions(conv, shape, transforms, capsys):
    found = kernels([conv], shape, 8, capsys)
    assert sum(kernel.startswith("conv2d_winograd_kernel") for kernel in found) == transforms


@pytest.mark.cpu
@pytest.mark.parametrize(("pool", "fused"), [(2, True), (3, False), ((2, 1), False)])
def test_only_windows_of_2x2_join(pool, fused, capsys):
    found = kernels([layers.Conv2D(16, 3), layers.MaxPooling2D(pool)], (14, 14, 16), 8, capsys)
    assert any(kernel.startswith("max_pool2d") for kernel in found) != fused


@pytest.mark.cpu
def test_gradient_of_the_input(capsys):
    convs = [layers.Conv2D(16, 3), layers.Conv2D(32, 3, padding="same")]
    found = kernels(convs, (16, 16, 3), 8, capsys)
    assert sum(kernel.startswith("conv2d_winograd_kernel") for kernel in found) == 2
    assert not any(kernel.startswith("conv2d_flip_kernel") for kernel in found)


@pytest.mark.cpu
@pytest.mark.parametrize(("batch", "winograd"), [(1, False), (2, True)])  # 49 or 98 blocks
def test_gradient_of_the_kernel(batch, winograd, capsys):
    found = kernels([layers.Conv2D(64, 3, padding="same")], (14, 14, 64), batch, capsys)
    assert any(kernel.startswith("conv2d_grad_kernel_partials") for kernel in found) == winograd


def images(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 11, 12, 16)).astype(np.float32)


def network():
    weft.utils.set_random_seed(5)
    return weft.Sequential(
        [
            weft.Input((11, 12, 16)),
            layers.Conv2D(20, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(17, 3, activation="tanh"),
        ]
    )


def test_an_image_gives_the_same_bits_in_any_batch():
    model, x = network(), images(37)
    whole = model.predict(x, batch_size=37, verbose=0)
    for size in (1, 2, 7):
        np.testing.assert_array_equal(model.predict(x, batch_size=size, verbose=0), whole)


def test_nan_reaches_what_sees_it_and_nothing_else():
    conv = layers.Conv2D(16, 3, activation="relu")
    model = weft.Sequential([weft.Input((12, 12, 16)), conv])
    x = np.random.default_rng(1).standard_normal((3, 12, 12, 16)).astype(np.float32)
    clean = model.predict(x, verbose=0)
    x[1, 5, 6, 3] = np.nan
    y = model.predict(x, verbose=0)
    sees = np.zeros(y.shape, bool)
    sees[1, 3:6, 4:7] = True
    assert np.all(np.isnan(y[sees]))
    np.testing.assert_array_equal(y[[0, 2]], clean[[0, 2]])
    np.testing.assert_array_equal(y[~sees], clean[~sees])


def test_new_weights_are_seen():
    model, x = network(), images(4)
    before = model.predict(x, verbose=0)
    kernel, *others = model.get_weights()
    model.set_weights([2 * kernel, *others])
    doubled = model.predict(x, verbose=0)
    model.set_weights([kernel, *others])
    assert np.abs(doubled - before).max() > 0.01
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


def test_training_learns_a_convolution():
    """All three roles: a network finds the kernel of another one."""
    x = images(24)
    teacher = weft.Sequential([weft.Input(x.shape[1:]), layers.Conv2D(17, 3, padding="same")])
    y = teacher.predict(x, verbose=0)
    weft.utils.set_random_seed(6)
    convs = [layers.Conv2D(32, 3, padding="same"), layers.Conv2D(17, 3, padding="same")]
    student = weft.Sequential([weft.Input(x.shape[1:]), *convs])
    student.compile("adam", "mse")
    losses = student.fit(x, y, batch_size=8, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
