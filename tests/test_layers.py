"""Layers: values, building, weights, configuration, errors. Those of users: test_own_layers.py."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from weft import _core, activations, initializers, layers, ops, regularizers
from weft._names import reset_names

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 7)).astype(np.float32)


def test_dense():
    layer = layers.Dense(3, activation="tanh", bias_initializer="ones")
    y = layer(X)
    kernel, bias = layer.get_weights()
    assert layer.built
    assert kernel.shape == (7, 3)
    assert bias.shape == (3,)
    np.testing.assert_allclose(y, np.tanh(X @ kernel + bias), rtol=1e-5, atol=1e-6)
    assert layer.count_params() == 24
    assert [w.path for w in layer.weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"]
    assert layer.compute_output_shape((None, 7)) == (None, 3)
    cube = RNG.standard_normal((2, 4, 7)).astype(np.float32)
    np.testing.assert_allclose(layer(cube), np.tanh(cube @ kernel + bias), rtol=1e-5, atol=1e-6)


def test_dense_without_bias_and_with_integers():
    layer = layers.Dense(2, use_bias=False, kernel_initializer="ones")
    np.testing.assert_array_equal(layer(np.array([[1, 2], [3, 4]], np.uint8)), [[3, 3], [7, 7]])
    assert len(layer.weights) == 1
    assert layer.bias is None


def softplus(x):
    return np.logaddexp(0, x)


FORMULAS = [
    (lambda: layers.Activation("relu"), lambda x: np.maximum(x, 0)),
    (lambda: layers.Activation(lambda x: x * x), lambda x: x * x),
    (lambda: layers.ReLU(), lambda x: np.maximum(x, 0)),
    (lambda: layers.ReLU(1, 0.1), lambda x: np.where(x < 0, 0.1 * x, np.minimum(x, 1))),
    (lambda: layers.LeakyReLU(), lambda x: np.where(x < 0, 0.3 * x, x)),
    (lambda: layers.ELU(0.5), lambda x: np.where(x < 0, 0.5 * np.expm1(x), x)),
    (lambda: layers.Softmax(), lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    (lambda: layers.Softmax(axis=0), lambda x: np.exp(x) / np.exp(x).sum(0)),
    (lambda: layers.Rescaling(0.5, offset=-1), lambda x: x * 0.5 - 1),
    (lambda: layers.Rescaling(np.arange(7)), lambda x: x * np.arange(7)),
    (lambda: layers.Flatten(), lambda x: x),
    (lambda: layers.Reshape((7, 1)), lambda x: x[..., None]),
    (lambda: layers.Dropout(0.5), lambda x: x),
    (lambda: layers.Input((7,)), lambda x: x),
]


@pytest.mark.parametrize("index", range(len(FORMULAS)))
def test_formulas(index):
    make, formula = FORMULAS[index]
    layer = make()
    value = layer(X)
    np.testing.assert_allclose(value, formula(X), rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape((None, 7)) == (None, *value.shape[1:])
    if not isinstance(getattr(layer, "activation", None), type(lambda: 0)):
        again = layers.deserialize(layers.serialize(layer))
        assert again.get_config() == layer.get_config()
        np.testing.assert_array_equal(again(X), value)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.2 * x, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "selu": lambda x: 1.05070098 * np.where(x < 0, 1.67326324 * np.expm1(x), x),
    "gelu": lambda x: ops.erf(x / np.sqrt(2)) * x / 2 + x / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "exponential": np.exp,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "step": lambda x: (x > 0) * 1.0,
    "log_sigmoid": lambda x: -softplus(-x),
}


@pytest.mark.parametrize("name", sorted(activations._FUNCTIONS))
def test_activations(name):
    x = 3 * X
    np.testing.assert_allclose(activations.get(name)(x), ACTIVATIONS[name](x), rtol=1e-5, atol=1e-6)
    keras_3 = {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name)
    assert activations.serialize(activations.get(name)) == keras_3


def test_activation_parameters():
    x = np.array([[-2.0, 0.5, 1.5, 9.0]])
    relu = activations.relu(x, negative_slope=0.1, max_value=5, threshold=1)
    np.testing.assert_allclose(relu, [[-0.3, -0.05, 1.5, 5]], rtol=1e-6)
    assert activations.gelu(np.array([1.0]), approximate=True)[0] == pytest.approx(0.841192, 1e-5)
    assert activations.gelu(np.array([1.0]))[0] == pytest.approx(0.8413447, 1e-6)


def test_dropout():
    layer = layers.Dropout(0.25)
    x = np.ones((200, 50), np.float32)
    y = layer(x, training=True)
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / 0.75, rtol=1e-6)
    assert 0.72 < kept.mean() < 0.78
    assert not np.array_equal(y, layer(x, training=True))
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layers.Dropout(1)(x, training=True), 0 * x)


def test_names():
    reset_names()
    names = [layers.Dense(1).name, layers.Dense(1).name, layers.ReLU().name, layers.Dense(1).name]
    assert names == ["dense", "dense_1", "re_lu", "dense_2"]
    assert layers.Dense(1, name="mine").name == "mine"


def test_set_weights():
    layer = layers.Dense(3)
    layer(X)
    before = layer.get_weights()
    new = [np.ones((7, 3)), np.arange(3)]
    for bad in ([new[0]], [new[0], np.zeros(4)], [new[0], np.array(["a", "b", "c"])]):
        with pytest.raises(ValueError, match="expects"):
            layer.set_weights(bad)
        for value, old in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(value, old)
    layer.set_weights(new)
    np.testing.assert_allclose(layer(X), X @ new[0] + new[1], rtol=1e-5, atol=1e-6)


def test_configuration():
    layer = layers.Dense(
        3,
        activation="gelu",
        kernel_initializer=initializers.HeNormal(seed=3),
        kernel_regularizer=regularizers.L2(0.1),
        input_shape=(7,),
        trainable=False,
        name="mine",
    )
    config = layer.get_config()
    again = layers.Dense.from_config(config)
    assert again.get_config() == config
    assert again._batch_shape == (None, 7)
    assert not again.trainable
    np.testing.assert_array_equal(again(X), layer(X))
    assert json.loads(json.dumps(config))["units"] == 3


def test_trainable():
    layer = layers.Dense(3)
    layer(X)
    assert len(layer.trainable_weights) == 2
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 2


def test_regularizers():
    w = np.array([[1.0, -2], [3, 0.5]], np.float32)
    assert regularizers.L1(0.1)(w) == pytest.approx(0.65)
    assert regularizers.get("l2")(w) == pytest.approx(0.1425)
    assert regularizers.L1L2(0.1, 0.01)(w) == pytest.approx(0.65 + 0.1425)
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}
    for made in (regularizers.L1(0.2), regularizers.L2(0.3), regularizers.L1L2(0.1, 0.2)):
        again = regularizers.deserialize(regularizers.serialize(made))
        assert again.get_config() == made.get_config()
    with pytest.raises(ValueError, match="at least 0"):
        regularizers.L2(-1.0)
    with pytest.raises(ValueError, match="did you mean 'l2'"):
        regularizers.get("l22")


ERRORS = [
    (lambda: layers.Dense(0), ValueError, "positive number of units, got 0"),
    (lambda: layers.Dense(-3), ValueError, "got -3"),
    (lambda: layers.Dense(2.5), ValueError, "got 2.5"),
    (
        lambda: layers.Dense(3, activation="rellu"),
        ValueError,
        "Unknown activation 'rellu'; did you mean 'relu'?",
    ),
    (
        lambda: layers.Dense(3, kernel_initializer="glorot"),
        ValueError,
        "Unknown initializer 'glorot'; did you mean 'glorot_",
    ),
    (lambda: layers.Dense(3, foo=1), TypeError, "unknown argument: 'foo'"),
    (lambda: layers.Dense(3, dtype="float64"), ValueError, "float32, got dtype 'float64'"),
    (
        lambda: layers.Dense(3)(X[0]),
        ValueError,
        "expects inputs of shape (None, features), got shape (None,)",
    ),
    (
        lambda: layers.Dense(3)(np.array([["a"]])),
        ValueError,
        "expects numbers, got an array of dtype <U1",
    ),
    (lambda: layers.Dense(3)(np.array([[None]])), ValueError, "dtype object"),
    (lambda: layers.Dense(3)(1.0), ValueError, "a single number"),
    (lambda: layers.Dense(3)(layers.Input((3,))), TypeError, "Sequential"),
    (lambda: layers.Dense(3, input_shape=(-1,)), ValueError, "positive integers, got (-1,)"),
    (lambda: layers.Dropout(1.5), ValueError, "rate from 0 to 1, got 1.5"),
    (lambda: layers.Dropout(-0.1), ValueError, "got -0.1"),
    (
        lambda: layers.Reshape((2, 3))(X),
        ValueError,
        "expects inputs that fit (None, 2, 3), got shape (None, 7)",
    ),
    (lambda: layers.Reshape((-1, -1)), ValueError, "at most one -1"),
    (lambda: layers.Reshape((2.5, 2)), ValueError, "target_shape to be integers, got (2.5, 2)"),
    (lambda: layers.Reshape(None), ValueError, "expects target_shape to be integers, got None"),
    (lambda: layers.Permute(2), ValueError, "expects each of the axes 1 to 1 once, got 2"),
    (lambda: layers.Permute((1, "2")), ValueError, "expects dims to be integers, got (1, '2')"),
    (
        lambda: layers.Input((7,))(X[:, :6]),
        ValueError,
        "expects inputs of shape (None, 7), got shape (None, 6)",
    ),
    (lambda: layers.Input(), ValueError, "needs the shape"),
    (lambda: layers.Dense(2).count_params(), ValueError, "no weights yet"),
    (lambda: layers.Layer()(X), NotImplementedError, "does not define call"),
    (
        lambda: layers.deserialize({"class_name": "Dens", "config": {}}),
        ValueError,
        "Unknown layer 'Dens'; did you mean 'Dense'?",
    ),
    (
        lambda: layers.Layer().add_weight(shape=(-1, 2)),
        ValueError,
        "non-negative integers, got (-1, 2)",
    ),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, kind, text = ERRORS[index]
    with pytest.raises(kind, match=re.escape(text)):
        function()


def test_wrong_feature_count_changes_nothing():
    layer = layers.Dense(3, name="dense_1")
    layer(np.zeros((2, 512)))
    message = "Dense 'dense_1' expects inputs with 512 features, got shape (None, 784)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer(np.zeros((32, 784)))
    assert layer(np.zeros((2, 512))).shape == (2, 3)


def test_every_layer_can_be_deserialized():
    classes = {getattr(layers, name) for name in layers.__all__}
    classes = {c for c in classes if isinstance(c, type) and c is not layers.Layer}
    assert {c.__name__: c for c in classes} == layers._TABLE
    assert {"Dense", "LSTM", "MaxPooling2D", "RandomElastic"} <= set(layers._TABLE)


def test_keras_2_spellings():
    with pytest.warns(DeprecationWarning, match="input_dim"):
        assert layers.Dense(3, input_dim=7)._batch_shape == (None, 7)
    with pytest.warns(DeprecationWarning, match="alpha"):
        assert layers.LeakyReLU(alpha=0.1).negative_slope == pytest.approx(0.1)


def test_plans_of_layers_are_kept():
    layer = layers.Dense(3)
    layer(X)
    (plan,) = layer._eager_plans.values()
    layer.set_weights([np.ones((7, 3)), np.ones(3)])
    np.testing.assert_allclose(layer(X), X @ np.ones((7, 3)) + 1, rtol=1e-5, atol=1e-6)
    assert list(layer._eager_plans.values()) == [plan]
    assert isinstance(plan._plan, _core.Plan)
