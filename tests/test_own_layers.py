"""Layers that users write, and what the base class does for them."""

from __future__ import annotations

import numpy as np
import pytest

from weft import layers, ops, regularizers
from weft.graph import Trace, Variable
from weft.ops.core import EagerPlan

X = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)


class Residual(layers.Layer):
    """A layer made of others, with a weight and a statistic of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.inner = [layers.Dense(units, activation="relu"), layers.Dense(units)]
        self.units = units

    def build(self, input_shape):
        self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gain")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs, training=False):
        x = inputs
        for layer in self.inner:
            x = layer(x)
        if training:
            self.calls.assign_add(1.0)
            x = x * 2.0
        self.add_loss(0.5 * ops.sum(ops.square(self.gain)))
        return inputs + self.gain * x


def test_layers_of_users():
    layer = Residual(7)
    y = layer(X)
    assert layer.built
    paths = [w.name for w in layer.weights]
    assert paths == ["gain", "calls", "kernel", "bias", "kernel", "bias"]
    assert len(layer.trainable_weights) == 5
    _, _, k1, b1, k2, b2 = layer.get_weights()
    inner = np.maximum(X @ k1 + b1, 0) @ k2 + b2
    np.testing.assert_allclose(y, X + inner, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(X, training=True), X + 2 * inner, rtol=1e-4, atol=1e-5)
    assert layer.calls.numpy() == 1
    assert layer.compute_output_shape((None, 7)) == (None, 7)


def test_losses_and_layer_names_in_a_trace():
    layer = Residual(7, name="outer")
    dense = layers.Dense(2, kernel_regularizer="l2", activity_regularizer=regularizers.L1(0.1))
    with Trace(training=True) as trace:
        dense(layer(trace.input((5, 7))))
        dense(trace.input((5, 7)))  # the kernel's penalty counts once, that of outputs twice
        assert len(trace.losses) == 1 + 1 + 2
        assert all(loss.shape == () for loss in trace.losses)
        assert len(trace.assigns) == 1
        assert trace.layers == []
        with pytest.raises(ValueError, match="Dense 'dense_"):
            layer(trace.input((5, 6)))
        assert trace.layers == []


def test_activity_regularizers_are_averaged_over_the_batch():
    layer = layers.Activation("linear", activity_regularizer=regularizers.L2(0.5))

    def penalty(trace, tensors):
        layer(tensors[0])
        return trace.losses[0]

    assert EagerPlan(penalty, [X]).run([X]) == pytest.approx(0.5 * (X**2).sum() / 5, rel=1e-6)


def test_training_reaches_layers_within():
    class Wrapper(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dropout = layers.Dropout(0.5)

        def call(self, inputs):
            return self.dropout(inputs)

    class Positional(Wrapper):
        def call(self, inputs, training=None):
            return self.dropout(inputs, training)

    x = np.ones((20, 20), np.float32)
    for layer in (Wrapper(), Positional()):
        np.testing.assert_array_equal(layer(x), x)
        assert (layer(x, training=True) == 0).any()


def test_a_failed_build_leaves_nothing_behind():
    class Fussy(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 2), name="kernel")
            if input_shape[-1] != 7:
                raise ValueError("seven features, please")

        def call(self, inputs):
            return ops.matmul(inputs, self.kernel)

    layer = Fussy()
    with pytest.raises(ValueError, match="seven"):
        layer(X[:, :5])
    assert layer.weights == []
    assert not layer.built
    assert layer(X).shape == (5, 2)
    assert len(layer.weights) == 1


def test_ways_to_add_a_weight():
    layer = layers.Layer()
    ways = [
        layer.add_weight((2, 3)),
        layer.add_weight((2, 3), "zeros", name="a"),
        layer.add_weight(name="b", shape=[2, 3], initializer="ones"),
        layer.add_weight("c", shape=(2, 3)),
        layer.add_weight("d", (2, 3)),
    ]
    assert [w.shape for w in ways] == [(2, 3)] * 5
    assert [w.name for w in ways] == ["variable", "a", "b", "c", "d"]
    assert layer.add_weight().shape == ()
    with pytest.raises(TypeError, match="unknown argument: 'foo'"):
        layer.add_weight((2,), foo=1)


def test_layers_and_variables_in_nested_containers_are_found():
    class Branches(layers.Layer):
        def __init__(self):
            super().__init__()
            self.branches = [[layers.Dense(2), layers.Dense(2)], {"c": (layers.Dense(2),)}]

        def build(self, input_shape):
            self.scales = {"all": [Variable(2.0, name="scale")]}

        def call(self, inputs):
            (a, b), rest = self.branches
            return (a(inputs) + b(inputs) + rest["c"][0](inputs)) * self.scales["all"][0]

    layer = Branches()
    layer(X)
    assert len(layer._sublayers()) == 3
    assert len(layer.trainable_weights) == 7
    layer.trainable = False
    assert not layer.branches[1]["c"][0].trainable
