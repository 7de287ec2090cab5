"""The plan: fusion, memory, phases, and what one native call may not do."""

import ctypes
import os
import shutil
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from weft import _core

RULE_SLOTS = {"sgd": 0, "nesterov": 1, "rmsprop": 1, "adam": 2}


def build(widths, batch, rule="sgd", rate=0.0, fuse=True, activation="relu", seed=3, l2=0.0):
    """A training plan of a dense classifier, straight on the core; returns (plan, variables)."""
    rng = np.random.default_rng(seed)
    graph = _core.Graph()
    x = graph.input((batch, widths[0]), "float32", "x")
    y = graph.input((batch,), "int32", "y")
    h = graph.op("unary", [x], {"fn": "affine", "a": 0.5, "b": -0.25}, "rescaling")
    variables = []
    for i, (k, n) in enumerate(pairwise(widths)):
        w = _core.Variable(rng.normal(0, k**-0.5, (k, n)).astype("f"), f"w{i}")
        b = _core.Variable(rng.normal(0, 0.1, n).astype("f"), f"b{i}")
        variables += [w, b]
        h = graph.op("dense", [h, graph.variable(w), graph.variable(b)], {}, f"dense_{i}")
        if i < len(widths) - 2:
            h = graph.op("unary", [h], {"fn": activation, "a": 0.1}, f"dense_{i}")
            if rate:
                h = graph.op("dropout", [h], {"rate": rate, "stream": i}, f"dropout_{i}")
    rows = graph.op("softmax_cross_entropy", [h, y], {})
    loss = graph.op("reduce", [rows], {"fn": "mean", "axes": []})
    graph.op("check_finite", [loss])
    if l2:
        square = graph.op("unary", [graph.variable(variables[0])], {"fn": "square"})
        total = graph.op("reduce", [square], {"fn": "sum", "axes": []})
        penalty = graph.op("unary", [total], {"fn": "affine", "a": l2, "b": 0.0})
        loss = graph.op("binary", [loss, penalty], {"fn": "add"})
    graph.op("accumulate", [rows], {"slot": 0})
    ids = [graph.variable(v) for v in variables]
    for v, gradient in zip(ids, graph.gradients(loss, ids), strict=True):
        slots = [_core.Variable(np.zeros(graph.shape(v), "f")) for _ in range(RULE_SLOTS[rule])]
        graph.op(
            "update",
            [v, gradient, *(graph.variable(s) for s in slots)],
            {"rule": rule, "p0": 0.9, "p1": 0.99, "epsilon": 1e-7},
        )
    return _core.Plan(graph, [], fuse), variables


def data(n, features, classes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, features)).astype("f"), rng.integers(0, classes, n)


def train(plan, x, y, steps, start=0, seed=7):
    state = _core.StepState(seed)
    state.learning_rate = 0.05
    assert plan.run(state, [x, y], None, start, steps) == steps
    return state


@pytest.mark.parametrize("rule", RULE_SLOTS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "elu", "gelu", "softsign"])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_fused_equals_unfused(rule, activation, rate):
    x, y = data(7 * 13, 19, 5)
    results = []
    for fuse in (True, False):
        plan, variables = build([19, 33, 17, 5], 13, rule, rate, fuse, activation, l2=0.01)
        state = train(plan, x, y, 7)
        results.append([v.numpy() for v in variables] + [state.sums[:2].copy()])
    for fused, unfused in zip(*results, strict=True):
        np.testing.assert_allclose(fused, unfused, rtol=2e-4, atol=2e-5)


def test_fusion_leaves_few_steps():
    fused = build([784, 64, 10], 32, "adam", 0.2, True)[0].describe()
    unfused = build([784, 64, 10], 32, "adam", 0.2, False)[0].describe()
    kernels = [step["kernel"] for step in fused]
    assert "dense+relu+dropout" in kernels
    assert "dense_grad_input+relu+dropout" in kernels
    assert kernels.count("dense_grad_kernel+adam") == 2
    assert "softmax_cross_entropy_with_grad" in kernels
    assert not any(k in ("unary", "unary_grad", "dropout", "update+adam") for k in kernels)
    assert len(fused) <= len(unfused) - 8
    assert max(s["phase"] for s in fused) < max(s["phase"] for s in unfused)


@pytest.mark.parametrize("fuse", [True, False])
def test_live_values_never_overlap(fuse):
    plan, _ = build([31, 64, 47, 33, 10], 29, "nesterov", 0.4, fuse)
    steps = [s for s in plan.describe() if s["offset"] >= 0]
    assert len(steps) > 8
    for step in steps:
        assert step["offset"] + step["bytes"] <= plan.arena_bytes
    # Two values made in the same phase are both alive in it.
    for i, a in enumerate(steps):
        for b in steps[i + 1 :]:
            if a["phase"] == b["phase"]:
                apart = (
                    a["offset"] + a["bytes"] <= b["offset"]
                    or b["offset"] + b["bytes"] <= a["offset"]
                )
                assert apart, (a, b)


def test_arena_is_smaller_than_the_sum_of_its_values():
    plan, _ = build([64] * 12, 64)
    assert plan.arena_bytes < 0.8 * sum(s["bytes"] for s in plan.describe() if s["offset"] >= 0)


def test_one_call_equals_many():
    x, y = data(10 * 8, 12, 4)
    once, a = build([12, 9, 4], 8, "adam", 0.5)
    state_once = train(once, x, y, 10)
    steps, b = build([12, 9, 4], 8, "adam", 0.5)
    state = _core.StepState(7)
    state.learning_rate = 0.05
    for i in range(10):
        assert steps.run(state, [x, y], None, i * 8, 1) == 1
    for u, v in zip(a, b, strict=True):
        np.testing.assert_array_equal(u.numpy(), v.numpy())
    np.testing.assert_array_equal(state.sums, state_once.sums)
    assert state.iteration == state_once.iteration == 10
    assert state.draw == state_once.draw == 10


def test_order_is_followed():
    x, _ = data(6, 3, 2)
    order = np.array([5, 0, 3, 1], dtype=np.int32)
    graph = _core.Graph()
    v = graph.input((2, 3))
    plan = _core.Plan(graph, [v])
    out = np.zeros((4, 3), "f")
    plan.run(_core.StepState(), [x], order, 0, 2, [out])
    np.testing.assert_array_equal(out, x[order])


def test_bad_calls_are_refused():
    plan, _ = build([3, 2], 4)
    state = _core.StepState()
    x, y = data(8, 3, 2)
    with pytest.raises(ValueError, match="need 12 rows, input 0 has 8"):
        plan.run(state, [x, y], None, 0, 3)
    with pytest.raises(ValueError, match="rows like"):
        plan.run(state, [x[:, :2].copy(), y], None, 0, 1)
    with pytest.raises(ValueError, match="C-contiguous"):
        plan.run(state, [np.asfortranarray(x), y], None, 0, 1)
    with pytest.raises(ValueError, match="takes 2 inputs, got 1"):
        plan.run(state, [x], None, 0, 1)
    with pytest.raises(ValueError, match="names row 9"):
        plan.run(state, [x, y], np.array([9, 0, 0, 0], np.int32), 0, 1)
    with pytest.raises(ValueError, match="dtype object"):
        plan.run(state, [x.astype(object), y], None, 0, 1)


def test_a_loss_that_is_not_finite_changes_nothing():
    x, y = data(8, 3, 2)
    x[5, 1] = np.inf
    for fuse in (True, False):
        plan, variables = build([3, 6, 2], 4, "adam", fuse=fuse)
        state = _core.StepState()
        state.learning_rate = 0.1
        assert plan.run(state, [x, y], None, 0, 1) == 1
        before = [v.numpy() for v in variables]
        assert plan.run(state, [x, y], None, 4, 1) == 0
        assert state.aborted
        for v, value in zip(variables, before, strict=True):
            np.testing.assert_array_equal(v.numpy(), value)
        assert plan.find_nonfinite(state, [x, y], None, 4).startswith("x ")


def test_a_penalty_joins_the_update():
    kernels = [s["kernel"] for s in build([20, 8, 4], 16, "sgd", l2=0.1)[0].describe()]
    assert "update+sgd" not in kernels


COUNT_MALLOC = """
#include <dlfcn.h>
#include <stddef.h>
static long calls;
long malloc_calls(void) { return calls; }
extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
#define COUNT __atomic_fetch_add(&calls, 1, 5)
void* malloc(size_t n) { COUNT; return __libc_malloc(n); }
void* calloc(size_t a, size_t b) { COUNT; return __libc_calloc(a, b); }
void* realloc(void* p, size_t n) { COUNT; return __libc_realloc(p, n); }
void* aligned_alloc(size_t a, size_t n) { COUNT; return __libc_memalign(a, n); }
"""

COUNT_SCRIPT = """
import ctypes, sys
sys.path.insert(0, {tests!r})
import numpy as np
from test_plan import build, data
from weft import _core
malloc_calls = ctypes.CDLL({library!r}).malloc_calls
malloc_calls.restype = ctypes.c_long
events = 0
def count(frame, event, arg):
    global events
    events += 1
for threads in (1, 2):
    _core.set_num_threads(threads)
    plan, _ = build([784, 256, 128, 10], 64, "adam", 0.2)
    x, y = data(64 * 64, 784, 10)
    state = _core.StepState()
    state.learning_rate = 1e-3
    plan.run(state, [x, y], None, 0, 64)
    counts = []
    for steps in (1, 64, 1, 64):
        before, events = malloc_calls(), 0
        sys.setprofile(count)
        plan.run(state, [x, y], None, 0, steps)
        sys.setprofile(None)
        counts.append((malloc_calls() - before, events))
    print(threads, counts)
    assert counts[2] == counts[3], counts
    assert counts[3][0] < 64, counts
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts glibc's malloc")
def test_no_allocation_and_no_python_inside_an_epoch(tmp_path):
    """An epoch of 64 steps allocates exactly as often, and enters Python as often, as one step."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "count.c", tmp_path / "count.so"
    source.write_text(COUNT_MALLOC)
    built = subprocess.run(
        [compiler, "-x", "c", "-shared", "-fPIC", "-O1", str(source), "-o", str(library)],
        capture_output=True,
    )
    if built.returncode:
        pytest.skip("this C library's malloc cannot be counted")
    ctypes.CDLL(str(library))
    script = textwrap.dedent(COUNT_SCRIPT).format(
        tests=str(Path(__file__).parent), library=str(library)
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


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
