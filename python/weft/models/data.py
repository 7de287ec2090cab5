"""Checks and conversions of what users pass as x, y and weights; nothing is copied needlessly.

Arrays keep their own number type: the core converts each batch while it gathers it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weft import _core, losses
from weft.graph import Array, Shape

# Types that the core gathers; others are converted first.
_GATHERED = frozenset("fdBbHhIiLlQq")
_KINDS = frozenset("fiub")


class Data(NamedTuple):
    """Samples that have been checked: equal lengths, C order, numbers only."""

    x: Array  # (N, ...)
    y: Array | None  # (N,) or (N, ...)
    weights: Array | None  # (N,)

    @property
    def arrays(self) -> list[Array]:
        """What a plan is fed, in the order in which its inputs are recorded."""
        return [array for array in self if array is not None]

    def rows(self, begin: int, end: int) -> Data:
        """Views of a range of the samples."""
        return Data(*(None if array is None else array[begin:end] for array in self))  # type: ignore[arg-type]


def as_samples(value: Any, method: str, name: str) -> Array:
    """An array of numbers with a batch axis, C-contiguous, of a type that the core gathers.

    Raises:
        ValueError: It is missing, ragged, empty, holds something else than numbers, or has no axis.
    """
    if value is None:
        raise ValueError(f"{method} expects {name}, got None.")
    if isinstance(value, Mapping):
        raise ValueError(f"{method} expects {name} to be one array, got a dict.")
    if isinstance(value, (list, tuple)) and len(value) == 1 and np.ndim(value[0]) > 1:
        value = value[0]  # Keras's way to write the inputs of a model that has just one
    _refuse_batches(value, method, name)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{method} expects {name} to be an array of numbers, got a ragged list."
        ) from None
    if array.dtype.kind not in _KINDS:
        what = f"an array of dtype {array.dtype}"
        if array.ndim == 0:
            what = f"an object of type {type(value).__name__}"
        raise ValueError(f"{method} expects {name} to be an array of numbers, got {what}.")
    if array.ndim == 0:
        raise ValueError(f"{method} expects {name} to have a batch axis, got one number.")
    if array.shape[0] == 0 or array.size == 0:
        raise ValueError(
            f"{method} expects at least one sample, got {name} of shape {array.shape}."
        )
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    elif array.dtype.char not in _GATHERED or not array.dtype.isnative:
        # float16, long double, or the other byte order
        array = array.astype(np.float32 if array.dtype.char == "e" else np.float64)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _refuse_batches(value: Any, method: str, name: str) -> None:
    """ValueError for generators and the like, which NumPy might read without an end."""
    if isinstance(value, Sequence) or hasattr(value, "__array__"):
        return
    if hasattr(value, "__array_interface__") or not (
        hasattr(value, "__iter__") or hasattr(value, "__getitem__")
    ):
        return
    single = {"fit": "train_on_batch", "evaluate": "test_on_batch", "predict": "predict_on_batch"}
    fix = f", or call {single[method]} for each batch" if method in single else ""
    raise ValueError(
        f"{method} expects {name} to be an array of numbers, got an object of type "
        f"{type(value).__name__}; collect what it gives into arrays{fix}."
    )


def refuse_several(y: Any, rows: int, method: str) -> None:
    """ValueError if y is a list of arrays that would each do for so many samples."""
    if not isinstance(y, (list, tuple)) or len(y) < 2 or len(y) == rows:
        return
    if all(np.ndim(part) > 0 and len(part) == rows for part in y):
        raise ValueError(
            f"{method} expects y to be one array, because there is one output, "
            f"got a list of {len(y)}."
        )


def check_finite(array: Array, method: str, name: str) -> None:
    """ValueError if floats are among them that are NaN or infinite, with the first such sample."""
    if array.dtype.kind == "f" and not _core.all_finite(array):
        rows = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        raise ValueError(
            f"{method} expects finite numbers in {name}, got NaN or infinity in sample "
            f"{int(np.argmin(rows))}."
        )


def check_x(x: Any, method: str) -> Array:
    """The inputs as `as_samples`, all finite."""
    array = as_samples(x, method, "x")
    check_finite(array, method, "x")
    return array


def fit_shape(x: Array, shape: Sequence[int | None] | None, model: str) -> Array:
    """x with the shape (None, ...) that a model expects; (N,) passes for (N, 1).

    Raises:
        ValueError: The shape is another one; `model` is what the message calls the model.
    """
    if shape is None:
        return x
    if x.ndim == 1 and len(shape) == 2 and shape[1] == 1:
        x = x.reshape(-1, 1)
    if x.ndim != len(shape) or any(
        wanted not in (None, got) for wanted, got in zip(shape[1:], x.shape[1:], strict=True)
    ):
        raise ValueError(
            f"{model} expects inputs of shape {tuple(shape)}, got shape {(None, *x.shape[1:])}"
            f"{_missing_axes(x.shape, tuple(shape[1:]))}."
        )
    return x


def _missing_axes(got: Shape, sample: tuple[int | None, ...]) -> str:
    """How to write x such that it has the batch axis or the channel axis that is missing."""
    if got == sample:
        return "; for one sample write x[None]"
    if (*got[1:], 1) == sample:
        return "; write x[..., None]"
    if (*got, 1) == sample:
        return "; for one sample write x[None, ..., None]"
    return ""


def check_lengths(data: Data, method: str) -> None:
    """ValueError unless x, y and the weights have equally many samples."""
    for name, array in (("y", data.y), ("sample_weight", data.weights)):
        if array is not None and len(array) != len(data.x):
            raise ValueError(
                f"{method} expects x and {name} of equal length, got {len(data.x)} and "
                f"{len(array)} samples."
            )


def check_targets(y: Array, output: Sequence[int | None], loss: Any, method: str) -> Array:
    """y in the form that the loss needs, given the model's output shape (None, ...).

    Returns:
        Class indices as integers of shape (N,) for sparse losses; the model's output shape for
        weft's other losses; y itself for losses that users wrote.

    Raises:
        ValueError: The rank, a size, or a label does not fit, or binary cross-entropy's targets
            are not from 0 to 1.
    """
    check_finite(y, method, "y")
    if is_sparse(loss):
        return _check_labels(y, output, loss, method)
    if not is_builtin(loss):
        return y
    if _is_loss(loss, losses.BinaryCrossentropy, losses.binary_crossentropy):
        _check_probabilities(y, loss)
    wanted = tuple(output[1:])
    got = y.shape[1:]
    if (got == () and wanted == (1,)) or (got[-1:] == (1,) and got[:-1] == wanted):
        return y.reshape(len(y), *(size or 1 for size in wanted))
    if (*got, 1) == wanted:
        return y[..., np.newaxis]
    if len(got) != len(wanted) or any(
        size not in (None, other) for size, other in zip(wanted, got, strict=True)
    ):
        hint = ""
        if len(got) == 0 and "categorical_crossentropy" in loss.name:
            hint = "; for class indices use sparse_categorical_crossentropy"
        raise ValueError(
            f"{loss.name} expects y of shape {(None, *wanted)}, got {(None, *got)}{hint}."
        )
    return y


def _check_labels(y: Array, output: Sequence[int | None], loss: Any, method: str) -> Array:
    if y.ndim == len(output) and y.shape[-1] == 1:
        y = y.reshape(y.shape[:-1])
    wanted = tuple(output[1:-1])
    if y.ndim != len(output) - 1 or any(
        size not in (None, other) for size, other in zip(wanted, y.shape[1:], strict=True)
    ):
        hint = ""
        if y.shape[1:] == tuple(output[1:]):
            hint = "; for one-hot rows use categorical_crossentropy"
        raise ValueError(
            f"{loss.name} expects y of shape {(None, *wanted)} with class indices, "
            f"got {(None, *y.shape[1:])}{hint}."
        )
    if y.dtype.kind == "f":
        whole = y.astype(np.int64)
        if not np.array_equal(whole, y):
            raise ValueError(f"{loss.name} expects class indices in y, got fractions.")
        y = whole
    classes = output[-1] or 0
    labels = y
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None:
        labels = y[y != ignored]
    if labels.size:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"{loss.name} expects labels from 0 to {classes - 1}, "
                f"got labels from {low} to {high}."
            )
    return y


def _check_probabilities(y: Array, loss: Any) -> None:
    # What scaling rounds to just outside the range is let through.
    if y.size and (y.min() < -1e-3 or y.max() > 1 + 1e-3):
        raise ValueError(
            f"{loss.name} expects targets from 0 to 1, got targets from {y.min()} to {y.max()}."
        )


def is_sparse(loss: Any) -> bool:
    """Whether the loss takes class indices."""
    return _is_loss(
        loss, losses.SparseCategoricalCrossentropy, losses.sparse_categorical_crossentropy
    )


def _is_loss(loss: Any, kind: type, function: Any) -> bool:
    return isinstance(loss, kind) or getattr(loss, "fn", None) is function


def is_builtin(thing: Any) -> bool:
    """Whether a loss or metric is one of weft's own, not written by a user."""
    function = getattr(thing, "fn", None) or getattr(thing, "_fn", None)
    owner = type(thing) if function is None else function
    return str(getattr(owner, "__module__", "")).startswith("weft.") and type(
        thing
    ).__module__.startswith("weft.")


def check_weights(weights: Any, method: str) -> Array:
    """Sample weights as float32 of shape (N,).

    Raises:
        ValueError: They have another shape, or are not finite.
    """
    array = as_samples(weights, method, "sample_weight")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise ValueError(
            f"{method} expects sample_weight of shape (None,), got {(None, *array.shape[1:])}."
        )
    check_finite(array, method, "sample_weight")
    return np.asarray(array, np.float32)


def class_weights(y: Array, class_weight: Mapping[int, float], method: str) -> Array:
    """A weight for each sample by its class; classes that are not mentioned weigh 1.

    Args:
        y: Class indices (N,) or (N, 1), or one-hot rows (N, C).
        class_weight: Weights by class index.
        method: For messages.

    Returns:
        float32 of shape (N,).

    Raises:
        ValueError: `class_weight` is no such dict, or y has another rank.
    """
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"{method} expects class_weight to be a dict of class indices and weights, "
            f"got {class_weight!r}."
        )
    if y.ndim > 2:
        raise ValueError(
            f"{method} expects y of shape (None,) or (None, classes) with class_weight, "
            f"got {(None, *y.shape[1:])}."
        )
    classes = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else np.round(y.reshape(-1))
    weights = np.ones(len(y), np.float32)
    for index, weight in class_weight.items():
        valid = isinstance(index, (int, np.integer)) and index >= 0
        valid = valid and isinstance(weight, (int, float, np.number)) and math.isfinite(weight)
        if not valid or weight < 0:
            raise ValueError(
                f"{method} expects class indices and weights of at least 0 in class_weight, "
                f"got {index!r}: {weight!r}."
            )
        weights[classes == index] = weight
    return weights


def split_validation(data: Data, fraction: float) -> tuple[Data, Data]:
    """The first samples for training and the last `fraction` of them for validation.

    Raises:
        ValueError: One of the two would be empty.
    """
    at = math.floor(len(data.x) * (1 - fraction))
    if at == 0 or at == len(data.x):
        raise ValueError(
            f"fit expects more than {len(data.x)} sample{'s' if len(data.x) > 1 else ''} "
            f"for validation_split={fraction}: {'training' if at == 0 else 'validation'} data "
            "would be empty."
        )
    return data.rows(0, at), data.rows(at, len(data.x))


def unpack_validation(validation_data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) from what `fit` takes as validation_data.

    Raises:
        ValueError: It is no tuple of two or three.
    """
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError(
            "fit expects validation_data to be (x, y) or (x, y, sample_weight), "
            f"got {type(validation_data).__name__}."
        )
    return (*validation_data, None)[:3]


def check_integer(value: Any, low: int, method: str, name: str) -> int:
    """`value` as an int of at least `low`.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= low:
        return int(value)
    raise ValueError(f"{method} expects {name} to be an integer of at least {low}, got {value!r}.")
