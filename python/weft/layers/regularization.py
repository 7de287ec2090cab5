"""Layers that disturb training on purpose, or penalize what they see."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft import ops, regularizers
from weft.layers.checks import PartialShape, checked_seed, expect_channels_last, is_number
from weft.layers.layer import Layer


class _Noise(Layer):
    """Hands its inputs on, except in training, where `disturb` changes them.

    Args:
        seed: Tells two layers apart; without it they are told apart by their order in the model.
            What is drawn also depends on the model's own seed and on the step.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = checked_seed(seed, self)

    def disturb(self, inputs: Any) -> Any:
        """What comes out in training."""
        raise NotImplementedError

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.disturb(inputs) if training else inputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self.check_input(input_shape)
        return input_shape

    @property
    def _stream(self) -> int | None:
        # Layers without a seed count up from 0, those with one keep to the upper half.
        return None if self.seed is None else (1 << 30) + self.seed % (1 << 30)

    def _number(self, name: str, value: Any, most: float) -> float:
        """An argument from 0 to `most`."""
        if not is_number(value) or not 0 <= value <= most:
            limit = "at least 0" if most == math.inf else f"from 0 to {most:g}"
            article = "a rate" if name == "rate" else f"{name} of" if most == math.inf else name
            raise ValueError(f"{self} expects {article} {limit}, got {value!r}.")
        return float(value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


class Dropout(_Noise):
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
        super().__init__(seed, **kwargs)
        if noise_shape is not None:
            raise ValueError(f"{self} got a noise_shape, which weft does not support.")
        self.rate = self._number("rate", rate, 1)

    def disturb(self, inputs: Any) -> Any:
        if self.rate == 0:
            return inputs
        return inputs * 0.0 if self.rate == 1 else self._dropped(inputs)

    def _dropped(self, inputs: Any) -> Any:
        return ops.dropout(inputs, self.rate, self._stream)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


class _SpatialDropout(Dropout):
    _axes = 0

    def __init__(
        self, rate: float, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, None, seed, **kwargs)
        expect_channels_last(data_format, self)

    def check_input(self, input_shape: PartialShape) -> None:
        if len(input_shape) != self._axes + 2:
            raise ValueError(
                f"{self} expects inputs of shape (None, {'steps' if self._axes == 1 else 'height'}"
                f"{', width' * (self._axes - 1)}, channels), got shape {input_shape}"
            )

    def _dropped(self, inputs: Any) -> Any:
        shape = ops.shape(inputs)
        ones = np.ones((shape[0], *[1] * self._axes, shape[-1]), np.float32)
        return inputs * ops.dropout(inputs.trace.constant(ones), self.rate, self._stream)


class SpatialDropout1D(_SpatialDropout):
    """As Dropout, but zeroes whole channels of sequences (N, steps, channels).

    Args:
        rate: From 0 to 1.
        seed: As of Dropout.
    """

    _axes = 1


class SpatialDropout2D(_SpatialDropout):
    """As Dropout, but zeroes whole channels of images (N, height, width, channels).

    Args:
        rate: From 0 to 1.
        seed: As of Dropout.
        data_format: "channels_last" or None.
    """

    _axes = 2


class GaussianNoise(_Noise):
    """In training, adds values from a normal distribution of mean 0.

    Args:
        stddev: Its deviation, at least 0.
        seed: As of Dropout.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.stddev = self._number("stddev", stddev, math.inf)

    def disturb(self, inputs: Any) -> Any:
        if self.stddev == 0:
            return inputs
        return inputs + ops.random_normal(ops.shape(inputs), 0.0, self.stddev, self._stream)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}


class GaussianDropout(_Noise):
    """In training, multiplies with normally distributed values of mean 1.

    Their variance is that of the factors of Dropout: rate / (1 - rate). (Srivastava et al., 2014)

    Args:
        rate: From 0 to below 1.
        seed: As of Dropout.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = self._number("rate", rate, 1)
        if self.rate == 1:
            raise ValueError(f"{self} expects a rate below 1, got {rate!r}.")

    def disturb(self, inputs: Any) -> Any:
        if self.rate == 0:
            return inputs
        deviation = math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * ops.random_normal(ops.shape(inputs), 1.0, deviation, self._stream)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


class ActivityRegularization(Layer):
    """Hands its inputs on and adds a penalty on them to the loss, divided by the batch size.

    Args:
        l1: Factor of the sum of magnitudes, at least 0.
        l2: Factor of the sum of squares, at least 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = float(l1), float(l2)

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "l1": self.l1, "l2": self.l2}
        config.pop("activity_regularizer")
        return config
