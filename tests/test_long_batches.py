"""Kernel gradients of long batches, in passes: values, and the same bits on any threads."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import values_by_isa

import weft
from weft import _core

SIZES = [129, 300, 513, 700]


def gradient(m, rule=None, threads=1):
    """x^T dy, (200, 170), stored or taken from a kernel of zeros by a step of 1; and x and dy."""
    rng = np.random.default_rng(m)
    x, dy = (rng.standard_normal((m, size), dtype=np.float32) for size in (200, 170))
    kernel = _core.Variable(np.zeros((200, 170), np.float32), "kernel")
    graph = _core.Graph()
    inputs = [graph.input([m, 200], "float32"), graph.input([m, 170], "float32")]
    w = graph.variable(kernel)
    product = graph.op("binary", [graph.op("dense", [inputs[0], w]), inputs[1]], {"fn": "multiply"})
    loss = graph.op("reduce", [product], {"fn": "sum", "axes": [], "keepdims": False})
    (of_kernel,) = graph.gradients(loss, [w])
    result = np.zeros((200, 170), np.float32)
    if rule is not None:
        graph.op("update", [w, of_kernel], {"rule": rule})
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
@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("rule", [None, "sgd"])
def test_values(m, rule):
    found, x, dy = gradient(m, rule)
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    scale = np.max(np.abs(x).T @ np.abs(dy))
    np.testing.assert_allclose(found, x.T @ dy, rtol=0, atol=1e-6 * scale)


def digest(threads=1):
    sums = hashlib.sha256()
    for m in SIZES:
        for rule in (None, "sgd"):
            sums.update(gradient(m, rule, threads)[0].tobytes())
    return sums.hexdigest()


@pytest.mark.cpu
def test_the_same_bits():
    assert digest(1) == digest(2) == digest(5)
    assert len(values_by_isa("test_long_batches.digest()")) == 1
