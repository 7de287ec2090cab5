"""Losses, as `keras.losses`: classes, functions, and their short names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft import _names
from weft.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine_similarity,
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
from weft.losses.loss import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    FunctionLoss,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
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
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

_NAMES: dict[type[Loss], tuple[str, ...]] = {
    BinaryCrossentropy: ("binary_crossentropy", "bce"),
    CategoricalCrossentropy: ("categorical_crossentropy",),
    CategoricalHinge: ("categorical_hinge",),
    CosineSimilarity: ("cosine_similarity",),
    Hinge: ("hinge",),
    Huber: ("huber", "huber_loss"),
    KLDivergence: ("kl_divergence", "kld", "kullback_leibler_divergence"),
    LogCosh: ("log_cosh", "logcosh"),
    MeanAbsoluteError: ("mean_absolute_error", "mae"),
    MeanAbsolutePercentageError: ("mean_absolute_percentage_error", "mape"),
    MeanSquaredError: ("mean_squared_error", "mse"),
    MeanSquaredLogarithmicError: ("mean_squared_logarithmic_error", "msle"),
    Poisson: ("poisson",),
    SparseCategoricalCrossentropy: ("sparse_categorical_crossentropy",),
    SquaredHinge: ("squared_hinge",),
}
_TABLE: dict[str, type[Loss]] = {
    name: cls
    for cls, names in _NAMES.items()
    for name in (*names, cls.__name__, *(n.upper() for n in names if len(n) <= 4))
}

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh


def get(identifier: str | Loss | Callable[..., Any] | Mapping[str, Any] | None) -> Loss | None:
    """A Loss from a name, a Loss, a class, a function of (y_true, y_pred), or a config.

    Raises:
        ValueError: The name is unknown, or `identifier` is none of these.
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        loss: Loss = _names.lookup("loss", identifier, _TABLE)()
        return loss
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return FunctionLoss(identifier)
    raise ValueError(f"A loss is a name, a Loss or a function, got {identifier!r}.")


def serialize(loss: Loss) -> dict[str, Any]:
    """`{"class_name": ..., "config": {...}}` of a loss."""
    return _names.serialize(loss)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Loss:
    """A loss from what `serialize` gave."""
    loss: Loss = _names.deserialize("loss", config, _TABLE, custom_objects)
    return loss


_names.explain_missing(__name__)
