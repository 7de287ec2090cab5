"""Losses against numbers from Keras 3.15, on arrays and on tensors."""

from __future__ import annotations

import re

import numpy as np
import pytest

from weft import activations, losses, ops
from weft.graph import Trace
from weft.ops.core import EagerPlan

DATA = {
    "y1": np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32),
    "lab": np.array([1, 0, 2, 1], np.int32),
    "p": np.array(
        [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.5, 0.25], [0.1, 0.8, 0.1]], np.float32
    ),
    "z": np.array([[0.5, -1.2, 2], [0, 0.3, -0.7], [4, 1, -3], [-0.1, 0.2, 0.3]], np.float32),
    "yr": np.array([[0.5, -1], [2, 0.25], [0, 3], [1.5, -2]], np.float32),
    "pr": np.array([[0.7, -1.5], [-0.5, 0.5], [0.1, 1], [1.25, 2]], np.float32),
    "yb": np.array([[0, 1], [1, 1], [0, 0], [1, 0]], np.float32),
    "pb": np.array([[0.1, 0.8], [0.6, 0.3], [0.45, 0.7], [0.9, 0.2]], np.float32),
}
WEIGHTS = np.array([1, 0.5, 2, 0], np.float32)

# Loss, targets, predictions, Keras's value without and with WEIGHTS.
GOLDEN = [
    ("MeanSquaredError()", "yr", "pr", 3.334375, 1.433281),
    ("MeanAbsoluteError()", "yr", "pr", 1.225, 0.784375),
    ("MeanAbsolutePercentageError()", "yb", "pb", 1.8125e08, 3e08),
    ("MeanSquaredLogarithmicError()", "yr", "pr", 0.3704303, 0.2018543),
    ("Huber()", "yr", "pr", 0.9015625, 0.5213281),
    ("Huber(0.3)", "yr", "pr", 0.3259375, 0.2016406),
    ("LogCosh()", "yr", "pr", 0.8315741, 0.4652776),
    ("Hinge()", "yb", "pr", 1.5375, 1.425),
    ("Hinge()", "yr", "pr", 1.190625, 0.5109375),
    ("SquaredHinge()", "yb", "pr", 3.23125, 2.60125),
    ("CategoricalHinge()", "y1", "p", 0.7625, 0.9125),
    ("KLDivergence()", "y1", "p", 0.7033498, 0.9302846),
    ("Poisson()", "yb", "pb", 0.7616627, 0.5913178),
    ("CosineSimilarity()", "yr", "pr", -0.2550831, -0.6706848),
    ("CategoricalCrossentropy()", "y1", "p", 0.7033527, 0.9302872),
    ("CategoricalCrossentropy(from_logits=True)", "y1", "z", 3.143908, 4.514036),
    ("CategoricalCrossentropy(label_smoothing=0.2)", "y1", "p", 0.8263153, 0.9516751),
    ("CategoricalCrossentropy(True, 0.2)", "y1", "z", 2.888908, 4.069036),
    ("SparseCategoricalCrossentropy()", "lab", "p", 0.7033527, 0.9302872),
    ("SparseCategoricalCrossentropy(from_logits=True)", "lab", "z", 3.143908, 4.514036),
    ("BinaryCrossentropy()", "yb", "pb", 0.5217021, 0.5986904),
    ("BinaryCrossentropy(from_logits=True)", "yb", "pr", 1.086159, 0.9554992),
    ("BinaryCrossentropy(label_smoothing=0.1)", "yb", "pb", 0.5596932, 0.6116238),
    ("MeanSquaredError('sum')", "yr", "pr", 13.3375, 5.733125),
    ("MeanSquaredError('mean_with_sample_weight')", "yr", "pr", 3.334375, 1.638036),
]


def make(text):
    return eval(text, vars(losses).copy())


def in_a_plan(function, *arrays):
    return EagerPlan(lambda trace, tensors: function(*tensors), arrays, True).run(arrays)


@pytest.mark.parametrize(("text", "true", "pred", "plain", "weighted"), GOLDEN)
def test_golden(text, true, pred, plain, weighted):
    loss, y_true, y_pred = make(text), DATA[true], DATA[pred]
    assert loss(y_true, y_pred) == pytest.approx(plain, rel=2e-6)
    assert loss(y_true, y_pred, sample_weight=WEIGHTS) == pytest.approx(weighted, rel=2e-6)
    recorded = in_a_plan(loss, y_true, y_pred)
    assert recorded.shape == ()
    assert recorded == pytest.approx(plain, rel=2e-6)
    recorded = in_a_plan(loss, y_true, y_pred, WEIGHTS)
    assert recorded == pytest.approx(weighted, rel=2e-6)
    assert loss(y_true.tolist(), y_pred.tolist()) == pytest.approx(plain, rel=2e-6)


def test_every_loss_is_tested():
    classes = {type(make(text)) for text, *_ in GOLDEN}
    assert classes == set(losses._NAMES)


def test_reduction_none():
    values = losses.MeanSquaredError(reduction=None)(DATA["yr"], DATA["pr"], WEIGHTS)
    np.testing.assert_allclose(values, [0.145, 1.578125, 4.01, 0], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(losses._TABLE))
def test_names_and_configurations(name):
    loss = losses.get(name)
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_rank_adjustments():
    y, p = np.array([1.0, 0, 1]), np.array([[0.9], [0.2], [0.6]])
    expected = losses.binary_crossentropy(y[:, None], p).mean()
    assert losses.BinaryCrossentropy()(y, p) == pytest.approx(expected)
    assert losses.MeanSquaredError()(y, p) == pytest.approx(((y - p[:, 0]) ** 2).mean())
    sparse = losses.SparseCategoricalCrossentropy()
    assert sparse(DATA["lab"][:, None], DATA["p"]) == sparse(DATA["lab"], DATA["p"])
    assert sparse(DATA["lab"].astype(np.float32), DATA["p"]) == sparse(DATA["lab"], DATA["p"])


def test_more_axes():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((3, 4, 5)).astype(np.float32)
    labels = rng.integers(0, 5, (3, 4)).astype(np.int32)
    per_step = losses.sparse_categorical_crossentropy(labels, z, from_logits=True)
    assert per_step.shape == (3, 4)
    rows = losses.sparse_categorical_crossentropy(labels.reshape(-1), z.reshape(12, 5), True)
    np.testing.assert_allclose(per_step.reshape(-1), rows, rtol=1e-6)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = np.array([1.0, 0, 2], np.float32)
    expected = (per_step * weights[:, None]).mean()
    assert loss(labels, z, sample_weight=weights) == pytest.approx(expected, rel=1e-6)
    per_value = np.abs(rng.standard_normal((3, 4)))
    expected = (per_step * per_value).mean()
    assert loss(labels, z, sample_weight=per_value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["categorical", "sparse", "binary"])
def test_logits_are_used_behind_an_activation(loss):
    """From probabilities, such confident mistakes would be clipped at -log(1e-7) = 16.1."""
    z = np.array([[-40.0, 60.0], [50.0, -30.0]], np.float32)
    target = {"categorical": [[1.0, 0], [0, 1]], "sparse": [0, 1], "binary": [[1.0, 0], [0, 1]]}
    names = {
        "categorical": "categorical_crossentropy",
        "sparse": "sparse_categorical_crossentropy",
        "binary": "binary_crossentropy",
    }
    activation = activations.sigmoid if loss == "binary" else activations.softmax
    fn = losses.get(names[loss])
    y = np.asarray(target[loss], np.int32 if loss == "sparse" else np.float32)
    value = in_a_plan(lambda y, z: fn(y, activation(z)), y, z)
    expected = (40 + 60 + 50 + 30) / 4 if loss == "binary" else (100 + 80) / 2
    assert value == pytest.approx(expected, rel=1e-6)
    clipped = in_a_plan(lambda y, z: fn(y, activation(z) * 1.0), y, z)
    assert clipped == pytest.approx(-np.log(1e-7), rel=1e-2)


def test_logits_are_the_right_ones():
    with Trace() as trace:
        z = trace.input((2, 3))
        y = activations.softmax(z)
        assert y.logits is not None
        assert y.logits.id == z.id
        assert activations.softmax(z, axis=0).logits is None
        assert (y * 2.0).logits is None


def test_binary_crossentropy_of_extreme_logits():
    loss = losses.BinaryCrossentropy(from_logits=True, reduction="none")
    values = loss([[1.0], [0.0], [1.0], [0.0]], [[90.0], [-90.0], [-90.0], [90.0]])
    np.testing.assert_allclose(values, [0, 0, 90, 90], rtol=1e-6, atol=1e-30)
    small = loss([[1.0]], [[20.0]])
    assert small[0] == pytest.approx(np.log1p(np.exp(-20.0)), rel=1e-5)


def test_functions_and_subclasses_of_users():
    def cubic(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred) ** 3, axis=-1)

    class Weighted(losses.Loss):
        def call(self, y_true, y_pred):
            return 3.0 * losses.mean_squared_error(y_true, y_pred)

    y, p = DATA["yr"], DATA["pr"]
    loss = losses.get(cubic)
    assert loss.name == "cubic"
    assert loss(y, p) == pytest.approx((np.abs(y - p) ** 3).mean(), rel=1e-6)
    assert in_a_plan(loss, y, p) == pytest.approx((np.abs(y - p) ** 3).mean(), rel=1e-6)
    scalar = losses.get(lambda a, b: ops.sum(ops.square(a - b)))
    assert in_a_plan(scalar, y, p) == pytest.approx(((y - p) ** 2).sum(), rel=1e-6)
    assert Weighted()(y, p, WEIGHTS) == pytest.approx(3 * 1.433281, rel=1e-5)
    assert Weighted().name == "weighted"


ERRORS = [
    (lambda: losses.get("categorical_crosentropy"), "did you mean 'categorical_crossentropy'?"),
    (lambda: losses.get(3), "got 3"),
    (lambda: losses.MeanSquaredError("average"), "Unknown reduction 'average'"),
    (lambda: losses.CategoricalCrossentropy(label_smoothing=1.5), "got 1.5"),
    (lambda: losses.Huber(0), "positive delta, got 0"),
    (
        lambda: losses.MeanSquaredError()(DATA["yr"], DATA["p"]),
        "'mean_squared_error': Targets of the predictions' shape (None, 3) were expected, "
        "got shape (None, 2)",
    ),
    (
        lambda: losses.CategoricalCrossentropy()(DATA["lab"], DATA["p"]),
        "expects targets of the predictions' shape (4, 3), got (4,)",
    ),
    (
        lambda: losses.MeanSquaredError()(DATA["yr"], DATA["pr"], sample_weight=np.ones(3)),
        "weights for values of shape (4,) were expected, got (3,)",
    ),
]


def test_unknown_arguments():
    with pytest.raises(TypeError, match="MeanSquaredError got an unknown argument: 'delta'"):
        losses.MeanSquaredError(delta=3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'slope'"):
        losses.Huber(slope=3)


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()
