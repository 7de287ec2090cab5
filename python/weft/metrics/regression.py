"""Losses as metrics: their means over all samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from weft import ops
from weft.losses import functions
from weft.losses.loss import check_smoothing
from weft.metrics.metric import MeanMetricWrapper


class _Fixed(MeanMetricWrapper):
    _function: Callable[..., Any]
    _default_name = ""
    _direction = "down"

    def __init__(self, name: str | None = None, dtype: Any = None, **arguments: Any) -> None:
        function = type(self)._function
        name = name or self._default_name or function.__name__
        super().__init__(function, name, dtype, **arguments)


class MeanSquaredError(_Fixed):
    """mean((y_true - y_pred)**2)."""

    _function = staticmethod(functions.mean_squared_error)


class MeanAbsoluteError(_Fixed):
    """mean(|y_true - y_pred|)."""

    _function = staticmethod(functions.mean_absolute_error)


class MeanAbsolutePercentageError(_Fixed):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    _function = staticmethod(functions.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Fixed):
    """mean((log(1 + y_true) - log(1 + y_pred))**2)."""

    _function = staticmethod(functions.mean_squared_logarithmic_error)


def _squared_error(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = functions.same_shape(y_true, y_pred)
    return ops.square(y_pred - y_true)


class RootMeanSquaredError(_Fixed):
    """sqrt(mean((y_true - y_pred)**2)), the mean being over everything."""

    _function = staticmethod(_squared_error)
    _default_name = "root_mean_squared_error"

    def result_from(self, sums: Sequence[tuple[float, float]]) -> Any:
        return math.sqrt(super().result_from(sums))


class LogCoshError(_Fixed):
    """mean(log(cosh(y_pred - y_true)))."""

    _function = staticmethod(functions.log_cosh)
    _default_name = "logcosh"


class Hinge(_Fixed):
    """mean(max(0, 1 - y_true*y_pred))."""

    _function = staticmethod(functions.hinge)


class SquaredHinge(_Fixed):
    """mean(max(0, 1 - y_true*y_pred)**2)."""

    _function = staticmethod(functions.squared_hinge)


class CategoricalHinge(_Fixed):
    """max(0, 1 + score of the best wrong class - score of the right one)."""

    _function = staticmethod(functions.categorical_hinge)


class KLDivergence(_Fixed):
    """sum(y_true * log(y_true / y_pred))."""

    _function = staticmethod(functions.kl_divergence)


class Poisson(_Fixed):
    """mean(y_pred - y_true*log(y_pred))."""

    _function = staticmethod(functions.poisson)


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    return -functions.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(_Fixed):
    """The cosine of the angle between targets and predictions; as a metric, not negated."""

    _function = staticmethod(_cosine)
    _default_name = "cosine_similarity"
    _direction = "up"

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype, axis=axis)


class BinaryCrossentropy(_Fixed):
    """The loss of this name as a metric."""

    _function = staticmethod(functions.binary_crossentropy)

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        smoothing = check_smoothing(label_smoothing)
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=smoothing)


class CategoricalCrossentropy(_Fixed):
    """The loss of this name as a metric."""

    _function = staticmethod(functions.categorical_crossentropy)

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        smoothing = check_smoothing(label_smoothing)
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=smoothing, axis=axis)


class SparseCategoricalCrossentropy(_Fixed):
    """The loss of this name as a metric."""

    _function = staticmethod(functions.sparse_categorical_crossentropy)

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, axis=axis)
