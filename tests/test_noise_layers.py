"""Layers that disturb training, PReLU, and a Maxout of a user's own."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from small_batch import X, close

import weft
from weft import layers, ops
from weft.graph import Trace
from weft.ops.core import EagerPlan

RNG = np.random.default_rng(0)


def test_noise():
    x = np.full((100, 50), 3.0, np.float32)
    noise = layers.GaussianNoise(0.5)(x, training=True) - x
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    factors = layers.GaussianDropout(0.2)(x, training=True) / x
    assert factors.mean() == pytest.approx(1, abs=0.02)
    assert factors.std() == pytest.approx(0.5, rel=0.05)  # sqrt(0.2 / 0.8)
    for layer in (layers.GaussianNoise(0.5), layers.GaussianDropout(0.2)):
        np.testing.assert_array_equal(layer(x), x)
        assert not np.array_equal(layer(x, training=True), layer(x, training=True))
    for layer in (layers.GaussianNoise(0), layers.GaussianDropout(0)):
        np.testing.assert_array_equal(layer(x, training=True), x)


def test_seeds_are_integers():
    made = [
        lambda seed: layers.Dropout(0.5, seed=seed),
        lambda seed: layers.GaussianNoise(0.5, seed=seed),
        lambda seed: layers.LSTM(2, seed=seed),
        lambda seed: layers.RandomFlip(seed=seed),
    ]
    for make in made:
        for wrong in ("a", 1.5, True):
            with pytest.raises(ValueError, match="expects an integer or None as its seed, got"):
                make(wrong)
        assert json.loads(json.dumps(make(np.int64(3)).get_config()))["seed"] == 3
        assert make(None).get_config()["seed"] is None


def test_noise_is_the_same_backward():
    layer = layers.GaussianDropout(0.5)
    x = np.ones((8, 5), np.float32)

    def record(trace: Trace, tensors):
        y = layer(tensors[0])
        return [y, *trace.gradients(ops.sum(y), tensors)]

    value, gradient = EagerPlan(record, [x], training=True).run([x])
    np.testing.assert_array_equal(value, gradient)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.SpatialDropout1D(0.25), (60, 7, 20)),
        (layers.SpatialDropout2D(0.25), (60, 3, 4, 20)),
    ],
)
def test_spatial_dropout(layer, shape):
    x = RNG.standard_normal(shape).astype(np.float32)
    y = layer(x, training=True)
    axes = tuple(range(1, len(shape) - 1))
    dropped = (y == 0).all(axes)
    np.testing.assert_array_equal(dropped, (y == 0).any(axes))  # whole channels
    assert 0.2 < dropped.mean() < 0.3
    kept = np.broadcast_to(~dropped.reshape(60, *[1] * len(axes), 20), shape)
    close(y[kept], x[kept] / 0.75)
    np.testing.assert_array_equal(layer(x), x)
    assert not np.array_equal(layer(x, training=True), y)


def test_prelu():
    layer = layers.PReLU(weft.initializers.Constant(0.25), shared_axes=[1])
    expected = [[[0.5, -0.25, 2], [1.5, 0, -0.5]], [[-0.125, 3, 1], [2.5, 1, 0]]]
    close(layer(X), expected)
    assert layer.alpha.shape == (1, 3)
    layer(np.zeros((4, 9, 3)))  # the shared axis may have any size
    whole = layers.PReLU()
    close(whole(X), np.maximum(X, 0))
    assert whole.alpha.shape == (2, 3)
    model = weft.Sequential([weft.Input((2, 3)), layers.PReLU()])
    model.compile(weft.optimizers.SGD(1.0), "mse")
    model.fit(X, 0.5 * X, epochs=1, verbose=0)
    # d mean((prelu - x/2)^2) / d alpha = sum(2 * (-x/2) * x) / 6 / 2 over the negative x
    close(model.get_weights()[0], (np.minimum(X, 0) ** 2).sum(0) / 12)


def test_activity_regularization():
    layer = layers.ActivityRegularization(l1=0.1, l2=0.01)

    def penalty(trace: Trace, tensors):
        layer(tensors[0])
        return trace.losses[0]

    assert EagerPlan(penalty, [X]).run([X]) == pytest.approx(0.895)


class Maxout(layers.Layer):
    """The largest of `pieces` linear functions, for each of `units`. (Goodfellow et al., 2013)"""

    def __init__(self, units, pieces):
        super().__init__()
        self.units, self.pieces = units, pieces
        self.linear = layers.Dense(units * pieces)

    def call(self, inputs):
        shape = (inputs.shape[0], self.units, self.pieces)
        return ops.max(ops.reshape(self.linear(inputs), shape), axis=-1)


def test_maxout_written_by_a_user_trains():
    rng = np.random.default_rng(3)
    x = rng.uniform(-2, 2, (512, 2)).astype(np.float32)
    y = np.abs(x[:, :1]) - np.abs(x[:, 1:])  # not convex: one layer of maxima is not enough
    weft.utils.set_random_seed(2)
    model = weft.Sequential([Maxout(8, 3), layers.Dense(1)])
    model.compile(weft.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, batch_size=32, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.01 < 0.2 < history[0]
    first = Maxout(2, 3)
    value = first(x[:5])
    kernel, bias = first.get_weights()
    close(value, (x[:5] @ kernel + bias).reshape(5, 2, 3).max(-1))


CONFIGURED = [
    lambda: layers.PReLU(alpha_initializer="ones", alpha_regularizer="l1", shared_axes=[1]),
    lambda: layers.GaussianNoise(0.5, seed=3),
    lambda: layers.GaussianDropout(0.5),
    lambda: layers.SpatialDropout1D(0.5, seed=7),
    lambda: layers.ActivityRegularization(l1=0.1, l2=0.2),
]


@pytest.mark.parametrize("index", range(len(CONFIGURED)))
def test_configuration(index):
    layer = CONFIGURED[index]()
    again = layers.deserialize(layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(X), layer(X))
    assert layer.compute_output_shape((None, 2, 3)) == (None, 2, 3)


ERRORS = [
    (
        lambda: layers.SpatialDropout2D(0.5)(X),
        "(None, height, width, channels), got",
    ),
    (lambda: layers.SpatialDropout1D(0.5)(X[0]), "(None, steps, channels), got shape (None, 3)"),
    (lambda: layers.GaussianNoise(-1), "expects stddev of at least 0, got -1"),
    (lambda: layers.GaussianDropout(1), "a rate below 1, got 1"),
    (lambda: layers.GaussianDropout(True), "a rate from 0 to 1, got True"),
    (lambda: layers.PReLU(shared_axes=[3])(X), "shared axes from 1 to 2"),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()


def test_prelu_of_another_shape():
    layer = layers.PReLU(name="c")
    layer(X)
    text = "PReLU 'c' expects inputs that fit its alpha of shape (2, 3), got shape (None, 2, 4)"
    with pytest.raises(ValueError, match=re.escape(text)):
        layer(np.zeros((2, 2, 4)))
    assert layer(X).shape == X.shape
