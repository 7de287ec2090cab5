"""Variables, symbolic tensors and traces."""

from __future__ import annotations

import numpy as np
import pytest

from weft import initializers
from weft.graph import Trace, Variable
from weft.ops.core import EagerPlan


def test_variables():
    v = Variable(np.arange(3), name="v")
    np.testing.assert_array_equal(np.asarray(v), [0, 1, 2])
    np.testing.assert_array_equal(v * 2 + np.ones(3), [1, 3, 5])
    np.testing.assert_array_equal(np.ones(3) - v, [1, 0, -1])
    v.assign_sub(1.0)
    np.testing.assert_array_equal(v.numpy(), [-1, 0, 1])
    with pytest.raises(ValueError, match=r"'v' expects a value of shape \(3,\), got \(2,\)"):
        v.assign([1, 2])
    np.testing.assert_array_equal(v.numpy(), [-1, 0, 1])
    assert Variable(initializers.Ones(), shape=(2, 2)).shape == (2, 2)
    scalar = Variable(2.0)
    assert scalar.shape == ()
    assert float(scalar) == 2


def test_assigned_values_are_read_back_in_a_trace():
    v = Variable(1.0, name="v")

    def twice(trace, tensors):
        v.assign_add(tensors[0])
        v.assign_add(tensors[0])
        return v * 10.0

    plan = EagerPlan(twice, [np.float32(3)])
    assert plan.run([np.float32(3)]) == 70
    assert v.numpy() == 7
    assert plan.run([np.float32(1)]) == 90
    assert v.numpy() == 9


def test_tensors_have_no_values():
    with Trace() as trace:
        x = trace.input((2, 3))
        for use in (
            bool,
            float,
            int,
            list,
            np.asarray,
            lambda t: t.numpy(),
            lambda t: t if t > 0 else 0,
        ):
            with pytest.raises(TypeError, match="has no value"):
                use(x)
        assert (np.ones((2, 3), np.float32) * x).shape == (2, 3)
        assert np.exp(x).shape == (2, 3)
        assert len([x.T.shape]) == 1
        with pytest.raises(TypeError, match="hypot"):
            np.hypot(x, x)
    with Trace() as other, pytest.raises(ValueError, match="outside of the trace"):
        other.tensor(x)


def test_variables_in_functions_of_numpy_are_read_in_each_run():
    v = Variable([0.0, 1.0], name="v")

    def function(trace, tensors):
        return np.exp(v) + np.add(v, 1) + tensors[0] * np.float32(2) * v

    plan = EagerPlan(function, [np.ones(2, np.float32)])
    for value in ([0.0, 1.0], [2.0, -1.0]):
        v.assign(value)
        expected = np.exp(value) + np.add(value, 1) + 2 * np.array(value)
        np.testing.assert_allclose(plan.run([np.ones(2, np.float32)]), expected, rtol=1e-6)
    np.testing.assert_allclose(np.exp(v), np.exp(v.numpy()))
    assert np.add.reduce(v) == 1
    total = np.ones(2)
    total += v
    np.testing.assert_array_equal(total, [3, 0])
    with pytest.raises(TypeError):
        np.add(v, 1, out=v)
    with Trace(), pytest.raises(TypeError, match=r"no counterpart of np\.add"):
        np.add.reduce(v)


def test_assigning_a_variable_is_recorded():
    source, target = Variable(1.0, name="source"), Variable(0.0, name="target")

    def copy(trace, tensors):
        target.assign(source)
        return tensors[0]

    plan = EagerPlan(copy, [np.float32(3)])
    assert target.numpy() == 0
    source.assign(5.0)
    plan.run([np.float32(3)])
    assert target.numpy() == 5
    target.assign(Variable(2.0))
    assert target.numpy() == 2
