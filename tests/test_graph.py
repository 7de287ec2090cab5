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
