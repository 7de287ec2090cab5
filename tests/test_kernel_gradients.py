"""Kernel gradients of a dense layer: values, and the same bits for every tile shape and thread."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import values_by_isa

import weft
from weft import _core

# (m, k, n): long batches, in passes; short ones with pairs of panels, which AVX2 takes in its flat
# tiles where each thread has whole pairs: with fewer rows than a tile has, in one tile and in
# several, and at both sides of where it takes them.
LONG = [(129, 200, 170), (300, 200, 170), (513, 200, 170), (700, 200, 170)]
SHORT = [(1, 1, 32), (3, 2, 24), (32, 100, 64), (50, 101, 50), (64, 200, 160), (64, 200, 128)]
SIZES = [*LONG, *SHORT, (65, 200, 128), (64, 200, 113), (64, 64, 97)]
RULES = [None, "sgd", "momentum"]


def gradient(m, k, n, rule=None, threads=1):
    """x^T dy, (k, n), stored or taken from a kernel of zeros by a step of 1; and x and dy."""
    rng = np.random.default_rng(m)
    x, dy = (rng.standard_normal((m, size), dtype=np.float32) for size in (k, n))
    kernel = _core.Variable(np.zeros((k, n), np.float32), "kernel")
    graph = _core.Graph()
    inputs = [graph.input([m, k], "float32"), graph.input([m, n], "float32")]
    w = graph.variable(kernel)
    product = graph.op("binary", [graph.op("dense", [inputs[0], w]), inputs[1]], {"fn": "multiply"})
    loss = graph.op("reduce", [product], {"fn": "sum", "axes": [], "keepdims": False})
    (of_kernel,) = graph.gradients(loss, [w])
    result = np.zeros((k, n), np.float32)
    if rule is not None:
        velocity = (
            [_core.Variable(np.zeros((k, n), np.float32), "velocity")] if rule == "momentum" else []
        )
        graph.op(
            "update", [w, of_kernel, *map(graph.variable, velocity)], {"rule": rule, "p0": 0.9}
        )
    state = _core.StepState()
    state.learning_rate = 1
    weft.config.set_num_threads(threads)
    try:
        outputs = [of_kernel] if rule is None else []
        _core.Plan(graph, outputs).run(state, [x, dy], None, 0, 1, [result] if outputs else [])
    finally:
        weft.config.set_num_threads(0)
    return (result if rule is None else -kernel.numpy()), x, dy


@pytest.mark.cpu
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_values(size, rule):
    found, x, dy = gradient(*size, rule)
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    scale = np.max(np.abs(x).T @ np.abs(dy))
    np.testing.assert_allclose(found, x.T @ dy, rtol=0, atol=1e-6 * scale)


def digest(threads=1):
    sums = hashlib.sha256()
    for size in SIZES:
        for rule in RULES:
            sums.update(gradient(*size, rule, threads)[0].tobytes())
    return sums.hexdigest()


@pytest.mark.cpu
def test_the_same_bits():
    assert digest(1) == digest(2) == digest(5)
    assert len(values_by_isa("test_kernel_gradients.digest(2)")) == 1
