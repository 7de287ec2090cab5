"""SimpleRNN, LSTM, GRU, Bidirectional: numbers, errors, configs.

The literals were computed with Keras 3 from the same weights and inputs.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import weft
from weft import _core, layers, ops

X = ((np.arange(12) % 5 - 2) / 4).reshape(2, 3, 2).astype(np.float32)
Y = np.array([[0.5], [-0.25]], np.float32)
STEP = {"return_sequences": True, "go_backwards": True}


def set_pattern(layer):
    """Weights that Keras can be given just as well."""
    weights = [(np.arange(w.size) % 7 - 3).reshape(w.shape) / 10 for w in layer.get_weights()]
    layer.set_weights(weights)


def patterned(layer, x=X):
    layer(x)
    set_pattern(layer)
    return layer


KERAS = [
    ("LSTM", {}, [[0.035168, 0.055103], [0.033025, 0.059334]]),
    (
        "LSTM",
        STEP,
        [
            [[0.013332, 0.026908], [0.040835, 0.063697], [0.024232, 0.047799]],
            [[0.0, 0.005714], [0.047223, 0.063932], [0.044975, 0.071746]],
        ],
    ),
    ("LSTM", {"activation": "gelu"}, [[0.009154, 0.016696], [0.008749, 0.018685]]),
    ("GRU", {}, [[0.111853, 0.265107], [0.066839, 0.192216]]),
    (
        "GRU",
        STEP,
        [
            [[0.085526, 0.177188], [0.093852, 0.244583], [0.07514, 0.182799]],
            [[0.024043, 0.071121], [0.072407, 0.250831], [0.074961, 0.226396]],
        ],
    ),
    ("GRU", {"reset_after": False}, [[0.121987, 0.207448], [0.069719, 0.150004]]),
    ("SimpleRNN", {}, [[-0.292615, -0.241004], [-0.005471, -0.033827]]),
    (
        "SimpleRNN",
        STEP,
        [
            [[-0.379949, -0.291313], [-0.179905, -0.123378], [-0.058623, -0.063932]],
            [[-0.124353, -0.099668], [-0.360732, -0.221402], [-0.094359, -0.077697]],
        ],
    ),
]


@pytest.mark.parametrize(("name", "options", "expected"), KERAS)
def test_values_of_keras(name, options, expected):
    layer = patterned(getattr(layers, name)(2, **options))
    np.testing.assert_allclose(layer(X), expected, atol=1e-6)


FORWARD = np.array(
    [
        [[-0.124353, -0.099668], [-0.2708, -0.173361], [-0.292615, -0.241004]],
        [[-0.221278, -0.148885], [-0.330802, -0.20289], [-0.005471, -0.033827]],
    ]
)
BACKWARD = np.array(
    [
        [[-0.058623, -0.063932], [-0.179905, -0.123378], [-0.379949, -0.291313]],
        [[-0.094359, -0.077697], [-0.360732, -0.221402], [-0.124353, -0.099668]],
    ]
)


@pytest.mark.parametrize(
    ("merge_mode", "expected"),
    [
        ("concat", np.concatenate([FORWARD, BACKWARD], -1)),
        ("sum", FORWARD + BACKWARD),
        ("mul", FORWARD * BACKWARD),
        ("ave", (FORWARD + BACKWARD) / 2),
    ],
)
def test_bidirectional(merge_mode, expected):
    inner = layers.SimpleRNN(2, return_sequences=True, name="inner")
    layer = patterned(layers.Bidirectional(inner, merge_mode=merge_mode))
    np.testing.assert_allclose(layer(X), expected, atol=1.5e-6)
    assert layer.compute_output_shape((None, 3, 2)) == (None, *expected.shape[1:])
    paths = [v.path for v in layer.weights]
    assert paths[0] == "forward_inner/kernel"
    assert paths[-1] == "backward_inner/bias"


def test_bidirectional_last_step_reads_both_ends():
    layer = patterned(layers.Bidirectional(layers.SimpleRNN(2)))
    last = np.concatenate([FORWARD[:, -1], BACKWARD[:, 0]], -1)
    np.testing.assert_allclose(layer(X), last, atol=1.5e-6)


def test_bidirectional_with_a_layer_of_its_own():
    backward = layers.GRU(3, go_backwards=True)
    layer = layers.Bidirectional(layers.LSTM(2), backward_layer=backward)
    assert layer(X).shape == (2, 5)
    again = layers.deserialize(layers.serialize(layer))
    again(X)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(X), layer(X))


def test_first_weights():
    layer = layers.LSTM(6)
    layer.build((None, 5, 3))
    assert [v.name for v in layer.weights] == ["kernel", "recurrent_kernel", "bias"]
    assert [v.shape for v in layer.weights] == [(3, 24), (6, 24), (24,)]
    np.testing.assert_array_equal(layer.bias.numpy(), [0] * 6 + [1] * 6 + [0] * 12)
    u = layer.recurrent_kernel.numpy()
    np.testing.assert_allclose(u @ u.T, np.eye(6), atol=1e-5)
    plain = layers.LSTM(6, unit_forget_bias=False)
    plain.build((None, 5, 3))
    np.testing.assert_array_equal(plain.bias.numpy(), np.zeros(24))
    gru = layers.GRU(6)
    gru.build((None, 5, 3))
    assert [v.shape for v in gru.weights] == [(3, 18), (6, 18), (2, 18)]
    before = layers.GRU(6, reset_after=False)
    before.build((None, 5, 3))
    assert [v.shape for v in before.weights] == [(3, 18), (6, 18), (18,)]


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (layers.LSTM, {}),
        (layers.LSTM, {"use_bias": False, "go_backwards": True}),
        (layers.LSTM, {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        (layers.GRU, {}),
        (layers.GRU, {"use_bias": False, "return_sequences": True}),
        (layers.SimpleRNN, {"return_sequences": True, "go_backwards": True}),
    ],
)
def test_kernels_agree_with_the_recording_step_by_step(cls, options, monkeypatch):
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    trained = []
    for native in (True, False):
        monkeypatch.setattr(cls, "_is_native", lambda self, native=native: native)
        weft.utils.set_random_seed(1)
        model = weft.Sequential([layers.Input((4, 3)), cls(7, **options), layers.Flatten()])
        model.add(layers.Dense(1))
        model.compile("sgd", "mse")
        losses = model.fit(x, x[:, 0, :1], epochs=3, verbose=0, shuffle=False).history["loss"]
        trained.append((losses, model.get_weights()))
    (losses_a, weights_a), (losses_b, weights_b) = trained
    np.testing.assert_allclose(losses_a, losses_b, rtol=1e-5)
    assert losses_a[2] < losses_a[0]
    for a, b in zip(weights_a, weights_b, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_training_as_in_keras():
    model = weft.Sequential([layers.Input((3, 2)), layers.LSTM(2), layers.Dense(1)])
    set_pattern(model)
    model.compile(weft.optimizers.SGD(0.5), "mse")
    losses = model.fit(X, Y, batch_size=2, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [0.34006515, 0.14011699, 0.13956755], rtol=1e-5)
    u = model.get_weights()[1]
    expected = [-0.30005, -0.200036, -0.100021, 0, 0.09967, 0.199965, 0.299952, -0.300059]
    np.testing.assert_allclose(u[0], expected, atol=2e-6)


def test_embedding_training_as_in_keras():
    ids = np.array([[0, 1, 1], [4, 3, 1]])
    model = weft.Sequential(
        [
            layers.Embedding(5, 2, input_length=3),
            layers.GRU(2, return_sequences=True),
            layers.TimeDistributed(layers.Dense(2)),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    set_pattern(model)
    model.compile(weft.optimizers.Adam(0.1), "mse")
    losses = model.fit(ids, Y, batch_size=2, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [0.2505172, 0.14413594, 0.1768412], rtol=2e-5)
    table = [[-0.0572837, -0.2266005], [-0.290226, -0.0569956], [0.1, 0.2]]
    table += [[0.1716722, -0.228292], [-0.3966277, -0.0370471]]
    np.testing.assert_allclose(model.get_weights()[0], table, atol=1e-5)


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


def test_arguments_that_change_no_result():
    layer = layers.LSTM(2, implementation=1, use_cudnn=False, unroll=True)
    np.testing.assert_allclose(patterned(layer)(X), KERAS[0][2], atol=1e-6)


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


def digest(threads=0):
    """Of the weights after some training."""
    before = _core.get_num_threads()
    _core.set_num_threads(threads)
    try:
        weft.utils.set_random_seed(1)
        x = np.random.default_rng(0).standard_normal((67, 9, 5)).astype(np.float32)
        model = weft.Sequential([layers.Input((9, 5))])
        model.add(layers.Bidirectional(layers.LSTM(33, return_sequences=True)))
        model.add(layers.GRU(48, return_sequences=True))
        model.add(layers.SimpleRNN(40, recurrent_dropout=0.2))
        model.add(layers.Dense(1))
        model.compile("adam", "mse")
        model.fit(x, x[:, 0, :1], batch_size=67, epochs=2, verbose=0)
        weights = model.get_weights()
        model = weft.Sequential([layers.Embedding(1000, 33), layers.Flatten(), layers.Dense(1)])
        model.compile("adam", "mse")
        ids = np.random.default_rng(0).zipf(1.5, (67, 50)) % 1000
        model.fit(ids, x[:, 0, :1], batch_size=67, epochs=2, verbose=0)
    finally:
        _core.set_num_threads(before)
    weights += model.get_weights()
    return hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()


@pytest.mark.cpu
def test_threads_do_not_change_a_bit():
    assert digest(1) == digest(2) == digest(3)


@pytest.mark.cpu
def test_instruction_sets_agree():
    found = _core.cpu_info()["isas_found"]
    fused_multiply_add = [isa for isa in ("avx2", "avx512", "neon") if isa in found]
    if len(fused_multiply_add) < 2:
        pytest.skip("this machine has only one instruction set with fused multiply-add")
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    program += "import test_recurrent_layers as t; print(t.digest())"
    digests = set()
    for isa in fused_multiply_add:
        command = [sys.executable, "-c", program]
        environment = {**os.environ, "WEFT_ISA": isa}
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=200
        )
        digests.add(run.stdout)
    assert len(digests) == 1
