"""Gradients of every op against central differences of its float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from case import Case, Input
from cases import CASES, UNARY
from native import OpPlan
from reference import forward, gradients
from test_ops import FEEDS, exact

from weft import ops
from weft.graph import Tensor, Trace, Variable
from weft.ops.core import EagerPlan

CHECKED_ELEMENTS = 40  # of a large input; of a small one all are


def check(case: Case, arrays, feed: str, fuse: bool):
    rng = np.random.default_rng(5)
    value = forward(case.op, exact(arrays), case.attrs)
    cotangent = rng.standard_normal(value.shape).astype(np.float32)
    plan = OpPlan(case, arrays, feed, cotangent, fuse)
    results = iter(plan.run())
    for index, missing in zip(case.differentiable, plan.missing, strict=True):
        size = arrays[index].size
        elements = np.arange(size)
        if size > CHECKED_ELEMENTS:
            elements = np.sort(rng.choice(size, CHECKED_ELEMENTS, replace=False))
        expected = gradients(
            case.op, exact(arrays), case.attrs, cotangent.astype(np.float64), index, elements
        )
        if missing:
            np.testing.assert_allclose(expected, 0, atol=1e-9)
            continue
        gradient = next(results)
        assert gradient.shape == arrays[index].shape
        # A derivative such as 1 - tanh(x)**2 is only as exact as 1 is: hence the floor.
        scale = np.max(np.abs(expected), initial=0.01)
        np.testing.assert_allclose(
            gradient.reshape(-1)[elements], expected, rtol=2e-5, atol=2e-5 * scale,
            err_msg=f"input {index}, {feed}, fuse={fuse}",
        )  # fmt: skip


DIFFERENTIABLE = [case for case in CASES if case.differentiable]


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.id)
def test_gradients(case: Case):
    arrays = case.draw()
    for feed in FEEDS:
        check(case, arrays, feed, fuse=True)
    check(case, arrays, "batch", fuse=False)


def test_the_check_can_fail():
    case = Case("unary", (Input((7, 33)),), {"fn": "square"})
    arrays = case.draw()
    wrong = Case("unary", case.inputs, {"fn": "exp"})
    plan = OpPlan(wrong, arrays, cotangent=np.ones((7, 33), np.float32))
    expected = gradients("unary", exact(arrays), case.attrs, np.ones((7, 33)), 0, np.arange(9))
    assert not np.allclose(plan.run()[0].reshape(-1)[:9], expected, rtol=1e-2)


@pytest.mark.parametrize(
    ("fn", "parameters"), [("relu", ()), ("leaky_relu", (0.2,)), ("abs", ()), ("relu6", ())]
)
def test_gradients_at_kinks(fn, parameters):
    """Keras's backends take 0 for relu and abs at 0; a leaky slope counts as for negatives."""
    attrs = {"fn": fn, **dict(zip("abc", parameters, strict=False))}
    case = Case("unary", (Input((1, 1)),), attrs)
    plan = OpPlan(case, [np.zeros((1, 1), np.float32)], cotangent=np.ones((1, 1), np.float32))
    assert plan.run()[0].item() == (pytest.approx(0.2) if fn == "leaky_relu" else 0)


def grad(function, *arrays):
    """Gradients of the scalar function(*tensors) with respect to each array."""

    def record(trace: Trace, tensors: list[Tensor]) -> list[Tensor]:
        found = trace.gradients(function(*tensors), tensors)
        return [
            trace.tensor(np.zeros(t.shape)) if g is None else g
            for t, g in zip(tensors, found, strict=True)
        ]

    given = [np.asarray(a, np.float32) for a in arrays]
    return EagerPlan(record, given, training=True).run(given)


def numeric(function, *arrays):
    """The same by central differences of the function in float64 NumPy."""
    results = []
    for i, array in enumerate(arrays):
        result = np.empty(array.shape)
        for element in range(array.size):
            values = []
            for sign in (1, -1):
                moved = [np.array(a, np.float64) for a in arrays]
                moved[i].flat[element] += sign * 1e-6
                values.append(function(*moved))
            result.flat[element] = (values[0] - values[1]) / 2e-6
        results.append(result)
    return results


def test_shared_inputs_add_up():
    x = np.random.default_rng(0).standard_normal((5, 7))
    found = grad(lambda t: ops.sum(t * t * ops.tanh(t) + ops.sum(t) * t), x)
    expected = numeric(lambda t: np.sum(t * t * np.tanh(t) + np.sum(t) * t), x)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-4)


def test_layer_norm_written_by_a_user():
    rng = np.random.default_rng(1)
    x, gain = rng.standard_normal((6, 9)), rng.standard_normal(9)
    weights = rng.standard_normal((6, 9))

    def normalized(o, x, gain):
        centred = x - o.mean(x, axis=1, keepdims=True)
        return centred / o.sqrt(o.mean(o.square(centred), axis=1, keepdims=True) + 1e-3) * gain

    found = grad(lambda x, g: ops.sum(normalized(ops, x, g) * weights), x, gain)
    expected = numeric(lambda x, g: np.sum(normalized(np, x, g) * weights), x, gain)
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-4)


def test_network_in_one_graph():
    rng = np.random.default_rng(2)
    x, w1, b1 = rng.standard_normal((9, 7)), rng.standard_normal((7, 17)), rng.standard_normal(17)
    w2, b2 = rng.standard_normal((17, 5)), rng.standard_normal(5)
    labels = rng.integers(0, 5, 9).astype(np.int32)

    def native(x, w1, b1, w2, b2):
        hidden = ops.tanh(ops.dense(x, w1, b1))
        logits = ops.dense(hidden, w2, b2)
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    def exact_loss(x, w1, b1, w2, b2):
        logits = np.tanh(x @ w1 + b1) @ w2 + b2
        return np.mean(forward("softmax_cross_entropy", [logits, labels], {"smoothing": 0.0}))

    arrays = (x, w1, b1, w2, b2)
    for f, e in zip(grad(native, *arrays), numeric(exact_loss, *arrays), strict=True):
        np.testing.assert_allclose(f, e, rtol=2e-4, atol=2e-6)


def test_stop_gradient_and_unused_variables():
    x = np.ones((3, 2), np.float32)
    (found,) = grad(lambda t: ops.sum(t * ops.stop_gradient(t)), x)
    np.testing.assert_array_equal(found, x)
    with Trace() as trace:
        used, unused = Variable(np.ones(3), name="used"), Variable(np.ones(3), name="unused")
        loss = ops.sum(used * 2.0)
        gradients = trace.gradients(loss, [used, unused])
    assert gradients[0] is not None
    assert gradients[1] is None


def test_dropout_uses_the_same_mask_backward():
    x = np.ones((16, 33), np.float32)

    def record(trace: Trace, tensors):
        y = ops.dropout(tensors[0], 0.4)
        return [y, *trace.gradients(ops.sum(y), tensors)]

    value, gradient = EagerPlan(record, [x]).run([x])
    np.testing.assert_array_equal(value, gradient)
    assert 0.2 < (value == 0).mean() < 0.6


def test_unary_table_is_covered():
    checked = {case.attrs["fn"] for case in DIFFERENTIABLE if case.op == "unary"}
    assert set(UNARY) - checked == {"logical_not"}
