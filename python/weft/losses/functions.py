"""Losses as functions of (y_true, y_pred), one value per sample: means over the last axis.

They have Keras's names, defaults and definitions, and work on tensors and on arrays. Targets must
have the shape of the predictions; a last axis of size 1 may be missing on either side.
"""

from __future__ import annotations

from typing import Any

from weft import ops

_EPSILON = 1e-7


def align(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both arguments with a last axis of size 1 added or removed where their ranks differ by 1."""
    true, pred = ops.shape(y_true), ops.shape(y_pred)
    if len(true) == len(pred) + 1 and true[-1] == 1:
        if len(pred) == 1:
            return y_true, ops.expand_dims(y_pred, -1)
        return ops.squeeze(y_true, -1), y_pred
    if len(pred) == len(true) + 1 and pred[-1] == 1:
        if len(true) == 1:
            return ops.expand_dims(y_true, -1), y_pred
        return y_true, ops.squeeze(y_pred, -1)
    return y_true, y_pred


def same_shape(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """`align`, then ValueError unless the shapes agree; float32."""
    y_true, y_pred = align(y_true, y_pred)
    true, pred = ops.shape(y_true), ops.shape(y_pred)
    if true != pred:
        raise ValueError(
            f"Targets of the predictions' shape {(None, *pred[1:])} were expected, "
            f"got shape {(None, *true[1:])}."
            if true[:1] == pred[:1]
            else f"Targets of the predictions' shape {pred} were expected, got shape {true}."
        )
    return ops.cast(y_true, "float32"), ops.convert_to_tensor(y_pred)


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred)**2)."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|)."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7))."""
    y_true, y_pred = same_shape(y_true, y_pred)
    relative = (y_true - y_pred) / ops.maximum(ops.abs(y_true), _EPSILON)
    return 100.0 * ops.mean(ops.abs(relative), axis=-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(1 + y_true) - log(1 + y_pred))**2), of values of at least 1e-7."""
    y_true, y_pred = same_shape(y_true, y_pred)
    first = ops.log1p(ops.maximum(y_pred, _EPSILON))
    second = ops.log1p(ops.maximum(y_true, _EPSILON))
    return ops.mean(ops.square(first - second), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean of e**2 / 2 where |e| <= delta, else of delta*|e| - delta**2 / 2. (Huber, 1964)"""
    y_true, y_pred = same_shape(y_true, y_pred)
    size = ops.abs(y_pred - y_true)
    # With q = min(|e|, delta) both branches are q*(|e| - q/2), which needs no condition.
    inner = ops.minimum(size, delta)
    return ops.mean(inner * (size - 0.5 * inner), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(y_pred - y_true)))."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.mean(ops.unary("log_cosh", y_pred - y_true), axis=-1)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(0, 1 - y_true*y_pred)), targets -1 and 1 (0 and 1 are converted)."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.mean(ops.relu(1.0 - _signed_labels(y_true) * y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(0, 1 - y_true*y_pred)**2), targets -1 and 1 (0 and 1 are converted)."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.mean(ops.square(ops.relu(1.0 - _signed_labels(y_true) * y_pred)), axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(0, 1 + score of the best wrong class - score of the right one), targets one-hot."""
    y_true, y_pred = same_shape(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.relu(wrong - right + 1.0)


def _signed_labels(y_true: Any) -> Any:
    # Keras converts a batch if all of its labels are 0 or 1.
    binary = ops.min(ops.cast(ops.equal(y_true * (y_true - 1.0), 0.0), "float32"))
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum(y_true * log(y_true / y_pred)), both limited to 1e-7..1."""
    y_true, y_pred = same_shape(y_true, y_pred)
    y_true, y_pred = ops.clip(y_true, _EPSILON, 1.0), ops.clip(y_pred, _EPSILON, 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(y_pred - y_true * log(y_pred + 1e-7))."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + _EPSILON), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-sum(y_true * y_pred) of vectors scaled to length 1: -1 where they point the same way."""
    y_true, y_pred = same_shape(y_true, y_pred)
    return -ops.sum(ops.normalize(y_true, axis) * ops.normalize(y_pred, axis), axis=axis)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum(y_true * log(y_pred)) over the classes, targets one-hot or probabilities.

    Args:
        y_true, y_pred: Shape (..., C).
        from_logits: Whether `y_pred` holds logits. Where it is the result of a softmax its logits
            are used anyway.
        label_smoothing: From 0 to 1: how much of the uniform distribution the targets get.
        axis: The axis of the classes.
    """
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis, label_smoothing)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """-log(y_pred[y_true]), targets class indices of shape (...) or (..., 1)."""
    return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-mean(t*log(p) + (1-t)*log(1-p)), targets 0 and 1.

    `label_smoothing` moves the targets towards 1/2; for the rest see `categorical_crossentropy`.
    """
    logits, kind = getattr(y_pred, "logits", None), getattr(y_pred, "logits_kind", "")
    y_true, y_pred = same_shape(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if logits is not None and kind == "sigmoid" and not from_logits:
        y_pred, from_logits = ops.reshape(logits, ops.shape(y_pred)), True
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)
