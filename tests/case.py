"""An op on inputs: what a row of the case table is."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Input(NamedTuple):
    """One input of an op.

    Attributes:
        shape: Its shape.
        kind: "normal", "uniform" (from `low` to `high`), "labels" (int32 from `low` to below
            `high`), "whole" (the same as floats), "distinct" (floats at least 0.005 apart, so that
            a small step does not change which is the largest) or "one_hot".
        low, high: Limits.
        kinks: Points that values keep away from, so that gradients exist.
    """

    shape: tuple[int, ...]
    kind: str = "normal"
    low: float = 0.0
    high: float = 1.0
    kinks: tuple[float, ...] = ()

    def draw(self, rng: np.random.Generator) -> Array:
        """Values, float32 or int32."""
        if self.kind in ("labels", "whole"):
            numbers = rng.integers(int(self.low), int(self.high), self.shape)
            return np.asarray(numbers, np.int32 if self.kind == "labels" else np.float32)
        if self.kind == "distinct":
            order = rng.permutation(int(np.prod(self.shape))).reshape(self.shape)
            return np.asarray((order - order.size // 2) * 0.005, np.float32)
        if self.kind == "one_hot":
            labels = rng.integers(0, self.shape[-1], self.shape[:-1])
            return np.eye(self.shape[-1], dtype=np.float32)[labels]
        if self.kind == "uniform":
            x = rng.uniform(self.low, self.high, self.shape)
        else:
            x = rng.standard_normal(self.shape)
        for kink in self.kinks:
            x = np.where(np.abs(x - kink) < 0.02, kink + 0.05, x)
        return np.asarray(x, np.float32)


class Case(NamedTuple):
    """An op on inputs.

    Attributes:
        op: Its kind, see `_core.Graph.op`.
        inputs: What goes in.
        attrs: Its attributes.
        tolerance: The largest error, relative to the largest magnitude of the result.
        differentiable: The inputs with a gradient to check.
        flops: Useful operations of matrix products, else 0.
    """

    op: str
    inputs: tuple[Input, ...]
    attrs: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    tolerance: float = 1e-6
    differentiable: tuple[int, ...] = (0,)
    flops: int = 0

    @property
    def id(self) -> str:
        shapes = "_".join("x".join(map(str, i.shape)) or "scalar" for i in self.inputs)
        values = "-".join(f"{v}".replace(" ", "") for v in self.attrs.values())
        return f"{self.op}-{values}-{shapes}".replace("--", "-")

    def draw(self) -> list[Array]:
        """The inputs, the same ones in every run."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        return [i.draw(rng) for i in self.inputs]
