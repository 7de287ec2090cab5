"""Loss objects: a function of targets and predictions, and how its values become one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from weft import _names, ops
from weft.losses import functions

_REDUCTIONS: dict[Any, None] = dict.fromkeys(
    ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")
)


class Loss:
    """A loss. Subclasses define `call(y_true, y_pred)` with `weft.ops`, one value per sample.

    Args:
        name: The name in messages.
        reduction: "sum_over_batch_size" (sum of weighted values / their number; "mean" is the
            same), "sum", "mean_with_sample_weight" (/ the sum of weights), or "none".
        dtype: Must be None or "float32".
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or _names.snake_case(type(self).__name__)
        reduction = "none" if reduction is None else reduction
        if reduction == "auto":  # Keras 2's word for the default
            reduction = "sum_over_batch_size"
        _names.lookup("reduction", reduction, _REDUCTIONS)
        self.reduction = reduction
        self.dtype = "float32"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample (N,), or more axes (N, ...), which the reduction averages over."""
        raise NotImplementedError(f"Loss {self.name!r} does not define call().")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch: a scalar tensor, or a number for arrays (values for "none").

        Args:
            y_true: Targets, as the loss demands.
            y_pred: Predictions (N, ...).
            sample_weight: One weight per sample (N,), or one for each value of `call`.

        Raises:
            ValueError: The shapes do not fit.
        """
        try:
            values = self.call(y_true, y_pred)
        except ValueError as error:
            raise ValueError(f"Loss {self.name!r}: {error}") from None
        return reduce_weighted(values, sample_weight, self.reduction)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**config)


def reduce_weighted(values: Any, weights: Any, reduction: str) -> Any:
    """Values (N, ...) times weights (N,) or (N, ...), reduced as `reduction` says."""
    values = ops.convert_to_tensor(values)
    if weights is not None:
        weights = expand_weights(weights, ops.shape(values))
        values = values * weights
    if reduction == "none" or not ops.shape(values):
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weights is not None:
        weights = ops.broadcast_to(weights, ops.shape(values))
        return ops.divide_no_nan(ops.sum(values), ops.sum(weights))
    return ops.mean(values)


def expand_weights(weights: Any, shape: tuple[int, ...]) -> Any:
    """Weights with axes of size 1 added or removed at the end, so that they fit values of `shape`.

    Raises:
        ValueError: They do not fit.
    """
    given = ops.shape(weights)
    fitted = given
    while len(fitted) > len(shape) and fitted[-1] == 1:
        fitted = fitted[:-1]
    if fitted:
        fitted += (1,) * (len(shape) - len(fitted))
    sizes = zip(fitted, shape, strict=False)
    if len(fitted) > len(shape) or any(w not in (1, n) for w, n in sizes):
        raise ValueError(f"Sample weights for values of shape {shape} were expected, got {given}.")
    return ops.reshape(weights, fitted)


class FunctionLoss(Loss):
    """A loss made of a function of (y_true, y_pred), with fixed further arguments."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._arguments = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self._arguments)

    def get_config(self) -> dict[str, Any]:
        own = {"fn": self.fn} if type(self) is FunctionLoss else {}
        return {**super().get_config(), **own, **self._arguments}


class _OfFunction(FunctionLoss):
    """A loss of one of this module's functions."""

    _function: Callable[..., Any]

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **arguments: Any,
    ) -> None:
        function = type(self)._function
        super().__init__(function, reduction, name or function.__name__, dtype, **arguments)


class _Fixed(_OfFunction):
    """A loss of one of this module's functions, without further arguments."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            names = ", ".join(map(repr, unknown))
            raise TypeError(f"{type(self).__name__} got an unknown argument: {names}.")
        super().__init__(reduction, name, dtype)


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


class LogCosh(_Fixed):
    """mean(log(cosh(y_pred - y_true)))."""

    _function = staticmethod(functions.log_cosh)


class Hinge(_Fixed):
    """mean(max(0, 1 - y_true*y_pred)), targets -1 and 1, or 0 and 1."""

    _function = staticmethod(functions.hinge)


class SquaredHinge(_Fixed):
    """mean(max(0, 1 - y_true*y_pred)**2), targets -1 and 1, or 0 and 1."""

    _function = staticmethod(functions.squared_hinge)


class CategoricalHinge(_Fixed):
    """max(0, 1 + score of the best wrong class - score of the right one), targets one-hot."""

    _function = staticmethod(functions.categorical_hinge)


class KLDivergence(_Fixed):
    """sum(y_true * log(y_true / y_pred))."""

    _function = staticmethod(functions.kl_divergence)


class Poisson(_Fixed):
    """mean(y_pred - y_true*log(y_pred))."""

    _function = staticmethod(functions.poisson)


class Huber(_OfFunction):
    """Squared for errors up to `delta`, linear beyond."""

    _function = staticmethod(functions.huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if not delta > 0:
            raise ValueError(f"Huber expects a positive delta, got {delta!r}.")
        super().__init__(reduction, name or "huber_loss", dtype, delta=float(delta))


class CosineSimilarity(_OfFunction):
    """Minus the cosine of the angle between targets and predictions."""

    _function = staticmethod(functions.cosine_similarity)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis=axis)


class _Smoothed(_OfFunction):
    """See BinaryCrossentropy."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        smoothing = check_smoothing(label_smoothing)
        super().__init__(
            reduction, name, dtype, from_logits=from_logits, label_smoothing=smoothing, axis=axis
        )


class BinaryCrossentropy(_Smoothed):
    """Cross-entropy of yes-or-no predictions, targets 0 and 1.

    Args:
        from_logits: Whether predictions are logits instead of probabilities.
        label_smoothing: From 0 to 1: how far targets move towards 1/2.
        axis: The axis to average over.
        reduction, name, dtype: See `Loss`.
    """

    _function = staticmethod(functions.binary_crossentropy)


class CategoricalCrossentropy(_Smoothed):
    """Cross-entropy over classes, targets one-hot or probabilities (N, ..., C).

    Args:
        from_logits: Whether predictions are logits instead of probabilities.
        label_smoothing: From 0 to 1: how much of the uniform distribution the targets get.
        axis: The axis of the classes.
        reduction, name, dtype: See `Loss`.
    """

    _function = staticmethod(functions.categorical_crossentropy)


class SparseCategoricalCrossentropy(_OfFunction):
    """Cross-entropy over classes, targets class indices (N, ...) or (N, ..., 1).

    Args:
        from_logits: Whether predictions are logits instead of probabilities.
        ignore_class: Not supported, must be None.
        reduction, axis, name, dtype: See `Loss` and `CategoricalCrossentropy`.
    """

    _function = staticmethod(functions.sparse_categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if ignore_class is not None:
            raise ValueError("SparseCategoricalCrossentropy does not support ignore_class in weft.")
        super().__init__(reduction, name, dtype, from_logits=from_logits, axis=axis)


def check_smoothing(label_smoothing: float) -> float:
    """The value as a float; ValueError unless it lies from 0 to 1."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing from 0 to 1 was expected, got {label_smoothing!r}.")
    return float(label_smoothing)
