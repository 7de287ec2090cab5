"""BatchNormalization. Literals are what Keras 3 computes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import values_by_isa
from reference_normalization import normalize
from small_batch import X, close
from test_gradients import grad, numeric

import weft
from weft import layers, ops
from weft.ops.normalization import batch_normalization_with_moments

RNG = np.random.default_rng(0)


def test_batch_normalization_as_in_keras():
    layer = layers.BatchNormalization(momentum=0.9)
    layer.build((None, 2, 3))
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    layer.gamma.assign([1.0, 2.0, 0.5])
    layer.beta.assign([0.0, 1.0, -1.0])
    trained = [
        [[-0.4470348, -1.3658912, -0.4085272], [0.4470348, -0.0139534, -1.7604651]],
        [[-1.3411044, 4.0418606, -0.7465116], [1.3411044, 1.3379844, -1.0844961]],
    ]
    close(layer(X, training=True), trained)
    _, _, mean, variance = layer.get_weights()
    close(mean, [0.1, 0.075, 0.025])
    close(variance, [1.025, 1.11875, 1.11875])
    inferred = [
        [[0.3948992, -1.031786, -0.066796], [1.3821473, 0.8582475, -1.9568294]],
        [[-0.5923489, 6.5283475, -0.5393044], [2.3693955, 2.748281, -1.0118127]],
    ]
    close(layer(X), inferred)
    np.testing.assert_array_equal(layer.get_weights()[2], mean)  # inference changes nothing
    images = RNG.standard_normal((4, 5, 6, 3)).astype(np.float32)
    value = layer(images, training=True)
    moments = images.mean((0, 1, 2)), images.var((0, 1, 2))
    close(value, normalize(images, *layer.get_weights()[:2], *moments, 1e-3), 2e-6)


def make_model(**options):
    return weft.Sequential(
        [
            weft.Input((2, 3)),
            layers.BatchNormalization(momentum=0.9, epsilon=0.01, name="bn", **options),
            layers.Flatten(),
            layers.Dense(1, name="head"),
        ]
    )


def start(model):
    model.layers[-1].kernel.assign(np.linspace(-1, 1, 6).reshape(6, 1))
    model.compile(weft.optimizers.SGD(0.1), "mse")


Y = np.array([[1.0], [-1.0]], np.float32)


@pytest.mark.parametrize("fuse", [True, False])
def test_training_as_in_keras(fuse):
    model = make_model()
    start(model)
    model.compile(weft.optimizers.SGD(0.1), "mse", fuse=fuse)
    history = model.fit(X, Y, batch_size=2, epochs=3, shuffle=False, verbose=0)
    close(history.history["loss"], [2.8081117, 0.0627716, 0.00166057], 3e-6)
    gamma, beta, mean, variance, kernel, _ = model.get_weights()
    close(gamma, [0.8414004, 1.2504642, 0.6921942])
    close(beta, [-0.0311675, -0.006269, 0.0299679], 5e-6)
    close(mean, [0.271, 0.20325, 0.06775])
    close(variance, [1.0677499, 1.3218124, 1.3218124])
    close(kernel[:, 0], [-0.8674991, -1.1165981, -0.045632, 0.0670042, 0.4621292, 0.7223689])
    close(model.predict(X, verbose=0), [[0.3992573], [-2.2882476]], 2e-6)
    close(model.evaluate(X, Y, verbose=0), 1.0102369, 2e-6)


def test_moving_averages_take_one_step_per_batch():
    x = RNG.standard_normal((11, 2, 3)).astype(np.float32)
    y = RNG.standard_normal((11, 1)).astype(np.float32)
    model = make_model()
    start(model)
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(2):
        for first in (0, 4, 8):
            batch = x[first : first + 4]
            mean = mean * 0.9 + batch.mean((0, 1)) * 0.1
            variance = variance * 0.9 + batch.var((0, 1)) * 0.1
    close(model.layers[0].moving_mean, mean, 2e-6)
    close(model.layers[0].moving_variance, variance, 2e-6)
    before = model.get_weights()
    model.evaluate(x, y, batch_size=4, verbose=0)
    model.predict(x, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    gamma, beta, mean, variance, kernel, bias = before
    normalized = normalize(x, gamma, beta, mean, variance, 0.01)
    close(model.predict(x, verbose=0), normalized.reshape(11, 6) @ kernel + bias, 2e-6)


def test_a_frozen_layer_runs_in_inference_mode():
    model = make_model()
    model.layers[0].trainable = False
    start(model)
    before = model.layers[0].get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    for a, b in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    layer = layers.BatchNormalization()
    trained = layer(X, training=True)
    layer.trainable = False
    np.testing.assert_array_equal(layer(X, training=True), layer(X))
    layer.trainable = True
    np.testing.assert_array_equal(layer(X, training=True), trained)


@pytest.mark.parametrize(("center", "scale"), [(False, True), (True, False), (False, False)])
def test_without_gamma_or_beta(center, scale):
    for make in (layers.BatchNormalization, layers.LayerNormalization):
        layer = make(center=center, scale=scale)
        value = layer(X, training=True) if make is layers.BatchNormalization else layer(X)
        names = [w.name for w in layer.trainable_weights]
        assert names == ["gamma"] * scale + ["beta"] * center
        axes = (0, 1) if make is layers.BatchNormalization else (2,)
        moments = X.mean(axes, keepdims=True), X.var(axes, keepdims=True)
        close(value, normalize(X, 1.0, 0.0, *moments, 1e-3), 2e-6)
    model = make_model(center=center, scale=scale)
    start(model)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_a_network_with_batch_normalization_learns():
    """The inputs are badly scaled: without normalization, this learning rate diverges."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 600)
    x = rng.standard_normal((600, 6, 2)).astype(np.float32)
    x[:, :, 0] += labels[:, None]
    x = x * [20.0, 300.0] + [0.0, 5000.0]
    weft.utils.set_random_seed(1)
    model = weft.Sequential(
        [
            layers.BatchNormalization(momentum=0.8),
            layers.Flatten(),
            layers.Dense(16, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.Activation("relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(weft.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, labels, batch_size=32, epochs=8, verbose=0)
    assert model.evaluate(x, labels, verbose=0, return_dict=True)["accuracy"] > 0.85


def digest(threads):
    """A fingerprint of everything that training with normalization computes."""
    weft.config.set_num_threads(threads)
    weft.utils.set_random_seed(5)
    x = np.random.default_rng(2).standard_normal((96, 17, 23, 5)).astype(np.float32)
    y = np.random.default_rng(3).standard_normal((96, 1)).astype(np.float32)
    model = weft.Sequential(
        [
            weft.Input((17, 23, 5)),
            layers.BatchNormalization(),
            layers.GaussianNoise(0.1),
            layers.Dense(24),
            layers.BatchNormalization(),
            layers.PReLU(shared_axes=[1, 2]),
            layers.SpatialDropout2D(0.2),
            layers.LayerNormalization(),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile(weft.optimizers.SGD(1e-4), "mse")
    history = model.fit(x, y, batch_size=48, epochs=2, verbose=0)
    weft.config.set_num_threads(0)
    sums = hashlib.sha256(repr(history.history).encode())
    for weights in model.get_weights():
        sums.update(weights.tobytes())
    return sums.hexdigest()


@pytest.mark.cpu
def test_threads_do_not_change_a_bit():
    assert digest(1) == digest(2) == digest(3)


@pytest.mark.cpu
def test_instruction_sets_agree():
    assert len(values_by_isa("test_batch_normalization.digest(1)")) == 1


@pytest.mark.parametrize("shape", [(64, 16), (3, 40, 40, 3), (2, 50, 33), (5, 700)])
def test_a_large_mean_costs_no_digits_of_the_variance(shape):
    x = (1e4 + RNG.standard_normal(shape)).astype(np.float32)
    exact = x.astype(np.float64)
    axes = tuple(range(x.ndim - 1))
    value, mean, variance = batch_normalization_with_moments(x, epsilon=1e-3)
    close(mean, exact.mean(axes), 1e-7)
    close(variance, exact.var(axes), 2e-6)
    # Numbers near 1e4 are 1e-3 apart, and each mean is one of them.
    rows = ops.layer_normalization(x, epsilon=1e-3)
    for given, over, most in ((value, axes, 6e-4), (rows, (-1,), 2e-3)):
        moments = exact.mean(over, keepdims=True), exact.var(over, keepdims=True)
        errors = np.abs(given - normalize(exact, 1.0, 0.0, *moments, 1e-3))
        assert np.max(errors * np.sqrt(moments[1] + 1e-3)) < most


def test_the_first_values_need_not_be_typical():
    """Deviations are taken from the mean of the first ones."""
    x = RNG.standard_normal((40, 30, 30, 4)).astype(np.float32)
    x[0] += 1000.0
    _, mean, variance = batch_normalization_with_moments(x)
    close(mean, x.astype(np.float64).mean((0, 1, 2)), 2e-6)
    close(variance, x.astype(np.float64).var((0, 1, 2)), 2e-6)


@pytest.mark.parametrize("axis", [-1, 1, 2, 0])
def test_ops_batch_normalization(axis):
    x = RNG.standard_normal((3, 5, 4))
    size = x.shape[axis]
    mean, offset, scale = RNG.standard_normal((3, size))
    variance = RNG.uniform(0.5, 2, size)
    weights = RNG.standard_normal(x.shape)

    def formula(x, mean, variance, offset, scale):
        moved = np.moveaxis(x, axis, -1)
        value = normalize(moved, scale, offset, mean, variance, 0.01)
        return np.sum(np.moveaxis(value, -1, axis) * weights)

    arrays = (x, mean, variance, offset, scale)
    value = ops.batch_normalization(x, mean, variance, axis, offset, scale, 0.01)
    assert np.sum(value * weights) == pytest.approx(formula(*arrays), rel=1e-4, abs=1e-4)
    found = grad(
        lambda x, m, v, o, s: ops.sum(ops.batch_normalization(x, m, v, axis, o, s, 0.01) * weights),
        *arrays,
    )
    for f, e in zip(found, numeric(formula, *arrays), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-4)


def test_summary_counts_what_is_not_trained(capsys):
    model = make_model()
    model.summary()
    text = capsys.readouterr().out
    assert "Trainable params: 13 (52.00 B)" in text
    assert "Non-trainable params: 6 (24.00 B)" in text
