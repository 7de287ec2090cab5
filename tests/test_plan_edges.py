"""Edges: shapes that are no batch, variables as operands, calls from several threads."""

import subprocess
import sys

import numpy as np
import pytest

from weft import _core


def recorded(kind, inputs, attrs=None):
    """The value of one op on variables and constants."""
    graph = _core.Graph()
    ids = [
        graph.variable(x) if isinstance(x, _core.Variable) else graph.constant(x) for x in inputs
    ]
    result = graph.op(kind, ids, attrs or {})
    out = np.zeros(graph.shape(result), graph.dtype(result))
    _core.Plan(graph, [result]).run(_core.StepState(), [], None, 0, 1, [out])
    return out


def scalar_sum(graph, x):
    return graph.op("reduce", [x], {"fn": "sum", "axes": []})


def test_inputs_that_are_no_batch_are_read_whole():
    """Rows behind such an array must not be read by later steps."""
    graph = _core.Graph()
    graph.input((2, 3))
    graph.op("accumulate", [scalar_sum(graph, graph.input((4, 3)))], {"slot": 0})
    graph.op("accumulate", [graph.input(())], {"slot": 2})
    plan = _core.Plan(graph)
    x, matrix, number = np.zeros((8, 3), "f"), np.ones((4, 3), "f"), np.array(5, "f")
    state = _core.StepState()
    assert plan.run(state, [x, matrix, number], None, 0, 1) == 1
    assert list(state.sums[[0, 2]]) == [12, 5]
    for order, start, steps in ((None, 0, 2), (None, 2, 1), (np.zeros(2, np.int32), 0, 1)):
        with pytest.raises(ValueError, match=r"input 1 of shape \(4, 3\) is no batch of 2"):
            plan.run(state, [x, matrix, number], order, start, steps)
    with pytest.raises(ValueError, match="there are no 4611686018427387904 steps"):
        plan.run(state, [x, matrix, number], None, 0, 2**62)


def test_inputs_are_held_while_the_plan_runs():
    class Made:
        """Makes each array anew."""

        def __len__(self):
            return 1

        def __getitem__(self, i):
            if i:
                raise IndexError
            return np.full((200_000, 4), 3, "f")

    graph = _core.Graph()
    graph.op("accumulate", [scalar_sum(graph, graph.input((200_000, 4)))], {"slot": 0})
    state = _core.StepState()
    _core.Plan(graph).run(state, Made(), None, 0, 1)
    assert state.sums[0] == 2_400_000


def test_empty_arrays():
    assert recorded("transpose", [np.zeros((3, 0), "f")], {"axes": [1, 0]}).shape == (0, 3)
    assert recorded("softmax", [np.zeros((2, 3, 0), "f")]).shape == (2, 3, 0)


def test_values_and_types_are_checked_when_recorded():
    ints, floats = np.array([1, 2, 3], np.int32), np.ones(3, "f")
    v = _core.Variable(floats)
    for kind, inputs, attrs in (
        ("assign", [v, ints], {}),
        ("select", [floats, ints, ints], {}),
        ("update", [v, ints], {"rule": "sgd"}),
        ("in_top_k", [np.zeros((3, 2), np.int32), ints], {"k": 1}),
    ):
        with pytest.raises(ValueError, match="expects float32 values, got int32"):
            recorded(kind, inputs, attrs)
    with pytest.raises(ValueError, match="expects 2 inputs, got 3"):
        recorded("update", [v, floats, floats], {"rule": "sgd"})
    with pytest.raises(ValueError, match="one number as the scale"):
        recorded("update", [v, floats, floats], {"rule": "sgd", "has_grad_scale": 1})
    graph = _core.Graph()
    with pytest.raises(TypeError):
        graph.variable(None)
    with pytest.raises(ValueError, match="there is no value 99"):
        graph.gradients(graph.constant(np.array(1, "f")), [99])


def test_a_check_of_a_variable():
    v = _core.Variable(np.array(np.nan, "f"))
    graph = _core.Graph()
    graph.op("check_finite", [graph.variable(v)])
    state = _core.StepState()
    assert _core.Plan(graph).run(state, [], None, 0, 1) == 0
    assert state.aborted


def test_an_output_keeps_what_no_completed_step_wrote():
    graph = _core.Graph()
    x = graph.input((2, 3), "float32")
    graph.op(
        "check_finite", [graph.op("reduce", [x], {"fn": "sum", "axes": [], "keepdims": False})]
    )
    rows = np.arange(24, dtype="f").reshape(8, 3)
    rows[5] = np.inf
    results = np.full((8, 3), 7, "f")
    plan = _core.Plan(graph, [graph.op("unary", [x], {"fn": "negative"})])
    assert plan.run(_core.StepState(), [rows], None, 0, 4, [results]) == 2
    np.testing.assert_array_equal(results[:4], -rows[:4])
    np.testing.assert_array_equal(results[6:], np.full((2, 3), 7, "f"))


def test_an_output_that_is_no_batch_may_have_more_rows():
    graph = _core.Graph()
    x = graph.input((4, 3), "float32")
    sums = graph.op("reduce", [x], {"fn": "sum", "axes": [0], "keepdims": False})
    results = np.full(5, 7, "f")
    rows = np.arange(12, dtype="f").reshape(4, 3)
    _core.Plan(graph, [sums]).run(_core.StepState(), [rows], None, 0, 1, [results])
    np.testing.assert_array_equal(results, [18, 22, 26, 7, 7])


def test_a_later_plan_does_not_move_a_variable():
    """A dense kernel changes its layout in its first plan, unless a plan was there before."""
    kept, gradient, summed = (
        _core.Variable(np.arange(300_000, dtype="f").reshape(600, 500)) for _ in range(3)
    )
    stored = _core.Graph()
    store = _core.Plan(stored, [stored.variable(kept)])
    graph = _core.Graph()
    graph.op("update", [graph.variable(summed), graph.variable(gradient)], {"rule": "sgd"})
    update = _core.Plan(graph)
    for v in (kept, gradient):
        dense = _core.Graph()
        _core.Plan(dense, [dense.op("dense", [dense.input((1, 600)), dense.variable(v)])])
    state, out = _core.StepState(), np.zeros((600, 500), "f")
    store.run(state, [], None, 0, 1, [out])
    np.testing.assert_array_equal(out, kept.numpy())
    state.learning_rate = -1
    update.run(state, [], None, 0, 1)
    np.testing.assert_array_equal(summed.numpy(), 2 * gradient.numpy())


def test_many_values_are_joined():
    parts = [np.full((2, 3), i, "f") for i in range(40)]
    np.testing.assert_array_equal(
        recorded("concatenate", parts, {"axis": 1}), np.concatenate(parts, axis=1)
    )


def gradient_of(values, kind, attrs=None, others=(), square=False):
    """The gradient of the sum of one op's value, or of that of its squared gradient."""
    v = _core.Variable(np.asarray(values, "f"))
    graph = _core.Graph()
    x = graph.variable(v)
    y = graph.op(kind, [*(graph.constant(o) for o in others), x], attrs or {})
    if square:
        total = scalar_sum(graph, graph.op("unary", [y], {"fn": "square"}))
        (d,) = graph.gradients(total, [x])
        y = graph.op("unary", [d], {"fn": "square"})
    (d,) = graph.gradients(scalar_sum(graph, y), [x])
    out = np.zeros(v.shape, "f")
    _core.Plan(graph, [d]).run(_core.StepState(), [], None, 0, 1, [out])
    return out


def test_gradients_that_are_easily_lost():
    # Of targets; of a function whose value does not tell its argument; through a slice, twice.
    logits, targets = np.array([[1, 2, 4]], "f"), np.array([[0.2, 0.3, 0.5]], "f")
    log_softmax = logits - np.log(np.exp(logits).sum())
    found = gradient_of(targets, "softmax_cross_entropy", {"smoothing": 0.1}, [logits])
    np.testing.assert_allclose(found, -0.9 * log_softmax, rtol=1e-6)
    found = gradient_of([-2, -1, 1], "unary", {"fn": "leaky_relu", "a": -0.5})
    np.testing.assert_array_equal(found, [-0.5, -0.5, 1])
    slice_attrs = {"begin": [1], "size": [2], "strides": [1]}
    found = gradient_of([1, 2, 3], "slice", slice_attrs, square=True)
    np.testing.assert_array_equal(found, [0, 16, 24])
    for kind, attrs in (("softmax", {}), ("unary", {"fn": "elu", "a": -0.5})):
        with pytest.raises(ValueError, match=r"(derivative of softmax|elu: the derivative)"):
            gradient_of([1, 2, 3], kind, attrs, square=True)


THREADS_SCRIPT = """
import threading, time
import numpy as np
from weft import _core

def build():
    graph = _core.Graph()
    h, w = graph.input((64, 256)), _core.Variable(np.full((256, 256), 1e-3, "f"))
    for _ in range(4):
        h = graph.op("dense", [h, graph.variable(w)])
    loss = graph.op("reduce", [h], {"fn": "mean", "axes": []})
    graph.op("check_finite", [loss])
    return _core.Plan(graph)

x, order = np.ones((64, 256), "f"), np.zeros(64 * 20, np.int32)
end = time.monotonic() + 1.5
shared = build()
def own():
    plan = build()
    while time.monotonic() < end:
        plan.run(_core.StepState(), [x], order, 0, 20)
def poll():
    while time.monotonic() < end:
        shared.run(_core.StepState(), [x], np.zeros(64 * 800, np.int32), 0, 800)
threads = [threading.Thread(target=f) for f in (own, own, poll)]
for t in threads:
    t.start()
count = 0
while time.monotonic() < end:
    count += 1
    _core.set_num_threads(2 + count % 3)
    shared.find_nonfinite(_core.StepState(), [x], None, 0)
    time.sleep(0.001)
for t in threads:
    t.join()
"""


def test_plans_in_several_threads():
    """Neither a change of the number of threads nor a wait for a plan in use may hang a run."""
    result = subprocess.run(
        [sys.executable, "-c", THREADS_SCRIPT], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr


def test_nonfinite_is_not_sought_in_the_buffers_of_a_kernel():
    """An lstm of one step never writes the buffer for its product."""
    graph = _core.Graph()
    x = graph.input((2, 8))
    y = graph.op("lstm", [x, graph.constant(np.ones((2, 8), "f"))], {"steps": 1}, "lstm")
    h = graph.op("dense", [y, graph.constant(np.full((2, 64), -1, "f"))], {}, "dense")
    loss = graph.op("unary", [h], {"fn": "log"}, "log")
    loss = graph.op("reduce", [loss], {"fn": "sum", "axes": []}, "loss")
    graph.op("check_finite", [loss])
    plan = _core.Plan(graph, [])
    for _ in range(2):
        state = _core.StepState()
        assert plan.run(state, [np.full((2, 8), 3, "f")], None, 0, 1) == 0
    found = plan.find_nonfinite(_core.StepState(), [np.full((2, 8), 3, "f")], None, 0)
    assert found.startswith("dense ")  # which log has joined


def test_sums_over_many_rows_keep_their_digits():
    graph = _core.Graph()
    x = graph.input((4, 256, 256, 17))
    w = graph.variable(_core.Variable(np.zeros(17, "f")))
    shifted = graph.op("conv2d", [x, graph.constant(np.zeros((1, 1, 17, 17), "f")), w])
    weighed = graph.op("binary", [shifted, x], {"fn": "multiply"})
    loss = graph.op("reduce", [weighed], {"fn": "sum", "axes": []})
    (gradient,) = graph.gradients(loss, [w])
    result = np.zeros(17, "f")
    plan = _core.Plan(graph, [gradient])
    plan.run(_core.StepState(), [np.full((4, 256, 256, 17), 0.1, "f")], None, 0, 1, [result])
    np.testing.assert_allclose(result, 4 * 256 * 256 * np.float32(0.1), rtol=5e-5)


def test_the_second_derivative_of_max_pooling_is_refused():
    graph = _core.Graph()
    x, w = graph.input((1, 4, 4, 2)), graph.variable(_core.Variable(np.ones((1, 2, 2, 2), "f")))
    attrs = {"window": [2, 2], "strides": [2, 2], "padding": [0, 0, 0, 0]}
    y = graph.op("binary", [graph.op("max_pool2d", [x], attrs), w], {"fn": "multiply"})
    loss = graph.op("reduce", [y], {"fn": "sum", "axes": []})
    (dx,) = graph.gradients(loss, [x])
    square = graph.op(
        "reduce", [graph.op("unary", [dx], {"fn": "square"})], {"fn": "sum", "axes": []}
    )
    with pytest.raises(ValueError, match="second derivative of max-pooling"):
        graph.gradients(square, [w])


def test_the_gradient_of_a_slice_that_runs_backwards():
    graph = _core.Graph()
    x = graph.input((6, 3))
    y = graph.op("slice", [x], {"begin": [5, 0], "size": [3, 3], "strides": [-2, 1]})
    factors = np.arange(1, 10, dtype="f").reshape(3, 3)
    weighed = graph.op("binary", [y, graph.constant(factors)], {"fn": "multiply"})
    loss = graph.op("reduce", [weighed], {"fn": "sum", "axes": []})
    (gradient,) = graph.gradients(loss, [x])
    result = np.zeros((6, 3), "f")
    _core.Plan(graph, [gradient]).run(
        _core.StepState(), [np.ones((6, 3), "f")], None, 0, 1, [result]
    )
    expected = np.zeros((6, 3))
    expected[5::-2] = factors
    np.testing.assert_array_equal(result, expected)


def test_a_step_that_is_given_up_adds_nothing_to_any_sum():
    """The check takes two kernels more than what is added to the first sum."""
    graph = _core.Graph()
    x = graph.input((2, 3))
    graph.op("accumulate", [graph.op("reduce", [x], {"fn": "sum", "axes": [1]})], {"slot": 0})
    logs = graph.op("unary", [graph.op("reduce", [x], {"fn": "min", "axes": []})], {"fn": "log"})
    loss = graph.op("reduce", [logs], {"fn": "sum", "axes": []})
    graph.op("check_finite", [loss])
    graph.op("accumulate", [loss], {"slot": 2})
    plan = _core.Plan(graph, [])
    state = _core.StepState()
    data = np.ones((6, 3), "f")
    data[3] = -1
    assert plan.run(state, [data], None, 0, 3) == 1
    np.testing.assert_array_equal(state.sums[:4], [6, 2, 0, 1])
