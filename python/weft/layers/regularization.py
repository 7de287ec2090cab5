"""Layers that disturb training on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import ops
from weft.layers.checks import PartialShape
from weft.layers.layer import Layer


class Dropout(Layer):
    """In training, zeroes elements with probability `rate` and divides the others by 1 - rate.

    Otherwise it hands its inputs on. (Srivastava et al., 2014)

    Args:
        rate: From 0 to 1.
        noise_shape: Not supported, must be None.
        seed: Tells two layers apart; without it they are told apart by their order in the model.
            The mask also depends on the model's own seed and on the step.
    """

    def __init__(
        self, rate: float, noise_shape: None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)):
            raise ValueError(f"{self} expects a rate from 0 to 1, got {rate!r}.")
        if not 0 <= rate <= 1:
            raise ValueError(f"{self} expects a rate from 0 to 1, got {rate!r}.")
        if noise_shape is not None:
            raise ValueError(f"{self} got a noise_shape, which weft does not support.")
        self.rate = float(rate)
        self.seed = seed

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return inputs * 0.0
        # Layers without a seed count up from 0, those with one keep to the upper half.
        stream = None if self.seed is None else (1 << 30) + self.seed % (1 << 30)
        return ops.dropout(inputs, self.rate, stream)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
