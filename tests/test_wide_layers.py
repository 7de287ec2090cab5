"""Input gradients of layers with many units: values, and the same bits on any threads."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import values_by_isa

import weft
from weft import _core

# (m, k, n): one and several stretches of 512 units, blocks of the batch in and beyond one group of
# 128 rows with narrow ones at the end, strips of 112 inputs and parts of one.
SIZES = [(5, 20, 513), (37, 300, 1024), (150, 130, 1100), (270, 113, 511), (290, 230, 1537)]


def gradient(m, k, n, threads=1):
    """dy W^T, (m, k), with dy and W."""
    rng = np.random.default_rng(n)
    dy, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((m, n), (k, n)))
    graph = _core.Graph()
    x, weight = graph.input([m, k], "float32"), graph.input([m, n], "float32")
    kernel = graph.variable(_core.Variable(w, "kernel"))
    product = graph.op("binary", [graph.op("dense", [x, kernel]), weight], {"fn": "multiply"})
    loss = graph.op("reduce", [product], {"fn": "sum", "axes": [], "keepdims": False})
    (of_x,) = graph.gradients(loss, [x])
    result = np.zeros((m, k), np.float32)
    weft.config.set_num_threads(threads)
    try:
        arrays = [np.zeros((m, k), np.float32), dy]
        _core.Plan(graph, [of_x]).run(_core.StepState(), arrays, None, 0, 1, [result])
    finally:
        weft.config.set_num_threads(0)
    return result, dy, w


@pytest.mark.cpu
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_values(m, k, n):
    found, dy, w = gradient(m, k, n)
    dy, w = dy.astype(np.float64), w.astype(np.float64)
    scale = np.max(np.abs(dy) @ np.abs(w).T)
    np.testing.assert_allclose(found, dy @ w.T, rtol=0, atol=1e-6 * scale)


def digest(threads=1):
    sums = hashlib.sha256()
    for size in SIZES:
        sums.update(gradient(*size, threads)[0].tobytes())
    return sums.hexdigest()


@pytest.mark.cpu
def test_the_same_bits():
    assert digest(1) == digest(2) == digest(5)
    assert len(values_by_isa("test_wide_layers.digest()")) == 1
