"""How often predictions are right. Functions give 1 or 0 for each sample; classes average."""

from __future__ import annotations

from typing import Any

from weft import ops
from weft.losses.functions import same_shape
from weft.metrics.metric import MeanMetricWrapper


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_pred == y_true."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y_pred > threshold is what y_true (0 or 1) says."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.cast(ops.equal(y_true, ops.greater(y_pred, threshold)), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest of y_true and of y_pred (..., C) stand at one place."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.cast(ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)), "float32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest of y_pred (..., C) stands at index y_true, shape (...) or (..., 1)."""
    labels = _labels(y_true, y_pred)
    return ops.cast(ops.equal(labels, ops.argmax(y_pred, -1)), "float32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the class of y_true (one-hot) is among the k largest of y_pred (..., C)."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, -1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where class y_true is among the k largest of y_pred (..., C); ties count as such."""
    labels = _labels(y_true, y_pred)
    shape = ops.shape(y_pred)
    rows = ops.reshape(y_pred, (-1, shape[-1]))
    hits = ops.in_top_k(ops.reshape(labels, (-1,)), rows, k)
    return ops.reshape(ops.cast(hits, "float32"), shape[:-1])


def _labels(y_true: Any, y_pred: Any) -> Any:
    true, pred = ops.shape(y_true), ops.shape(y_pred)
    if len(true) == len(pred) and true[-1] == 1:
        y_true, true = ops.squeeze(y_true, -1), true[:-1]
    if true != pred[:-1]:
        raise ValueError(f"Labels of shape {(None, *pred[1:-1])} were expected, got {true}.")
    return ops.cast(y_true, "int32")


class _Accuracy(MeanMetricWrapper):
    _direction = "up"


class Accuracy(_Accuracy):
    """How often predictions equal targets."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(_Accuracy):
    """How often predictions above (or not above) the threshold agree with targets 1 (or 0)."""

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(_Accuracy):
    """How often the largest prediction is that of the class; targets one-hot."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(_Accuracy):
    """How often the largest prediction is that of the class; targets class indices."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(_Accuracy):
    """How often the class is among the k largest predictions; targets one-hot."""

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(_Accuracy):
    """How often the class is among the k largest predictions; targets class indices."""

    def __init__(
        self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k)


__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
