"""Precision, recall and counts of true and false predictions, at one or several thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import ops
from weft.losses.functions import same_shape
from weft.losses.loss import expand_weights
from weft.metrics.metric import Metric, Pair


class _Confusion(Metric):
    """Predictions above a threshold count as positive, targets other than 0 as true.

    Args:
        thresholds: A number or several, from 0 to 1; 0.5 by default.
        top_k: Only the k largest predictions of a sample count as positive (ties included),
            whatever their size unless thresholds are given.
        class_id: Only this class counts.
        name: The name in logs.
        dtype: Must be None or "float32".
    """

    _direction = "up"

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        default = 0.5 if top_k is None else -np.inf
        given = np.atleast_1d(default if thresholds is None else np.asarray(thresholds, float))
        if thresholds is not None and not (given.size and np.all((given >= 0) & (given <= 1))):
            raise ValueError(
                f"Metric {self.name!r} expects thresholds in 0..1, got {thresholds!r}."
            )
        if top_k is not None and top_k < 1:
            raise ValueError(f"Metric {self.name!r} expects a positive top_k, got {top_k!r}.")
        self._given, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds: list[float] = given.tolist()
        self.slots = len(self.thresholds)

    def record(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> list[Pair]:
        try:
            y_true, y_pred = same_shape(y_true, y_pred)
            weights = sample_weight
            if weights is not None:
                shape = ops.shape(y_pred)
                weights = ops.broadcast_to(expand_weights(weights, shape), shape)
        except ValueError as error:
            raise ValueError(f"Metric {self.name!r}: {error}") from None
        rank = len(ops.shape(y_pred))
        if (self.top_k is not None or self.class_id is not None) and rank < 2:
            raise ValueError(
                f"Metric {self.name!r} expects predictions (N, classes), got {rank} axis."
            )
        counted = None if self.top_k is None else _is_top_k(y_pred, self.top_k)
        if self.class_id is not None:
            columns = (Ellipsis, slice(self.class_id, self.class_id + 1))
            y_true, y_pred = ops.getitem(y_true, columns), ops.getitem(y_pred, columns)
            weights = None if weights is None else ops.getitem(weights, columns)
            counted = None if counted is None else ops.getitem(counted, columns)
        actual = ops.cast(ops.not_equal(y_true, 0.0), "float32")
        pairs = []
        for threshold in self.thresholds:
            positive = ops.cast(ops.greater(y_pred, max(threshold, -3e38)), "float32")
            if counted is not None:
                positive = positive * counted
            pairs.append(self._pair(actual, positive, weights))
        return pairs

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        raise NotImplementedError

    def result_from(self, sums: Sequence[tuple[float, float]]) -> Any:
        results = [self._result(total, count) for total, count in sums]
        return results[0] if len(results) == 1 else np.array(results)

    def _result(self, total: float, count: float) -> float:
        return total / count if count else 0.0

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self._given, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


def _is_top_k(scores: Any, k: int) -> Any:
    shape = ops.shape(scores)
    rows = ops.reshape(scores, (-1, shape[-1]))
    n = ops.shape(rows)[0]
    hits = [ops.in_top_k(np.full(n, c, np.int32), rows, k) for c in range(shape[-1])]
    return ops.reshape(ops.stack([ops.cast(h, "float32") for h in hits], axis=1), shape)


class Precision(_Confusion):
    """True positives / all positives: how many of the found ones are right."""

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        return actual, positive if weights is None else positive * weights


class Recall(_Confusion):
    """True positives / all that are true: how many of the right ones are found."""

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        return positive, actual if weights is None else actual * weights


class _Count(_Confusion):
    """A weighted count."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def _result(self, total: float, count: float) -> float:
        return total

    def get_config(self) -> dict[str, Any]:
        return {**Metric.get_config(self), "thresholds": self._given}


class TruePositives(_Count):
    """How many predictions are positive, and rightly so."""

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        return actual * positive, weights


class FalsePositives(_Count):
    """How many predictions are positive, and wrongly so."""

    _direction = "down"

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        return (1.0 - actual) * positive, weights


class TrueNegatives(_Count):
    """How many predictions are negative, and rightly so."""

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        return (1.0 - actual) * (1.0 - positive), weights


class FalseNegatives(_Count):
    """How many predictions are negative, and wrongly so."""

    _direction = "down"

    def _pair(self, actual: Any, positive: Any, weights: Any) -> Pair:
        return actual * (1.0 - positive), weights
