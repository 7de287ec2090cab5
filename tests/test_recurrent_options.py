"""SimpleRNN, LSTM, GRU, Bidirectional: states, dropout, configurations, and errors."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sequences import X, Y, patterned

import weft
from weft import layers, ops


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("sequences", [False, True])
def test_stateful(cls, sequences):
    """Two halves one after the other give what the whole sequence does."""
    x = np.random.default_rng(0).standard_normal((3, 6, 2)).astype(np.float32)
    whole = cls(5, return_sequences=True)
    expected = whole(x)
    options = {"stateful": True, "return_sequences": sequences}
    layer = cls(5, batch_input_shape=(3, 3, 2), **options)
    layer(x[:, :3])
    assert len(layer.weights) == 3
    layer.set_weights(whole.get_weights())
    layer.reset_state()
    for _ in range(2):
        for begin in (0, 3):
            y = layer(x[:, begin : begin + 3])
            part = expected[:, begin : begin + 3]
            np.testing.assert_allclose(y, part if sequences else part[:, -1], atol=1e-6)
        layer.reset_states()
    with pytest.raises(ValueError, match=r"is stateful and expects batches of 3, got 2"):
        layer(x[:2, :3])


def test_stateful_model():
    model = weft.Sequential([layers.Input(batch_shape=(2, 3, 2))])
    model.add(layers.LSTM(2, stateful=True, return_sequences=True))
    model.add(layers.LSTM(2, stateful=True))
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    first = model.predict(np.concatenate([X, X]), batch_size=2, verbose=0)
    assert not np.allclose(first[:2], first[2:])
    model.reset_states()
    np.testing.assert_array_equal(model.predict(X, batch_size=2, verbose=0), first[:2])
    np.testing.assert_array_equal(model.predict_on_batch(X), first[2:])
    a = model.evaluate(X, Y, batch_size=2, verbose=0)
    b = model.evaluate(X, Y, batch_size=2, verbose=0)
    assert a != b
    model.fit(X, Y, batch_size=2, shuffle=False, verbose=0)
    assert np.all(model.layers[0].states[0].numpy() != 0)


def test_dropout_masks_are_the_same_in_all_steps():
    x = np.ones((200, 4, 3), np.float32)
    dropped = layers.SimpleRNN(
        1,
        activation="linear",
        kernel_initializer=np.array([[1.0], [10.0], [100.0]]),
        recurrent_initializer="zeros",
        return_sequences=True,
        dropout=0.5,
    )
    y = dropped(x, training=True)
    assert set(np.unique(y)) == {2.0 * (a + 10 * b + 100 * c) for a, b, c in np.ndindex(2, 2, 2)}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    np.testing.assert_array_equal(dropped(x), np.full((200, 4, 1), 111))

    of_states = layers.SimpleRNN(
        1,
        activation="linear",
        kernel_initializer="ones",
        recurrent_initializer="ones",
        return_sequences=True,
        recurrent_dropout=0.5,
    )
    y = of_states(x[:, :, :1], training=True)[..., 0]
    assert {tuple(row) for row in y} == {(1, 1, 1, 1), (1, 3, 7, 15)}


@pytest.mark.parametrize("reset_after", [True, False])
def test_recurrent_dropout_of_a_gru_spares_the_state_that_it_keeps(reset_after):
    """As in Keras, only the products of a step see the mask."""
    x = np.ones((200, 2, 1), np.float32)
    gru = layers.GRU(
        1,
        activation="linear",
        kernel_initializer="ones",
        recurrent_initializer="zeros",
        return_sequences=True,
        recurrent_dropout=0.5,
        reset_after=reset_after,
    )
    np.testing.assert_allclose(gru(x, training=True), gru(x), rtol=1e-6)

    gru.set_weights([gru.get_weights()[0], np.ones((1, 3)), gru.get_weights()[2]])

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    first = 1 - sigmoid(1)
    second = []
    for masked in (0, 2 * first):  # dropped or scaled
        z = r = sigmoid(1 + masked)
        second.append(z * first + (1 - z) * (1 + r * masked))
    y = gru(x, training=True)
    np.testing.assert_allclose(y[:, 0], first, rtol=1e-5)
    np.testing.assert_allclose(np.unique(y[:, 1].round(5)), np.sort(second), atol=1e-5)


def test_positional_arguments_are_those_of_keras():
    first = ("relu", "hard_sigmoid", False, "ones", "zeros", "he_normal")
    for layer in (layers.LSTM(3, *first, False), layers.GRU(3, *first)):
        config = layer.get_config()
        assert not config["use_bias"]
        names = [config[f"{n}_initializer"]["class_name"] for n in ("kernel", "recurrent", "bias")]
        assert names == ["Ones", "Zeros", "HeNormal"]
    assert layers.LSTM(3, *first, False).unit_forget_bias is False


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_training_with_dropout(cls):
    x = np.random.default_rng(0).standard_normal((8, 4, 3)).astype(np.float32)
    model = weft.Sequential([layers.Input((4, 3))])
    model.add(layers.Bidirectional(cls(5, dropout=0.2, recurrent_dropout=0.3)))
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    losses = model.fit(x, x[:, 0, :1], epochs=3, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))


def every_layer():
    return [
        layers.LSTM(3, "relu", kernel_regularizer="l2", dropout=0.1, unit_forget_bias=False),
        layers.GRU(3, recurrent_activation="hard_sigmoid", reset_after=False, seed=3),
        layers.SimpleRNN(3, use_bias=False, return_sequences=True, go_backwards=True),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="ave"),
        layers.TimeDistributed(layers.Dense(3)),
        layers.Embedding(7, 3, embeddings_regularizer="l1"),
    ]


@pytest.mark.parametrize("index", range(6))
def test_config(index):
    layer = every_layer()[index]
    x = np.array([[1, 2, 3], [4, 5, 6]]) if index == 5 else X
    again = layers.deserialize(layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    assert again.name == layer.name
    value = layer(x)
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), value)


def test_models_are_saved_with_their_weights(tmp_path):
    def build():
        model = weft.Sequential([layers.Input((3,), dtype="int32"), layers.Embedding(5, 4)])
        model.add(layers.Bidirectional(layers.LSTM(3, return_sequences=True)))
        model.add(layers.GRU(2))
        return model

    model, other = build(), build()
    ids = np.array([[0, 1, 4]])
    model.save_weights(tmp_path / "weights.safetensors")
    other.load_weights(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(model.predict(ids, verbose=0), other.predict(ids, verbose=0))
    copy = weft.Sequential.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(ids, verbose=0), copy.predict(ids, verbose=0))


ERRORS = [
    (
        lambda: layers.LSTM(3, name="l")(np.ones((2, 3))),
        "LSTM 'l' expects inputs of shape (None, time steps, features), got shape (None, 3)",
    ),
    (
        lambda: layers.GRU(3, name="g")(np.ones((2, 0, 3))),
        "GRU 'g' expects at least one time step, got shape (None, 0, 3)",
    ),
    (
        lambda: patterned(layers.SimpleRNN(2, name="s"))(np.ones((2, 3, 5))),
        "SimpleRNN 's' expects inputs with 2 features, got shape (None, 3, 5)",
    ),
    (lambda: layers.LSTM(0, name="l"), "LSTM 'l' expects a positive number of units, got 0."),
    (lambda: layers.LSTM(3, dropout=1.5), "expects dropout from 0 to below 1, got 1.5"),
    (lambda: layers.LSTM(3, dropout="0.5"), "expects dropout from 0 to below 1, got '0.5'"),
    (lambda: layers.GRU(3, recurrent_dropout=None), "expects recurrent_dropout from 0 to below 1"),
    (lambda: layers.LSTM(3, seed="a"), "an integer or None as its seed, got 'a'"),
    (
        lambda: layers.LSTM(3, input_shape=(None, 4), name="l"),
        "LSTM 'l' expects an input shape of positive integers, got (None, 4); give all sizes (such "
        "as a fixed number of steps), or leave the shape out and the model is built for its first",
    ),
    (lambda: layers.LSTM(3, return_state=True), "return_state=True"),
    (lambda: layers.LSTM(3, bias_constraint="x"), "constraint, which weft does not support"),
    (
        lambda: layers.LSTM(3, stateful=True, name="l")(X),
        "LSTM 'l' is stateful and needs a fixed batch size",
    ),
    (lambda: layers.LSTM(3, name="l").reset_state(), "LSTM 'l' is not stateful"),
    (lambda: layers.Bidirectional(layers.Dense(3)), "expects a SimpleRNN, LSTM or GRU"),
    (lambda: layers.Bidirectional(layers.LSTM(3), None), "expects merge_mode to be one of"),
    (
        lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
        "expects layers that go in different directions",
    ),
    (lambda: layers.TimeDistributed("dense"), "expects a layer, got 'dense'"),
    (lambda: layers.Embedding(0, 3), "expects a positive input_dim, got 0"),
    (lambda: layers.Embedding(3, 3, mask_zero=True), "weft does not support masking"),
    (lambda: ops.lstm(X, np.ones((2, 8)), np.ones((2, 7))), "got shapes (6, 8) and (2, 7)"),
    (
        lambda: ops.lstm(X[0], np.ones((2, 8)), np.ones((2, 8))),
        "lstm expects inputs (N, T, F), got shape (3, 2).",
    ),
    (
        lambda: ops.gru(X, np.ones((2, 6)), np.ones((2, 6)), mask=np.ones((2, 2))),
        "gru got a mask, which weft does not support",
    ),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()
