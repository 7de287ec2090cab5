"""Networks of convolutions: fused or not, on any number of threads, on any instruction set."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import values_by_isa

import weft
from weft import layers

RNG = np.random.default_rng(7)
X = RNG.integers(0, 256, size=(90, 14, 13, 2), dtype=np.uint8)
Y = RNG.integers(0, 10, size=90)


def convnet(dropout=0.25):
    weft.utils.set_random_seed(11)
    return weft.Sequential(
        [
            weft.Input(X.shape[1:]),
            layers.Rescaling(1 / 255),
            layers.Conv2D(9, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Conv2D(20, 3, activation="relu", kernel_regularizer="l2"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(33, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def other_net(dropout=0.25):
    """What a convolution meets besides pooling: dropout, other activations, no activation."""
    weft.utils.set_random_seed(12)
    return weft.Sequential(
        [
            weft.Input(X.shape[1:]),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, activation="tanh"),
            layers.Dropout(dropout),
            layers.Conv2D(5, (1, 3), use_bias=False),
            layers.LeakyReLU(0.1),
            layers.SeparableConv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2DTranspose(6, 2, strides=2, activation="elu"),
            layers.Conv2D(4, 3, activation="softplus"),
            layers.MaxPooling2D(3, strides=2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def wide_net(dropout=0.25):
    """3x3 kernels with 16 channels and more: Winograd's way, in every role."""
    weft.utils.set_random_seed(13)
    return weft.Sequential(
        [
            weft.Input(X.shape[1:]),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu", padding="same"),
            layers.Conv2D(20, 3, use_bias=False, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Dropout(dropout),
            layers.Conv2D(70, 3, activation="tanh", padding="same"),
            layers.Conv2DTranspose(17, 3, activation="elu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


NETS = {"convnet": convnet, "other": other_net, "wide": wide_net}


def train(net, optimizer="adam", threads=0, fuse=True, dropout=0.25, epochs=2):
    weft.config.set_num_threads(threads)
    model = NETS[net](dropout)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], fuse=fuse)
    history = model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0).history
    weft.config.set_num_threads(0)
    return model, history


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_fused_equals_unfused(net, optimizer, dropout):
    fused, history = train(net, optimizer, dropout=dropout)
    unfused, other = train(net, optimizer, dropout=dropout, fuse=False)
    for a, b in zip(fused.get_weights(), unfused.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(history["loss"], other["loss"], rtol=1e-4)
    np.testing.assert_allclose(
        fused.predict(X, verbose=0), unfused.predict(X, verbose=0), rtol=1e-3, atol=1e-4
    )


def digest(net, threads=0):
    """A fingerprint of weights, history and predictions."""
    model, history = train(net, threads=threads)
    sums = hashlib.sha256()
    for array in (*model.get_weights(), model.predict(X, verbose=0)):
        sums.update(array.tobytes())
    sums.update(repr(history).encode())
    return sums.hexdigest()


@pytest.mark.cpu
@pytest.mark.parametrize("net", NETS)
def test_threads_do_not_change_a_bit(net):
    assert digest(net, 1) == digest(net, 2) == digest(net, 3)


@pytest.mark.cpu
@pytest.mark.parametrize("net", NETS)
def test_instruction_sets_agree(net):
    assert len(values_by_isa(f"test_conv_networks.digest({net!r})")) == 1


def test_a_small_network_learns_a_few_images_by_heart():
    model = convnet(dropout=0.0)
    loss = "sparse_categorical_crossentropy"
    model.compile(weft.optimizers.Adam(0.01), loss, metrics=[loss])
    history = model.fit(X[:12], Y[:12], batch_size=6, epochs=60, verbose=0).history[loss]
    assert history[0] > 1
    assert history[-1] < 0.05
    np.testing.assert_array_equal(model.predict(X[:12], verbose=0).argmax(1), Y[:12])
