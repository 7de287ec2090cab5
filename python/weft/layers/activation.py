"""Activation functions with weights of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import initializers, ops, regularizers
from weft.layers.checks import PartialShape, sample_shape
from weft.layers.layer import Layer


class PReLU(Layer):
    """x, or alpha * x where x is negative, with a trained alpha. (He et al., 2015)

    Args:
        alpha_initializer: First values of alpha, which has the shape of a sample.
        alpha_regularizer: A penalty on alpha, added to the loss.
        alpha_constraint: Not supported, must be None.
        shared_axes: Axes along which alpha does not vary: [1, 2] for one of each channel of images.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: None = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if alpha_constraint is not None:
            raise ValueError(f"{self} got a constraint, which weft does not support.")
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        if isinstance(shared_axes, (int, np.integer)):
            shared_axes = [int(shared_axes)]
        self.shared_axes = None if shared_axes is None else [int(axis) for axis in shared_axes]

    def build(self, input_shape: PartialShape) -> None:
        shape = list(sample_shape(input_shape[1:], self))
        for axis in self.shared_axes or []:
            if not 1 <= axis <= len(shape):
                raise ValueError(
                    f"{self} expects shared axes from 1 to {len(shape)} for inputs of shape "
                    f"{input_shape}, got {axis}."
                )
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape, self.alpha_initializer, regularizer=self.alpha_regularizer, name="alpha"
        )
        self.built = True

    def check_input(self, input_shape: PartialShape) -> None:
        sizes = self.alpha.shape
        fits = len(input_shape) == len(sizes) + 1 and all(
            size == expected or axis in (self.shared_axes or [])
            for axis, (size, expected) in enumerate(zip(input_shape[1:], sizes, strict=True), 1)
        )
        if not fits:
            raise ValueError(
                f"{self} expects inputs that fit its alpha of shape {sizes}, got shape "
                f"{input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._ensure_built(input_shape)
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "shared_axes": self.shared_axes,
        }
