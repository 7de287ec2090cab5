"""Metrics: weighted sums over batches, and the result that follows from them.

A metric is used in two ways. On arrays it keeps its sums itself (`update_state`, `result`,
`reset_state`). In a plan, `record` says what to add up, the plan does, and `result_from` turns the
sums of an epoch into the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from weft import _names, initializers, ops
from weft.graph import Tensor, Variable
from weft.losses.loss import expand_weights

Pair = tuple[Any, Any]  # values and weights (or None), of one shape


class Metric:
    """A metric. Subclasses define `record` and `result_from`.

    Keras's way works too: variables from `add_variable`, changed in `update_state` with
    `assign_add`, and a `result` that reads them.

    Args:
        dtype: Must be None or "float32".
        name: The name in logs; made from the class's name when left out.
    """

    slots = 1  # how many pairs `record` gives
    _direction: str | None = None  # "up" if larger is better, "down" if smaller, where known

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or _names.unique_name(_names.snake_case(type(self).__name__))
        self.dtype = "float32"
        self._variables: list[Variable] = []
        self._sums: list[tuple[float, float]] = []

    def record(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> list[Pair]:
        """What to add up over batches, made with `weft.ops`.

        Args:
            y_true, y_pred: Targets and predictions of a batch (N, ...), tensors or arrays.
            sample_weight: None, or weights (N,) or (N, ...).

        Returns:
            (values, weights or None) pairs; of each, sum(values*weights) and sum(weights) (the
            number of values if None) are accumulated.
        """
        if type(self).update_state is Metric.update_state:
            raise NotImplementedError(
                f"Metric {self.name!r} defines neither record nor update_state."
            )
        try:
            if sample_weight is None:
                self.update_state(y_true, y_pred)
            else:
                self.update_state(y_true, y_pred, sample_weight=sample_weight)
        except TypeError as error:
            raise TypeError(
                f"Metric {self.name!r} cannot be recorded into a plan: {error}"
            ) from error
        return []

    def result_from(self, sums: Sequence[tuple[float, float]]) -> Any:
        """The result from (sum of values*weights, sum of weights) of each pair."""
        return float(np.asarray(self.result()))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of arrays."""
        self._add(self.record(y_true, y_pred, sample_weight))

    def _add(self, pairs: list[Pair]) -> None:
        sums = self._sums or [(0.0, 0.0)] * len(pairs)
        self._sums = []
        for (total, count), (values, weights) in zip(sums, pairs, strict=True):
            if isinstance(values, Tensor):
                raise TypeError(f"Metric {self.name!r} got a tensor; in a plan its record is used.")
            v = np.asarray(values, np.float64)
            w = np.ones_like(v) if weights is None else np.asarray(weights, np.float64)
            self._sums.append((total + float(np.sum(v * w)), count + float(np.sum(w))))

    def result(self) -> Any:
        """The result over all batches since the last reset, 0 if there were none."""
        return self.result_from(self._sums or [(0.0, 0.0)] * self.slots)

    def reset_state(self) -> None:
        """Forgets all batches."""
        self._sums = []
        for variable in self._variables:
            variable.assign(np.zeros(variable.shape))

    reset_states = reset_state  # Keras 2

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch and returns the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def add_variable(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
        **options: Any,
    ) -> Variable:
        """Creates a variable that `update_state` may change and `reset_state` sets to 0.

        Keras 2 put the name first; that works too.
        """
        if isinstance(shape, str):
            shape, name = (), shape
        name = name or f"variable_{len(self._variables)}"
        variable = Variable(
            initializers.get("zeros" if initializer is None else initializer),
            shape,
            trainable=False,
            name=name,
            path=f"{self.name}/{name}",
        )
        self._variables.append(variable)
        return variable

    add_weight = add_variable

    @property
    def variables(self) -> list[Variable]:
        return list(self._variables)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**config)


def mean_pair(values: Any, weights: Any) -> Pair:
    """The pair for a weighted mean over samples of values (N, ...), axes after those of the
    weights (or after the first) being averaged."""
    shape = ops.shape(values)
    values = ops.cast(values, "float32")
    if weights is None or not shape:
        return _average_axes(values, min(len(shape), 1)), None
    weights = ops.cast(weights, "float32")
    rank = len(ops.shape(weights))
    while rank > 1 and ops.shape(weights)[rank - 1] == 1:
        rank -= 1
    values = _average_axes(values, max(rank, 1))
    weights = expand_weights(weights, ops.shape(values))
    return values, ops.broadcast_to(weights, ops.shape(values))


def _average_axes(values: Any, kept: int) -> Any:
    shape = ops.shape(values)
    if all(size == 1 for size in shape[kept:]):
        return ops.reshape(values, shape[:kept])
    return ops.mean(values, axis=list(range(kept, len(shape))))


class _Ratio(Metric):
    """The quotient of the two sums of one pair."""

    def result_from(self, sums: Sequence[tuple[float, float]]) -> Any:
        total, count = sums[0]
        return total / count if count else 0.0


class Mean(_Ratio):
    """The weighted mean of values; `update_state(values, sample_weight)`."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)

    def record(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> list[Pair]:
        raise TypeError(
            f"Metric {self.name!r} takes values, not targets and predictions; "
            f"MeanMetricWrapper makes a metric from a function of these."
        )

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Adds values (N, ...) with weights (N,)."""
        self._add([mean_pair(values, sample_weight)])


class Sum(Mean):
    """The weighted sum of values; `update_state(values, sample_weight)`."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Adds values (N, ...) with weights (N,) or (N, ...)."""
        if sample_weight is not None:
            shape = np.shape(values)
            sample_weight = np.broadcast_to(expand_weights(sample_weight, shape), shape)
        self._add([(np.asarray(values), sample_weight)])

    def result_from(self, sums: Sequence[tuple[float, float]]) -> Any:
        return sums[0][0]


class MeanMetricWrapper(_Ratio):
    """The mean over samples of a function of (y_true, y_pred).

    Args:
        fn: Made of `weft.ops`; gives values (N, ...) or one number per batch.
        name: The name in logs, by default that of `fn`.
        dtype: Must be None or "float32".
        kwargs: Further arguments for `fn`.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(dtype, name or getattr(fn, "__name__", None) or getattr(fn, "name", None))
        self._fn = fn
        self._arguments = kwargs

    def record(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> list[Pair]:
        try:
            values = self._fn(y_true, y_pred, **self._arguments)
        except ValueError as error:
            raise ValueError(f"Metric {self.name!r}: {error}") from None
        return [mean_pair(values, sample_weight)]

    def get_config(self) -> dict[str, Any]:
        own = {"fn": self._fn} if type(self) is MeanMetricWrapper else {}
        return {**super().get_config(), **own, **self._arguments}
