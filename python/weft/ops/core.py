"""How one op is carried out: recorded when a tensor is among its inputs, else run at once.

To run at once means to record a plan of this one op (kept for the next call with the same shapes
and attributes) and to run it on the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import _core
from weft.graph import Array, Tensor, Trace, Variable

# Which inputs are class indices (int32), and which ops move elements of either type about. All
# others compute in float32.
_LABELS: dict[str, tuple[int, ...]] = {"one_hot": (0,), "in_top_k": (1,), "embedding": (0,)}
_MOVES = frozenset(
    (
        *("reshape", "transpose", "broadcast_to", "concatenate", "slice", "slice_grad"),
        *("stop_gradient", "cast"),
    )
)

_CACHED_PLANS = 512
_CACHED_BYTES = 4 << 20  # a plan with a larger arena is used once: it would pin that memory
_plans: dict[Any, EagerPlan] = {}


def apply(kind: str, inputs: Sequence[Any], **attrs: Any) -> Any:
    """One op of the core (see `_core.Graph.op`): a Tensor if any input is one, else an array.

    Inside of a trace, variables count as tensors.
    """
    trace = trace_of(inputs)
    if trace is None:
        return _run_now(kind, [_as_array(x, kind, i) for i, x in enumerate(inputs)], attrs)
    return trace.op(kind, [_as_tensor(trace, x, kind, i) for i, x in enumerate(inputs)], attrs)


def trace_of(inputs: Sequence[Any]) -> Trace | None:
    """The trace that records a function of `inputs`, None where it is to be computed at once."""
    for x in inputs:
        if isinstance(x, Tensor):
            return x.trace
    if any(isinstance(x, Variable) for x in inputs):
        return Trace.current()
    return None


def convert(x: Any) -> Any:
    """A Tensor, or an array of float32 or int32 (bool and other integers become int32)."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Variable):
        return x.value
    array = np.asarray(x)
    kind = array.dtype.kind
    if kind == "f":
        return np.asarray(array, np.float32)
    if kind in "iub":
        return np.asarray(array, np.int32)
    raise ValueError(f"weft.ops expects numbers, got an array of dtype {array.dtype}.")


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a tensor, a variable or anything that NumPy takes."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def normalized_axis(axis: int, rank: int) -> int:
    """An axis counted from the front; ValueError if there is none of that number."""
    if not -rank <= axis < rank:
        raise ValueError(f"An axis of an array of rank {rank} was expected, got {axis}.")
    return int(axis) % rank


def is_scalar(x: Any) -> bool:
    """Whether x is a plain number."""
    return isinstance(x, (int, float, bool, np.number, np.bool_)) or (
        isinstance(x, np.ndarray) and x.ndim == 0
    )


def _wants_int(kind: str, index: int, is_integer: bool) -> bool:
    if kind == "softmax_cross_entropy":
        return index == 1 and is_integer  # else targets
    return index in _LABELS.get(kind, ()) or (kind in _MOVES and is_integer)


def _as_array(x: Any, kind: str, index: int) -> Array:
    if isinstance(x, (Tensor, Variable)):
        x = x.numpy()
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"weft.ops expects numbers, got an array of dtype {array.dtype}.")
    is_integer = array.dtype.kind != "f"
    dtype = np.int32 if _wants_int(kind, index, is_integer) else np.float32
    return np.asarray(array, dtype, order="C")


def _as_tensor(trace: Trace, x: Any, kind: str, index: int) -> Tensor:
    if not isinstance(x, (Tensor, Variable)):
        x = _as_array(x, kind, index)
    tensor = trace.tensor(x)
    dtype = "int32" if _wants_int(kind, index, tensor.dtype == "int32") else "float32"
    return tensor if tensor.dtype == dtype else trace.op("cast", [tensor], {"dtype": dtype})


def _run_now(kind: str, arrays: list[Array], attrs: dict[str, Any]) -> Array:
    key = (kind, tuple([(a.shape, a.dtype.char) for a in arrays]), _frozen(attrs))
    plan = _plans.get(key)
    if plan is None:
        plan = EagerPlan(lambda trace, x: trace.op(kind, x, attrs), arrays)
        remember(_plans, key, plan, _CACHED_PLANS)
    result: Array = plan.run(arrays)
    return result


def _frozen(attrs: dict[str, Any]) -> tuple[Any, ...]:
    return tuple([(k, tuple(v) if isinstance(v, list) else v) for k, v in attrs.items()])


class EagerPlan:
    """A plan for one function of arrays, run once per call.

    Args:
        function: Maps (trace, tensors) to a tensor, or to a tuple or list of tensors.
        arrays: Arrays of the shapes and dtypes (float32 or int32) that `run` will be given.
        training: What layers see as `training`.
    """

    __slots__ = ("_draws", "_kind", "_plan", "_results")

    def __init__(
        self,
        function: Callable[[Trace, list[Tensor]], Any],
        arrays: Sequence[Array],
        training: bool = False,
    ) -> None:
        # An array of any shape is fed as one row of a batch of one, because the inputs of a graph
        # share their batch size and the arguments of a function need not.
        with Trace(training) as trace:
            tensors = []
            for array in arrays:
                row = trace.input((1, array.size), str(array.dtype))
                tensors.append(trace.op("reshape", [row], {"shape": list(array.shape)}))
            results = function(trace, tensors)
            self._kind = type(results) if isinstance(results, (list, tuple)) else None
            listed = list(results) if self._kind else [results]
            outputs = [trace.tensor(result) for result in listed]
            self._results = [(output.shape, output.dtype) for output in outputs]
            trace.record_assigns()
        self._draws = trace.streams > 0
        self._plan = _core.Plan(trace.graph, [output.id for output in outputs])

    @property
    def arena_bytes(self) -> int:
        return self._plan.arena_bytes

    def run(self, arrays: Sequence[Array]) -> Any:
        """Runs the function on arrays of the same shapes and dtypes as at first."""
        seed = 0
        if self._draws:
            from weft import config

            seed = config._next_seed()
        results = [np.empty(shape, dtype) for shape, dtype in self._results]
        rows = [array.reshape(1, -1) for array in arrays]
        self._plan.run(_core.StepState(seed), rows, None, 0, 1, results)
        return self._kind(results) if self._kind else results[0]


def remember(cache: dict[Any, EagerPlan], key: Any, plan: EagerPlan, limit: int) -> None:
    """Keeps a plan, in place of the oldest one when there are `limit`, unless it is large."""
    if plan.arena_bytes > _CACHED_BYTES:
        return
    while len(cache) >= limit:
        cache.pop(next(iter(cache)))
    cache[key] = plan
