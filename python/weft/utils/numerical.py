"""Labels to one-hot rows, and rows to unit length, as `keras.utils` does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Turns class indices into one-hot vectors.

    Args:
        x: Integers from 0 to `num_classes - 1`, of any shape; a last axis of size 1 is dropped,
            so (N,) and (N, 1) give the same.
        num_classes: The length of the vectors; `max(x) + 1` when left out.

    Returns:
        float64 of shape `(*x.shape, num_classes)`: 1 at the class, 0 elsewhere.

    Raises:
        ValueError: `x` holds something else than integers, or one that is out of range, or is
            empty while `num_classes` is left out.
    """
    labels = _as_integers(x)
    shape = labels.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    labels = labels.reshape(-1)
    if num_classes is None:
        if labels.size == 0:
            raise ValueError("to_categorical expects labels or num_classes, got an empty array.")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"to_categorical expects labels from 0 to {num_classes - 1}, "
            f"got labels from {labels.min()} to {labels.max()}."
        )
    one_hot = np.zeros((labels.size, num_classes))
    one_hot[np.arange(labels.size), labels] = 1
    return one_hot.reshape(*shape, num_classes)


def _as_integers(x: ArrayLike) -> np.ndarray[Any, Any]:
    values = np.asarray(x)
    try:
        with np.errstate(invalid="ignore"):  # NaN and inf are told of below
            labels = values.astype(np.int64)
            exact = bool(np.all(labels == values.astype(np.float64)))
    except (TypeError, ValueError):
        exact = False
    if not exact:
        raise ValueError(f"to_categorical expects integer labels, got {values.dtype} values.")
    return labels


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> np.ndarray[Any, Any]:
    """Scales vectors to length 1.

    Args:
        x: Numbers of any shape.
        axis: The axis along which the vectors lie.
        order: Which norm: 2 is Euclid's, 1 the sum of magnitudes, `inf` the largest magnitude.

    Returns:
        A new floating-point array of the same shape; vectors of length 0 stay 0.
    """
    values = np.atleast_1d(np.asarray(x))
    length = np.linalg.norm(values, ord=order, axis=axis, keepdims=True)
    scaled: np.ndarray[Any, Any] = values / np.where(length == 0, 1, length)
    return scaled
