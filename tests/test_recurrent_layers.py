"""SimpleRNN, LSTM, GRU, Bidirectional: the numbers that they compute.

The literals were computed with Keras 3 from the same weights and inputs.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import values_by_isa
from sequences import X, Y, patterned, set_pattern

import weft
from weft import _core, layers

STEP = {"return_sequences": True, "go_backwards": True}
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


def test_arguments_that_change_no_result():
    layer = layers.LSTM(2, implementation=1, use_cudnn=False, unroll=True)
    np.testing.assert_allclose(patterned(layer)(X), KERAS[0][2], atol=1e-6)


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
    assert len(values_by_isa("test_recurrent_layers.digest()")) == 1
