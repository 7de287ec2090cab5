"""Penalties on weights, added to the loss: sums without a factor of 1/2, as in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft import _names, ops


class Regularizer:
    """Maps a weight (or an output) to a scalar. Subclasses define `__call__` with `weft.ops`."""

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Regularizer:
        return cls(**config)


class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x**2).

    Args:
        l1: Factor of the sum of magnitudes, at least 0.
        l2: Factor of the sum of squares, at least 0.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("l1", l1)
        self.l2 = _factor("l2", l2)

    def __call__(self, x: Any) -> Any:
        penalty: Any = 0.0
        if self.l1:
            penalty = self.l1 * ops.sum(ops.abs(x))
        if self.l2:
            penalty = self.l2 * ops.sum(ops.square(x)) + penalty
        return penalty

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum(|x|)."""

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum(x**2)."""

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """`L1L2` with Keras's defaults for this spelling."""
    return L1L2(l1=l1, l2=l2)


def _factor(name: str, value: float | None) -> float:
    factor = 0.0 if value is None else float(value)
    if not 0.0 <= factor < float("inf"):
        raise ValueError(f"A regularizer expects {name} of at least 0, got {value!r}.")
    return factor


l1, l2 = L1, L2

_TABLE: dict[str, Callable[..., Any]] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": l1_l2,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
}


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The regularizer for a name, a config, or a callable; None for None.

    Raises:
        ValueError: The name is unknown, or `identifier` is none of these.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        result: Callable[[Any], Any] = _names.lookup("regularizer", identifier, _TABLE)()
        return result
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if callable(identifier):
        made: Callable[[Any], Any] = identifier() if isinstance(identifier, type) else identifier
        return made
    raise ValueError(f"A regularizer is a name, a config or a callable, got {identifier!r}.")


def serialize(regularizer: Any) -> Any:
    """The config of a Regularizer; None and other callables as they are."""
    return _names.serialize(regularizer) if isinstance(regularizer, Regularizer) else regularizer


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Callable[[Any], Any]:
    """The regularizer of a config that `serialize` gave."""
    result: Callable[[Any], Any] = _names.deserialize("regularizer", config, _TABLE, custom_objects)
    return result


_names.explain_missing(__name__)
