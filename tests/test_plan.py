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
