"""Metrics, as `keras.metrics`: classes, functions, and their short names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weft import _names
from weft.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from weft.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from weft.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from weft.metrics.metric import Mean, MeanMetricWrapper, Metric, Sum
from weft.metrics.regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_hinge",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "resolve",
    "resolve_accuracy",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

_CLASSES: tuple[type[Metric], ...] = (
    Accuracy, BinaryAccuracy, BinaryCrossentropy, CategoricalAccuracy, CategoricalCrossentropy,
    CategoricalHinge, CosineSimilarity, FalseNegatives, FalsePositives, Hinge, KLDivergence,
    LogCoshError, Mean, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError, Poisson, Precision, Recall, RootMeanSquaredError,
    SparseCategoricalAccuracy, SparseCategoricalCrossentropy, SparseTopKCategoricalAccuracy,
    SquaredHinge, Sum, TopKCategoricalAccuracy, TrueNegatives, TruePositives,
)  # fmt: skip
_TABLE: dict[str, Callable[..., Metric]] = {
    name: cls for cls in _CLASSES for name in (_names.snake_case(cls.__name__), cls.__name__)
}
_TABLE.update(
    bce=BinaryCrossentropy,
    kld=KLDivergence,
    kl_divergence=KLDivergence,
    logcosh=LogCoshError,
    log_cosh=LogCoshError,
    mae=MeanAbsoluteError,
    mape=MeanAbsolutePercentageError,
    mse=MeanSquaredError,
    msle=MeanSquaredLogarithmicError,
    rmse=RootMeanSquaredError,
)
_TABLE.update({name.upper(): _TABLE[name] for name in ("bce", "kld", "mae", "mape", "mse", "msle")})

_ACCURACIES = (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy)
_CROSSENTROPIES = (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy)
_BY_SHAPE: dict[str, tuple[Callable[..., Metric], ...]] = {
    "acc": _ACCURACIES,
    "accuracy": _ACCURACIES,
    "ce": _CROSSENTROPIES,
    "crossentropy": _CROSSENTROPIES,
}

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error


def get(identifier: Any) -> Metric | None:
    """A Metric from a name, a Metric, a class, a function of (y_true, y_pred), or a config.

    A metric that was asked for by name bears that name. "accuracy" and "crossentropy" depend on
    the shapes of targets and predictions: see `resolve`.

    Raises:
        ValueError: The name is unknown, or `identifier` is none of these.
    """
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        # Names that are resolved by shapes are among those suggested for a misspelt one.
        known = {**dict.fromkeys(_BY_SHAPE, Accuracy), **_TABLE}
        metric: Metric = _names.lookup("metric", identifier, known)()
        metric.name = identifier
        return metric
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    raise ValueError(f"A metric is a name, a Metric or a function, got {identifier!r}.")


def resolve(
    identifier: Any, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> Metric | None:
    """As `get`, with "accuracy" and "crossentropy" chosen by the shapes (None, ...)."""
    if isinstance(identifier, str) and identifier.lower() in _BY_SHAPE:
        return resolve_accuracy(identifier, y_true_shape, y_pred_shape)
    return get(identifier)


def resolve_accuracy(
    name: str, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]
) -> Metric:
    """The metric for "accuracy" or "crossentropy" that fits the shapes; it bears this name.

    It is the binary one for a single output, the sparse one for class indices, and the
    categorical one for one-hot targets.

    Args:
        name: "accuracy", "acc", "crossentropy" or "ce".
        y_true_shape, y_pred_shape: With or without a known batch size.

    Raises:
        ValueError: The name is none of these.
    """
    if name.lower() == "acc":
        warnings.warn("'acc' is Keras 2's name for 'accuracy'", DeprecationWarning, stacklevel=3)
    classes = _names.lookup("metric", name.lower(), _BY_SHAPE)
    metric: Metric = classes[_kind(y_true_shape, y_pred_shape)](name)
    return metric


def _kind(true: Sequence[int | None], pred: Sequence[int | None]) -> int:
    if len(pred) < 2 or pred[-1] == 1:
        return 0  # binary
    return 1 if len(true) < len(pred) or true[-1] == 1 else 2  # sparse, categorical


def serialize(metric: Metric) -> dict[str, Any]:
    """`{"class_name": ..., "config": {...}}` of a metric."""
    return _names.serialize(metric)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Metric:
    """A metric from what `serialize` gave."""
    metric: Metric = _names.deserialize("metric", config, _TABLE, custom_objects)
    return metric


_names.explain_missing(__name__)
