"""Runs one op, its gradients, or a layer through the native core."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import Case

from weft import _core
from weft.graph import Trace

Array = np.ndarray[Any, Any]


class OpPlan:
    """A plan of one op on `arrays`.

    Args:
        case: Says which op.
        arrays: Its inputs.
        feed: "batch": arrays with the first one's batch size are fed as batches, and others are
            variables (or constants), as in a network. "rows": each is one row of a batch of one.
        cotangent: Given, the plan computes the gradients of sum(op * cotangent) with respect to
            the differentiable inputs; otherwise the op itself.
        fuse: Whether ops are fused.
    """

    def __init__(
        self,
        case: Case,
        arrays: list[Array],
        feed: str = "batch",
        cotangent: Array | None = None,
        fuse: bool = True,
    ) -> None:
        self.graph = graph = _core.Graph()
        self.fed: list[Array] = []
        batch = arrays[0].shape[0] if arrays[0].ndim else 0
        ids = []
        for array in arrays:
            if feed == "batch" and array.ndim and array.shape[0] == batch:
                ids.append(graph.input(list(array.shape), str(array.dtype)))
                self.fed.append(array)
            elif feed == "batch" and array.dtype == np.float32 and array.ndim:
                ids.append(graph.variable(_core.Variable(array, "v")))
            elif feed == "batch" and batch:
                ids.append(graph.constant(array))
            else:
                row = graph.input([1, array.size], str(array.dtype))
                ids.append(graph.op("reshape", [row], {"shape": list(array.shape)}))
                self.fed.append(array.reshape(1, -1))
        result = graph.op(case.op, ids, case.attrs, "layer")
        self.shape, self.dtype = graph.shape(result), graph.dtype(result)
        outputs = [result]
        if cotangent is not None:
            product = graph.op("binary", [result, graph.constant(cotangent)], {"fn": "multiply"})
            loss = graph.op("reduce", [product], {"fn": "sum", "axes": [], "keepdims": False})
            outputs = graph.gradients(loss, [ids[i] for i in case.differentiable])
        self.missing = [id < 0 for id in outputs]
        kept = [id for id in outputs if id >= 0]
        self.results = [np.full(graph.shape(id), -77, graph.dtype(id)) for id in kept]
        self.plan = _core.Plan(graph, kept, fuse)

    def run(self, state: Any = None) -> list[Array]:
        """The op's value, or the gradients that are not `missing`."""
        self.plan.run(state or _core.StepState(0), self.fed, None, 0, 1, self.results)
        return [result.copy() for result in self.results]


def run_layer(layer, x, seed=5, draw=0, training=True):
    """The layer in a plan of its own, at a step of the given number."""
    with Trace(training=training) as trace:
        y = layer(trace.input(x.shape))
    plan, result = _core.Plan(trace.graph, [y.id]), np.empty(y.shape, np.float32)
    state = _core.StepState(seed)
    state.draw = draw
    plan.run(state, [np.ascontiguousarray(x, np.float32)], None, 0, 1, [result])
    return result


def negative(shape: tuple[int, ...]) -> _core.Plan:
    """A plan that gives a batch of this shape, times -1."""
    graph = _core.Graph()
    x = graph.input(list(shape), "float32")
    return _core.Plan(graph, [graph.op("unary", [x], {"fn": "negative"})])
