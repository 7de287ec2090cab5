"""Embedding and TimeDistributed."""

from __future__ import annotations

import re

import numpy as np
import pytest

import weft
from weft import layers, ops

Y = np.array([[0.5], [-0.25]], np.float32)


def test_embedding_shapes_and_ids():
    layer = layers.Embedding(5, 3)
    assert layer(np.array([4, 0])).shape == (2, 3)
    assert layer(np.zeros((2, 3, 4))).shape == (2, 3, 4, 3)
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(layer([[1, 2]]), table[[[1, 2]]])
    given = layers.Embedding(2, 3, weights=[np.arange(6).reshape(2, 3)])
    np.testing.assert_array_equal(given([1]), [[3, 4, 5]])
    np.testing.assert_array_equal(np.isnan(ops.embedding([1, 9, -1], table)[:, 0]), [0, 1, 1])


def test_embedding_refuses_unknown_ids():
    model = weft.Sequential([layers.Embedding(5, 3, name="words"), layers.Flatten()])
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    message = "Embedding 'words' expects ids from 0 to 4, got ids from 1 to 5."
    bad = np.array([[1, 2], [3, 5]])
    calls = [
        lambda: model.fit(bad, Y, verbose=0),
        lambda: model.predict(bad, verbose=0),
        lambda: model.evaluate(bad, Y, verbose=0),
        lambda: model(bad),
        lambda: layers.Embedding(5, 3, name="words")(bad),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
    model.predict(bad % 5, verbose=0)
    model(bad % 5)
    with pytest.raises(ValueError, match="got ids from -1 to 5"):
        model(bad - [[0, 0], [4, 0]])


def test_ids_are_checked_before_they_become_int32():
    ids = np.array([[0, 2**32 + 1]])
    for layer in (layers.Embedding(5, 3), layers.TimeDistributed(layers.Embedding(5, 3))):
        with pytest.raises(ValueError, match=r"expects ids from 0 to 4, got ids from 0 to 4\.29"):
            layer(ids[None])


def test_time_distributed_embedding_begins_a_model():
    inner = layers.Embedding(9, 2, name="words")
    model = weft.Sequential([layers.TimeDistributed(inner, input_shape=(2, 3)), layers.Flatten()])
    assert model.input_dtype == "int32"
    ids = np.arange(6).reshape(1, 2, 3)
    y = model.predict(ids, verbose=0)
    np.testing.assert_array_equal(y, inner.get_weights()[0][ids].reshape(1, 12))
    with pytest.raises(ValueError, match="Embedding 'words' expects ids from 0 to 8, got ids from"):
        model.predict(ids - 1, verbose=0)


def test_the_shape_inside_of_time_distributed_is_that_of_one_step():
    inner = layers.Dense(4, input_shape=(5,))
    model = weft.Sequential([layers.TimeDistributed(inner)])
    assert not model.built
    assert model.predict(np.zeros((2, 3, 5)), verbose=0).shape == (2, 3, 4)
    again = layers.deserialize(layers.serialize(model.layers[0]))
    assert again.get_config() == model.layers[0].get_config()


def test_time_distributed():
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8, 1)).astype(np.float32)
    inner = layers.Flatten()
    layer = layers.TimeDistributed(inner)
    np.testing.assert_array_equal(layer(x), x.reshape(2, 3, 64))
    dense = layers.TimeDistributed(layers.Dense(4, activation="tanh"))
    flat = x.reshape(2, 3, 64)
    expected = np.tanh(flat @ (kernel := np.full((64, 4), 0.01)) + 0.5)
    dense(flat)
    dense.set_weights([kernel, np.full(4, 0.5)])
    np.testing.assert_allclose(dense(flat), expected, rtol=1e-5)
    assert dense.compute_output_shape((None, 3, 64)) == (None, 3, 4)
    with pytest.raises(ValueError, match=r"expects inputs of shape \(None, time steps, \.\.\.\)"):
        layers.TimeDistributed(layers.Dense(1))(np.ones((2, 3)))


@pytest.mark.parametrize("nested", [False, True])
def test_ids_of_a_model_with_float_inputs_are_looked_at_in_each_call(nested):
    first = layers.Embedding(5, 3)
    model = weft.Sequential([weft.Input((2,)), weft.Sequential([first]) if nested else first])
    model(np.zeros((1, 2), np.float32))
    for _ in range(2):
        with pytest.raises(ValueError, match="expects ids from 0 to 4"):
            model(np.full((1, 2), 7, np.float32))
