"""What layers compute with: variables, symbolic tensors, and the trace that records their ops.

A trace records one native graph with concrete shapes (the batch size included). Layers, losses and
metrics run once, in Python, on symbolic tensors; what they recorded is compiled into a plan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from weft import _core
from weft._operators import Operators

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = np.ndarray[Any, Any]


class Variable(Operators):
    """A named array that a model keeps: a weight, or a statistic such as a moving average.

    Args:
        initializer: The first value, or a callable `(shape, dtype) -> array` that makes it.
        shape: The shape when `initializer` is a callable; otherwise optional, and then checked.
        dtype: "float32", the type in which weft computes.
        trainable: Whether optimizers may update it.
        name: A name for messages and weight files.
        regularizer: A callable that maps the variable to a scalar that is added to the loss.

    Raises:
        ValueError: A shape is missing, has negative sizes or does not match the value.
    """

    def __init__(
        self,
        initializer: Callable[..., ArrayLike] | ArrayLike,
        shape: Sequence[int] | int | None = None,
        dtype: str | None = "float32",
        trainable: bool = True,
        name: str | None = None,
        *,
        regularizer: Callable[[Any], Any] | None = None,
        path: str | None = None,
    ) -> None:
        self.name = name or "variable"
        self.path = path or self.name
        if dtype not in ("float32", "float", None, float, np.float32, np.dtype(np.float32)):
            raise ValueError(f"Variable {self.path!r} expects dtype 'float32', got {dtype!r}.")
        wanted = None if shape is None else check_shape(shape, f"Variable {self.path!r}")
        if callable(initializer):
            if wanted is None:
                raise ValueError(f"Variable {self.path!r} needs a shape for its initializer.")
            value = np.asarray(initializer(wanted, "float32"))
        else:
            value = np.asarray(initializer)
        if wanted is not None and value.shape != wanted:
            raise ValueError(
                f"Variable {self.path!r} expects a value of shape {wanted}, got {value.shape}."
            )
        self.core = _core.Variable(_as_float32(value, f"Variable {self.path!r}"), self.path)
        self.shape: Shape = value.shape
        self.dtype = "float32"
        self.trainable = trainable
        self.regularizer = regularizer

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def value(self) -> Any:
        """The value: an array, or, while a trace records, the tensor that stands for it."""
        trace = Trace.current()
        return self.numpy() if trace is None else trace.variable(self)

    def numpy(self) -> Array:
        """A copy of the value, float32 of `shape`."""
        return self.core.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        value = self.core.numpy()
        return value if dtype is None else value.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        # NumPy asks here for `array * variable` and for `np.exp(variable)`.
        if any(isinstance(x, Variable) for x in options.get("out", ())):
            return NotImplemented
        values = [x.value if isinstance(x, Variable) else x for x in operands]
        return getattr(ufunc, method)(*values, **options)

    def assign(self, value: Any) -> None:
        """Overwrites the value.

        A tensor, or a variable while a trace records, is assigned at the end of each step of the
        plan, anything else at once.

        Raises:
            ValueError: The shape differs; the value is then unchanged.
        """
        if isinstance(value, Variable):
            value = value.value
        if isinstance(value, Tensor):
            value.trace.assign(self, value)
            return
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ValueError(
                f"Variable {self.path!r} expects a value of shape {self.shape}, got {array.shape}."
            )
        self.core.assign(_as_float32(array, f"Variable {self.path!r}"))

    def assign_add(self, value: Any) -> None:
        """Adds `value`, as `assign` would."""
        self.assign(self.value + value)

    def assign_sub(self, value: Any) -> None:
        """Subtracts `value`, as `assign` would."""
        self.assign(self.value - value)

    def __float__(self) -> float:
        return float(self.numpy())

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


class Tensor(Operators):
    """A value that a plan will compute: the result of an op while a trace records.

    Attributes:
        trace: The trace it belongs to.
        id: Its number in `graph`.
        shape: Plain ints, the batch size included.
        dtype: "float32" or "int32".
        logits: For the result of a softmax or sigmoid, the tensor that went in; else None.
            Cross-entropies compute from it.
        logits_kind: "softmax" or "sigmoid" where `logits` is set; else "".
    """

    __slots__ = ("dtype", "id", "logits", "logits_kind", "shape", "trace")
    __hash__ = object.__hash__

    def __init__(self, trace: Trace, id: int) -> None:
        self.trace = trace
        self.id = id
        self.shape: Shape = tuple(trace.graph.shape(id))
        self.dtype: str = trace.graph.dtype(id)
        self.logits: Tensor | None = None
        self.logits_kind = ""

    @property
    def graph(self) -> _core.Graph:
        return self.trace.graph

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def T(self) -> Any:
        return self._op("transpose", self)

    def __eq__(self, other: object) -> Any:
        return self._op("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return self._op("not_equal", self, other)

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape}, dtype={self.dtype}>"

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        # NumPy asks here for `array * tensor` and for `np.exp(tensor)`.
        from weft import ops

        function = getattr(ops, ufunc.__name__, None)
        if method != "__call__" or options or function is None:
            raise TypeError(f"weft.ops has no counterpart of np.{ufunc.__name__} for tensors.")
        return function(*operands)

    def _no_value(self, what: str) -> TypeError:
        return TypeError(
            f"A symbolic tensor of shape {self.shape} has no value while a model is recorded, so "
            f"it cannot be {what}; use functions of weft.ops (where, sum, ...) instead."
        )

    def __bool__(self) -> bool:
        raise self._no_value("used as a condition")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise self._no_value("turned into an array")

    def __float__(self) -> float:
        raise self._no_value("turned into a number")

    __int__ = __index__ = __float__

    def __iter__(self) -> Iterator[Any]:
        raise self._no_value("iterated over")

    def numpy(self) -> Array:
        raise self._no_value("turned into an array")


class Trace:
    """Records ops into one graph while it is the current trace of its thread.

    Example:
        with Trace(training=True) as trace:
            x = trace.input((32, 784))
            loss = weft.ops.mean(layer(x))
        gradients = trace.gradients(loss, layer.trainable_variables)

    Attributes:
        graph: The native graph.
        training: What layers see as `training` unless they are told otherwise.
        losses: Scalar tensors to add to the loss: regularizers and `add_loss`.
        assigns: (variable, tensor) pairs to write back at the end of a step; see `record_assigns`.
        layers: The names of the layers that are being called, outermost first.
        streams: How many streams of random numbers the graph uses.
    """

    _stack = threading.local()

    def __init__(self, training: bool = False) -> None:
        self.graph = _core.Graph()
        self.training = training
        self.losses: list[Tensor] = []
        self.assigns: list[tuple[Variable, Tensor]] = []
        self.layers: list[str] = []
        self.streams = 0
        # Both hold the variables, so that no id is given to another one meanwhile.
        self._variables: dict[Variable, Tensor] = {}
        self._sources: dict[Variable, Tensor] = {}
        self._scalars: dict[float, Tensor] = {}
        self._regularized: set[Variable] = set()

    @staticmethod
    def current() -> Trace | None:
        """The innermost trace that records on this thread, or None."""
        stack = getattr(Trace._stack, "traces", None)
        return stack[-1] if stack else None

    def __enter__(self) -> Trace:
        if not hasattr(Trace._stack, "traces"):
            Trace._stack.traces = []
        Trace._stack.traces.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        Trace._stack.traces.pop()

    def input(self, shape: Sequence[int], dtype: str = "float32", name: str = "") -> Tensor:
        """A batch that is fed at run time; `shape` includes the batch size."""
        return Tensor(self, self.graph.input(list(shape), dtype, name))

    def variable(self, variable: Variable) -> Tensor:
        """The variable's value, or the one last assigned to it in this trace."""
        tensor = self._variables.get(variable)
        if tensor is None:
            tensor = Tensor(self, self.graph.variable(variable.core))
            self._variables[variable] = self._sources[variable] = tensor
        return tensor

    def constant(self, value: ArrayLike) -> Tensor:
        """A constant: int32 where `value` is an integer array of that type, else float32."""
        array = np.asarray(value)
        if array.ndim == 0 and array.dtype != np.int32:
            number = float(array)
            tensor = self._scalars.get(number)
            if tensor is None or number == 0:  # -0.0 and 0.0 are one key
                tensor = Tensor(self, self.graph.constant(np.asarray(number, np.float32)))
                self._scalars[number] = tensor
            return tensor
        if array.dtype != np.int32:
            array = _as_float32(array, "A constant")
        return Tensor(self, self.graph.constant(np.asarray(array, order="C")))

    def tensor(self, value: Any) -> Tensor:
        """A tensor of this trace from a tensor, variable or array.

        Raises:
            ValueError: The tensor belongs to another trace.
        """
        if isinstance(value, Tensor):
            if value.trace is not self:
                raise ValueError("A tensor was used outside of the trace that recorded it.")
            return value
        if isinstance(value, Variable):
            return self.variable(value)
        return self.constant(value)

    def op(
        self, kind: str, inputs: Sequence[Tensor], attrs: dict[str, Any] | None = None
    ) -> Tensor:
        """Records one op (see `Graph.op`) in the name of the current layer."""
        return Tensor(self, self.effect(kind, inputs, attrs))

    def effect(
        self, kind: str, inputs: Sequence[Tensor], attrs: dict[str, Any] | None = None
    ) -> int:
        """As `op`, for ops that have an effect and no value."""
        return self.graph.op(kind, [x.id for x in inputs], attrs or {}, "/".join(self.layers))

    def results(self, tensor: Tensor) -> list[Tensor]:
        """All results of the op that made `tensor`; only the first of them has a gradient."""
        return [Tensor(self, id) for id in self.graph.results(tensor.id)]

    def next_stream(self) -> int:
        """A number of its own for an op that draws; the same in every trace of a model."""
        self.streams += 1
        return self.streams - 1

    def gradients(
        self, loss: Tensor, variables: Sequence[Variable | Tensor]
    ) -> list[Tensor | None]:
        """Records d loss / d variable for each; None where the loss does not depend on it."""
        ids = self.graph.gradients(loss.id, [self._source(v).id for v in variables])
        return [None if id < 0 else Tensor(self, id) for id in ids]

    def _source(self, variable: Variable | Tensor) -> Tensor:
        if isinstance(variable, Tensor):
            return variable
        self.variable(variable)
        return self._sources[variable]

    def assign(self, variable: Variable, value: Any) -> None:
        """Notes an assignment; from here on, reading the variable gives the new value."""
        tensor = self.tensor(value)
        if tensor.shape != variable.shape:
            raise ValueError(
                f"Variable {variable.path!r} expects a value of shape {variable.shape}, "
                f"got {tensor.shape}."
            )
        self._source(variable)  # records the variable if it has not been read yet
        self.assigns = [pair for pair in self.assigns if pair[0] is not variable]
        self.assigns.append((variable, tensor))
        self._variables[variable] = tensor

    def record_assigns(self) -> None:
        """Records the noted assignments. Ops that may end a step early belong before this."""
        for variable, tensor in self.assigns:
            self.effect("assign", [self._source(variable), tensor])

    def regularize(self, variable: Variable) -> None:
        """Adds the variable's regularizer to `losses`, once however often this is called."""
        if variable.regularizer is None or variable in self._regularized:
            return
        self._regularized.add(variable)
        self.losses.append(self.tensor(variable.regularizer(self.variable(variable))))


def check_shape(shape: Sequence[int] | int, what: str) -> Shape:
    """A shape as a tuple of ints; ValueError for negative or non-integer sizes."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for size in sizes:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 0:
            raise ValueError(f"{what} expects a shape of non-negative integers, got {sizes}.")
    return tuple(int(size) for size in sizes)


def _as_float32(value: Array, what: str) -> Array:
    if value.dtype.kind not in "fiub":
        raise ValueError(f"{what} expects numbers, got an array of dtype {value.dtype}.")
    return np.asarray(value, dtype=np.float32, order="C")
