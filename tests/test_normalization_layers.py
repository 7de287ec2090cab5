"""LayerNormalization, UnitNormalization, Normalization, and what BatchNormalization has in common.

Literals are what Keras 3 computes.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from reference_normalization import normalize
from small_batch import X, close
from test_gradients import grad, numeric

import weft
from weft import layers, ops

RNG = np.random.default_rng(0)


def test_nan_stays_in_its_channel():
    x = RNG.standard_normal((3, 4, 5, 6)).astype(np.float32)
    x[1, 2, 3, 4] = np.nan
    value = layers.BatchNormalization()(x, training=True)
    np.testing.assert_array_equal(np.isnan(value).all((0, 1, 2)), np.arange(6) == 4)
    np.testing.assert_array_equal(np.isnan(value).any((0, 1, 2)), np.arange(6) == 4)
    value = layers.LayerNormalization()(x)
    np.testing.assert_array_equal(np.isnan(value).any(-1), np.isnan(x).any(-1))


def test_layer_normalization_as_in_keras():
    layer = layers.LayerNormalization(axis=[1, 2])
    layer.build((None, 2, 3))
    layer.gamma.assign(np.arange(6).reshape(2, 3))
    layer.beta.assign(np.ones((2, 3)))
    expected = [
        [[1, 0.1513498, 3.667186], [3.9096572, 0.515057, -6.8803225]],
        [[1, 2.4694648, 0.7328247], [4.2061043, 0.4656494, -3.675569]],
    ]
    close(layer(X), expected)


@pytest.mark.parametrize("axis", [-1, 3, 1, [1, 2], (-1, 1), [2, 3], [1, 2, 3]])
def test_layer_normalization_over_axes(axis):
    x = RNG.standard_normal((2, 3, 4, 5))
    layer = layers.LayerNormalization(axis, epsilon=0.01)
    value = layer(x)
    axes = tuple(sorted(a % 4 for a in np.atleast_1d(axis)))
    along = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    assert layer.gamma.shape == tuple(n for i, n in enumerate(x.shape) if i in axes)
    moments = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    close(value, normalize(x, 1.0, 0.0, *moments, 0.01), 2e-6)
    gamma, beta = RNG.standard_normal((2, *layer.gamma.shape))
    layer.set_weights([gamma, beta])
    expected = normalize(x, gamma.reshape(along), beta.reshape(along), *moments, 0.01)
    close(layer(x), expected, 3e-6)
    weights = RNG.standard_normal(x.shape)

    def formula(x, gamma, beta):
        moments = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        value = normalize(x, gamma.reshape(along), beta.reshape(along), *moments, 0.01)
        return np.sum(value * weights)

    found = grad(
        lambda x, g, b: ops.sum(ops.layer_normalization(x, g, b, axis, 0.01) * weights),
        x, gamma, beta,
    )  # fmt: skip
    for f, e in zip(found, numeric(formula, x, gamma, beta), strict=True):
        np.testing.assert_allclose(f, e, rtol=2e-4, atol=2e-4)


def test_other_normalizations():
    x = RNG.standard_normal((4, 6)).astype(np.float32)
    rms = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-7)
    close(ops.rms_normalization(x), rms)
    close(ops.rms_normalization(x, np.arange(6)), rms * np.arange(6))
    close(layers.UnitNormalization()(x), x / np.linalg.norm(x, axis=-1, keepdims=True))
    both = layers.UnitNormalization(axis=[1, 2])(X)
    close(both, X / np.sqrt((X**2).sum((1, 2), keepdims=True)))
    np.testing.assert_array_equal(layers.UnitNormalization()(np.zeros((2, 3))), 0)


def test_normalization_adapts():
    layer = layers.Normalization()
    layer.adapt(X)
    assert [w.name for w in layer.weights] == ["mean", "variance", "count"]
    assert layer.count_params() == 7
    assert layer.trainable_weights == []
    close(layer.get_weights()[0], [1, 0.75, 0.25])
    close(layer.get_weights()[1], [1.25, 2.1875, 2.1875])
    expected = [
        [[-0.4472136, -1.1832159, 1.1832159], [0.4472136, -0.5070925, -1.5212775]],
        [[-1.3416407, 1.5212775, 0.5070925], [1.3416407, 0.1690308, -0.1690308]],
    ]
    close(layer(X), expected)
    back = layers.Normalization(invert=True)
    back.adapt([X[:1], X[1:]])  # batches
    close(back(layer(X)), X)
    layer.adapt(X + 100)
    close(layer(X + 100), expected, 1e-5)


@pytest.mark.parametrize("axis", [None, 1, (1, 2), -1])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_normalization_over_axes(axis, dtype):
    data = RNG.integers(0, 255, (50, 3, 4)).astype(dtype)
    layer = layers.Normalization(axis)
    layer.adapt(data)
    kept = () if axis is None else tuple(a % 3 for a in np.atleast_1d(axis))
    reduced = tuple(a for a in range(3) if a not in kept)
    moments = data.mean(reduced, keepdims=True), data.var(reduced, keepdims=True)
    close(layer(data[:7]), normalize(data[:7].astype(float), 1.0, 0.0, *moments, 0), 2e-6)
    model = weft.Sequential([layer, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data, np.zeros(50), verbose=0)
    close(layer.get_weights()[0], data.mean(reduced))  # no training changes it


def test_normalization_with_given_statistics():
    x = np.array([[1.0], [2.0], [3.0]], np.float32)
    close(layers.Normalization(mean=3.0, variance=2.0)(x), [[-1.4142135], [-0.7071068], [0]])
    close(layers.Normalization(None, 3.0, 2.0, invert=True)(x), x * np.sqrt(2) + 3)
    mean, variance = np.array([1.0, 2, 3]), np.array([4.0, 1, 0])
    layer = layers.Normalization(mean=mean, variance=variance)
    assert layer.weights == []
    close(layer(X[:, :, :2].repeat(2, 2)[..., :3])[..., :2],
          (X[:, :, [0, 0]] - mean[:2]) / np.sqrt(variance[:2]))  # fmt: skip
    again = layers.deserialize(layers.serialize(layer))
    np.testing.assert_array_equal(again(X), layer(X))


CONFIGURED = [
    lambda: layers.BatchNormalization(
        momentum=0.5, epsilon=0.1, scale=False, beta_regularizer="l2"
    ),
    lambda: layers.LayerNormalization(axis=[1, 2], gamma_initializer="zeros"),
    lambda: layers.UnitNormalization(axis=1),
    lambda: layers.Normalization(axis=[1, 2]),
    lambda: layers.Normalization(axis=None, mean=1.0, variance=4.0),
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
        lambda: layers.BatchNormalization(axis=1, name="bn")(np.zeros((2, 4, 5, 3))),
        "BatchNormalization 'bn' normalizes the last axis of inputs of shape (None, 4, 5, 3), got "
        "axis=1; use axis=-1 and channels last.",
    ),
    (lambda: layers.BatchNormalization(momentum=2), "a momentum from 0 to 1, got 2"),
    (lambda: layers.BatchNormalization(momentum=None), "a momentum from 0 to 1, got None"),
    (lambda: layers.BatchNormalization(epsilon=-1), "epsilon of at least 0, got -1"),
    (lambda: layers.BatchNormalization(epsilon=None), "epsilon of at least 0, got None"),
    (
        lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0], name="n")(X),
        "Normalization 'n' expects a mean and variance that broadcast to shape (3,) for inputs of "
        "shape (None, 2, 3), got shape (2,).",
    ),
    (lambda: layers.BatchNormalization()(np.zeros(3)), "(None, ..., channels), got shape (None,)"),
    (lambda: layers.BatchNormalization(gamma_constraint=1), "does not support"),
    (lambda: layers.LayerNormalization(axis="last"), "axis as an integer or several, got 'last'"),
    (lambda: layers.LayerNormalization(axis=4)(X), "has axis=[4], which inputs of shape (None, 2"),
    (lambda: layers.LayerNormalization(axis=0)(X), "known sizes along axes [0]"),
    (lambda: layers.LayerNormalization(rms_scaling=True), "ops.rms_normalization"),
    (lambda: layers.Normalization(mean=1.0), "both mean and variance, or neither"),
    (lambda: layers.Normalization(mean=[1.0], variance=[1.0, 2.0]), "of one shape"),
    (lambda: layers.Normalization(mean=1.0, variance=2.0).adapt(X), "cannot adapt"),
    (lambda: layers.Normalization().adapt(np.array(["a"])), "array of numbers"),
    (lambda: layers.Normalization(axis=0).adapt(X), "known sizes along axes [0]"),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()


def test_other_shapes_than_built_for():
    built = [
        (
            layers.BatchNormalization(name="a"),
            "BatchNormalization 'a' expects inputs with 3",
        ),
        (layers.LayerNormalization(name="b"), "LayerNormalization 'b' expects inputs of rank 3"),
        (layers.Normalization(name="d"), "Normalization 'd' expects inputs with sizes (3,)"),
    ]
    for layer, text in built:
        layer(X)
        with pytest.raises(ValueError, match=re.escape(text)):
            layer(np.zeros((2, 2, 4)))
        assert layer(X).shape == X.shape
