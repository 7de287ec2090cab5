"""Every op of the case table against its reference, on every instruction set of the host."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from case import Case
from cases import BENCHMARKS, CASES, UNARY
from native import OpPlan
from reference import dropout, forward, random_words

from weft import _core, ops

FEEDS = ("batch", "rows")


def assert_close(value, expected, tolerance, what=""):
    """Errors relative to the largest magnitude; integers and tolerance 0 must be exact."""
    assert value.shape == expected.shape, what
    if tolerance == 0 or value.dtype == np.int32:
        np.testing.assert_array_equal(value, expected.astype(value.dtype), err_msg=what)
        return
    assert np.all(np.isfinite(value)), what
    scale = np.max(np.abs(expected), initial=0)
    np.testing.assert_allclose(
        value, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what
    )


def exact(arrays):
    return [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]


@pytest.mark.parametrize("case", [*CASES, *BENCHMARKS], ids=lambda case: case.id)
def test_forward(case: Case):
    arrays = case.draw()
    expected = forward(case.op, exact(arrays), case.attrs)
    # Products lose precision with their length; the tolerance is that of one rounding.
    tolerance = case.tolerance
    if case.flops:
        magnitude = forward(case.op, [np.abs(a) for a in exact(arrays)], case.attrs)
        tolerance *= np.max(magnitude) / np.max(np.abs(expected))
    for feed in FEEDS:
        for fuse in (True, False):
            plan = OpPlan(case, arrays, feed, fuse=fuse)
            assert plan.shape == expected.shape, "the graph's shape rule"
            assert plan.dtype == ("int32" if expected.dtype.kind == "i" else "float32")
            (value,) = plan.run()
            assert_close(value, expected, tolerance, f"{feed}, fuse={fuse}")


def test_the_checks_can_fail():
    case = next(case for case in CASES if case.op == "dense" and case.inputs[0].shape == (15, 31))
    arrays = case.draw()
    (value,) = OpPlan(case, arrays).run()
    expected = forward(case.op, exact(arrays), case.attrs)
    expected[14, 46] *= 1.001
    with pytest.raises(AssertionError):
        assert_close(value, expected, case.tolerance)


def test_every_unary_function_has_a_case():
    assert set(UNARY) == set(_core.UNARY_FUNCTIONS)


# Precision over a wide range, element by element: (function, low, high, relative tolerance).
PRECISION = [
    ("exp", -87, 88, 3e-7),
    ("log", 1e-30, 1e30, 3e-7),
    ("tanh", -10, 10, 6e-7),
    ("sigmoid", -80, 80, 6e-7),
    ("softplus", -80, 80, 1e-6),
    ("log_sigmoid", -80, 80, 1e-6),
    ("expm1", -20, 20, 1e-6),
    ("log1p", -0.99, 1e6, 1e-6),
    ("erf", -5, 5, 1e-6),
    ("sqrt", 0, 1e30, 2e-7),
    ("silu", -80, 80, 1e-6),
]


@pytest.mark.parametrize(("fn", "low", "high", "tolerance"), PRECISION)
def test_precision(fn, low, high, tolerance):
    points = np.concatenate([np.linspace(low, high, 5000), np.geomspace(1e-6, high, 1000)])
    x = points.astype(np.float32)
    expected = forward("unary", [x.astype(np.float64)], {"fn": fn})
    value = ops.unary(fn, x)
    normal = np.abs(expected) > 1e-37  # denormal results are flushed to 0
    np.testing.assert_allclose(value[normal], expected[normal], rtol=tolerance)
    assert np.all(np.abs(value[~normal]) <= 2e-37)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e38, -1e38], np.float32)


@pytest.mark.parametrize("fn", [fn for fn in UNARY if fn not in ("is_nan", "is_finite")])
def test_nan_survives(fn):
    x = np.full(37, 0.5, np.float32)
    x[[0, 17, 36]] = np.nan
    if fn in ("step", "logical_not"):
        return  # truth values of NaN, as of other numbers
    parameters = UNARY[fn][0]
    value = ops.unary(fn, x, *parameters)
    assert np.array_equal(np.isnan(value), np.isnan(x))


@pytest.mark.parametrize(
    "fn", ["relu", "tanh", "sigmoid", "exp", "softplus", "abs", "square", "log_sigmoid", "erf"]
)
def test_infinities(fn):
    value = ops.unary(fn, SPECIAL)
    with np.errstate(all="ignore"):
        expected = forward("unary", [SPECIAL.astype(np.float64)], {"fn": fn}).astype(np.float32)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_maximum_and_reductions_keep_nan():
    x = np.arange(40, dtype=np.float32)
    x[23] = np.nan
    for result in (ops.maximum(x, 100.0), ops.minimum(x, -1.0)):
        assert np.isnan(result[23])
        assert np.isnan(result).sum() == 1
    for function in (ops.sum, ops.mean, ops.max, ops.min, ops.prod):
        assert np.isnan(function(x)), function.__name__


def test_softmax_of_large_numbers():
    x = np.array([[1e4, 1e4 - 1, -1e4], [-3e38, 3e38, 0]], np.float32)
    expected = np.exp(np.array([[0, -1, -np.inf], [-np.inf, 0, -np.inf]]))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ops.softmax(x), expected, rtol=1e-6)
    loss = ops.sparse_categorical_crossentropy([1, 0], [[0.0, 200.0], [200.0, 0.0]], True)
    np.testing.assert_array_equal(loss, [0, 0])


def test_labels_out_of_range():
    x = np.zeros((2, 3), np.float32)
    loss = ops.sparse_categorical_crossentropy([3, 1], x, from_logits=True)
    assert np.isnan(loss[0])
    assert loss[1] == pytest.approx(math.log(3))
    np.testing.assert_array_equal(ops.one_hot([-1, 5], 3), np.zeros((2, 3)))


@pytest.mark.parametrize("shape", [(1, 7), (33, 15), (16, 256), (5, 3, 7)])
def test_dropout(shape):
    rate, seed, stream, draw = 0.3, 0x123456789ABCDEF, 5, 7
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    case = Case("dropout", (), {"rate": rate, "stream": stream})
    state = _core.StepState(seed)
    state.draw = draw
    (value,) = OpPlan(case, [x]).run(state)
    expected = dropout(x.astype(np.float64), rate, random_words(shape, seed, stream, draw))
    assert_close(value, expected, 1e-6)
    assert state.draw == draw + 1


def test_random_uniform():
    shape, seed = (64, 33), 99
    graph = _core.Graph()
    attrs = {"shape": list(shape), "fn": "uniform", "a": -2.0, "b": 3.0, "stream": 4}
    id = graph.op("random", [], attrs)
    plan, result = _core.Plan(graph, [id]), np.empty(shape, np.float32)
    plan.run(_core.StepState(seed), [], None, 0, 1, [result])
    fractions = (random_words(shape, seed, 4, 0) >> 8) * 2.0**-24
    np.testing.assert_allclose(result, -2.0 + 5.0 * fractions, rtol=1e-6, atol=1e-6)
    assert result.min() >= -2
    assert result.max() < 3


def test_random_normal():
    x = ops.random_normal((500, 200), mean=1.0, stddev=2.0)
    assert abs(x.mean() - 1) < 0.03
    assert abs(x.std() - 2) < 0.02
    standard = (x - 1) / 2
    assert abs((standard**3).mean()) < 0.05
    assert abs((standard**4).mean() - 3) < 0.1
    assert np.unique(x).size > 0.99 * x.size
    assert not np.array_equal(x, ops.random_normal((500, 200), 1.0, 2.0))


# weft.ops on arrays against NumPy: (function, NumPy's, arguments).
X = np.random.default_rng(3).standard_normal((4, 6)).astype(np.float32)
CUBE = np.random.default_rng(4).standard_normal((2, 3, 5)).astype(np.float32)
BORDER = ((1, 0), (0, 2))
EAGER = [
    (lambda o: o.add(X, 1), X + 1),
    (lambda o: o.subtract(1, X), 1 - X),
    (lambda o: o.subtract(X, 0.3), X - np.float32(0.3)),
    (lambda o: o.multiply(X[0], X), X[0] * X),
    (lambda o: o.divide(2, X), 2 / X),
    (lambda o: o.divide(X, 3), X / 3),
    (lambda o: o.power(X, 3), X**3),
    (lambda o: o.power(X, 2), X**2),
    (lambda o: o.divide_no_nan(X, np.where(X > 0, X, 0)), (X > 0) * 1.0),
    (lambda o: o.mod(X, 0.5), np.mod(X, 0.5)),
    (lambda o: o.where(X > 0, X, 0), np.where(X > 0, X, 0)),
    (lambda o: o.clip(X, -0.5, 0.5), np.clip(X, -0.5, 0.5)),
    (lambda o: o.var(X, 0), X.var(0)),
    (lambda o: o.std(X, 1, keepdims=True), X.std(1, keepdims=True)),
    (lambda o: o.any(X > 2, 1), (X > 2).any(1)),
    (lambda o: o.all(X > -2, 1), (X > -2).all(1)),
    (lambda o: o.count_nonzero(X > 0), np.count_nonzero(X > 0)),
    (lambda o: o.norm(X, axis=1), np.linalg.norm(X, axis=1)),
    (lambda o: o.norm(X, ord=1, axis=1), np.abs(X).sum(1)),
    (lambda o: o.logsumexp(X, 1), np.log(np.exp(X).sum(1))),
    (lambda o: o.average(X, 0, np.abs(X)), np.average(X, 0, np.abs(X))),
    (lambda o: o.argmax(X), X.argmax()),
    (lambda o: o.argmax(CUBE, 1), CUBE.argmax(1)),
    (lambda o: o.argmin(CUBE, 0, keepdims=True), CUBE.argmin(0, keepdims=True)),
    (lambda o: o.logaddexp(X, 1.0), np.logaddexp(X, 1)),
    (lambda o: o.log10(np.abs(X)), np.log10(np.abs(X))),
    (lambda o: o.tan(X), np.tan(X)),
    (lambda o: o.sinh(X), np.sinh(X)),
    (lambda o: o.cosh(X), np.cosh(X)),
    (lambda o: o.isinf([1, np.inf, -np.inf, np.nan]), np.array([False, True, True, False])),
    (lambda o: o.reshape(CUBE, (3, -1)), CUBE.reshape(3, -1)),
    (lambda o: o.expand_dims(X, -1), X[..., None]),
    (lambda o: o.squeeze(X[:, :1]), X[:, 0]),
    (lambda o: o.transpose(CUBE), CUBE.T),
    (lambda o: o.swapaxes(CUBE, 0, -1), CUBE.swapaxes(0, -1)),
    (lambda o: o.moveaxis(CUBE, 0, -1), np.moveaxis(CUBE, 0, -1)),
    (lambda o: o.broadcast_to(X[0], (3, 6)), np.broadcast_to(X[0], (3, 6))),
    (lambda o: o.concatenate([X, X[:1]], 0), np.concatenate([X, X[:1]], 0)),
    (lambda o: o.stack([X, X], 1), np.stack([X, X], 1)),
    (lambda o: o.split(X, 3, 1)[1], X[:, 2:4]),
    (lambda o: o.split(X, [1, 5], 1)[1], X[:, 1:5]),
    (lambda o: o.unstack(X)[2], X[2]),
    (lambda o: o.slice(X, (1, 2), (2, 3)), X[1:3, 2:5]),
    (lambda o: o.getitem(CUBE, (0, ..., slice(1, None, 2))), CUBE[0, ..., 1::2]),
    (lambda o: o.getitem(CUBE, (slice(None), None, -1)), CUBE[:, None, -1]),
    (lambda o: o.pad(X, BORDER, constant_values=3), np.pad(X, BORDER, constant_values=3)),
    (lambda o: o.pad(X, BORDER), np.pad(X, BORDER)),
    (lambda o: o.pad(X[0], (2, 1)), np.pad(X[0], (2, 1))),
    (lambda o: o.pad(X > 0, 1), np.pad((X > 0) * 1, 1)),
    (lambda o: o.pad(CUBE, ((0, 0), (1, 2), (3, 0))), np.pad(CUBE, ((0, 0), (1, 2), (3, 0)))),
    (lambda o: o.pad(np.tile(X, (1500, 1)), BORDER), np.pad(np.tile(X, (1500, 1)), BORDER)),
    (lambda o: o.tile(X, (2, 1, 3)), np.tile(X, (2, 1, 3))),
    (lambda o: o.repeat(X, 2, 1), np.repeat(X, 2, 1)),
    (lambda o: o.repeat(X, 3), np.repeat(X, 3)),
    (lambda o: o.matmul(CUBE, np.ones((5, 2))), CUBE @ np.ones((5, 2))),
    (lambda o: o.matmul(X, X[0]), X @ X[0]),
    (lambda o: o.dot(X[0], X[1]), X[0] @ X[1]),
    (lambda o: o.outer(X[0], X[1]), np.outer(X[0], X[1])),
    (lambda o: o.cast(X * 9, "int32"), (X * 9).astype(np.int32)),
    (lambda o: o.cast([0, 2], "bool"), np.array([False, True])),
    (lambda o: o.equal([1, 2], [1, 3]), np.array([True, False])),
    (lambda o: o.one_hot([[0], [2]], 3), np.eye(3)[[[0], [2]]]),
    (lambda o: o.one_hot([0, 2], 3, axis=0), np.eye(3)[[0, 2]].T),
    (lambda o: o.softmax(X, axis=0), np.exp(X) / np.exp(X).sum(0)),
    (lambda o: o.dense(CUBE, np.ones((5, 2)), [1, 2]), CUBE @ np.ones((5, 2)) + [1, 2]),
    (lambda o: o.in_top_k([0, 1], [[1, 2, 3], [1, 2, 3]], 2), np.array([False, True])),
    (lambda o: o.arange(3), np.arange(3)),
    (lambda o: o.eye(2), np.eye(2)),
]


@pytest.mark.parametrize("index", range(len(EAGER)))
def test_eager(index):
    function, expected = EAGER[index]
    value = function(ops)
    assert isinstance(value, np.ndarray)
    assert value.shape == np.shape(expected)
    assert value.dtype in (np.float32, np.int32, np.bool_)
    assert (value.dtype == np.bool_) == (np.asarray(expected).dtype == np.bool_)
    np.testing.assert_allclose(value, expected, rtol=2e-6, atol=2e-6)


def test_normalize():
    np.testing.assert_allclose(
        ops.normalize(X), X / np.linalg.norm(X, axis=1, keepdims=True), rtol=1e-6
    )
    np.testing.assert_array_equal(ops.normalize(np.zeros((1, 3))), np.zeros((1, 3)))


ERRORS = [
    (lambda: ops.reshape(X, (5, 5)), "shape (4, 6) cannot be reshaped to (5, 5)"),
    (lambda: ops.matmul(X, X), "got (4, 6) and (4, 6)"),
    (lambda: ops.squeeze(X, 0), "axis 0 of shape (4, 6)"),
    (lambda: ops.sum(X, 2), "rank 2 was expected, got 2"),
    (lambda: ops.add(X, np.zeros((3,))), "(4, 6)"),
    (lambda: ops.split(X, 4, 1), "size 6 cannot be split into 4"),
    (lambda: ops.transpose(X, (0, 0)), "each of 2 axes once"),
    (lambda: ops.getitem(X, (slice(None, None, -1),)), "positive steps"),
    (lambda: ops.dropout(X, 1.5), "got 1.5"),
    (lambda: ops.add(np.array(["a"]), 1), "dtype <U1"),
    (lambda: ops.add(np.array([None]), 1), "dtype object"),
    (lambda: ops.concatenate([X, X.T], 0), "(6, 4)"),
    (lambda: ops.categorical_crossentropy(X, X[:, :3]), "(4, 3), got (4, 6)"),
    (lambda: ops.sparse_categorical_crossentropy(X, X), "labels of shape (4,), got (4, 6)"),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors_say_what_was_expected(index):
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()


@pytest.mark.cpu
def test_the_other_instruction_sets():
    """Runs this file and the gradient checks once more for each of them."""
    if "WEFT_TESTING_ISA" in os.environ:
        pytest.skip("this is such a run")
    info = _core.cpu_info()
    here = Path(__file__).parent
    others = [isa for isa in info["isas_found"] if isa != info["isa"]]
    for isa in others:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        files = [str(here / "test_ops.py"), str(here / "test_gradients.py")]
        environment = {**os.environ, "WEFT_ISA": isa, "WEFT_TESTING_ISA": isa}
        run = subprocess.run(
            command + files, env=environment, capture_output=True, text=True, timeout=200
        )
        assert run.returncode == 0, f"{isa}:\n{run.stdout[-3000:]}{run.stderr[-1000:]}"


def test_the_instruction_set_is_the_one_asked_for():
    wanted = os.environ.get("WEFT_TESTING_ISA")
    if wanted:
        assert _core.cpu_info()["isa"] == wanted
