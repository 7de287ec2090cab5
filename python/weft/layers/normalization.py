"""Layers that shift and scale their inputs to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import initializers, ops, regularizers
from weft.layers.checks import PartialShape, axes_of, is_number, positive_axes, sizes_along
from weft.layers.layer import Layer
from weft.ops.normalization import batch_normalization_with_moments


class _Affine(Layer):
    """A layer that ends in `* gamma + beta`, each of which can be left out."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        constraints: tuple[Any, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not is_number(epsilon) or not epsilon >= 0:
            raise ValueError(f"{self} expects epsilon of at least 0, got {epsilon!r}.")
        if constraints != (None, None):
            raise ValueError(f"{self} got a constraint, which weft does not support.")
        self.epsilon = float(epsilon)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def _add_gamma_and_beta(self, shape: Sequence[int]) -> None:
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, regularizer=self.gamma_regularizer, name="gamma"
            )
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, regularizer=self.beta_regularizer, name="beta"
            )

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._ensure_built(input_shape)
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
        }


class BatchNormalization(_Affine):
    """Normalizes each channel by its statistics over the batch and all axes but the last.

    In training, by the mean and the (biased) variance that the channel has in this batch, which
    also enter moving averages: `moving = moving * momentum + batch * (1 - momentum)`. Otherwise,
    and if `trainable` is False, by the moving averages. (Ioffe and Szegedy, 2015)

    Args:
        axis: The axis of the channels, which must be the last.
        momentum: How much of the moving averages each step keeps, from 0 to 1.
        epsilon: Added to the variance.
        center: Whether to add a trained `beta`.
        scale: Whether to multiply with a trained `gamma`.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer:
            First values of the weights.
        beta_regularizer, gamma_regularizer: Penalties on the weights, added to the loss.
        beta_constraint, gamma_constraint: Not supported, must be None.
        synchronized: Not supported, must be False.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: None = None,
        gamma_constraint: None = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            (beta_constraint, gamma_constraint),
            **kwargs,
        )
        if synchronized:
            raise ValueError(f"{self} got synchronized=True, which weft does not support.")
        if not is_number(momentum) or not 0 <= momentum <= 1:
            raise ValueError(f"{self} expects a momentum from 0 to 1, got {momentum!r}.")
        (self.axis,) = axis if isinstance(axis, (list, tuple)) and len(axis) == 1 else (axis,)
        if not isinstance(self.axis, (int, np.integer)):
            raise ValueError(f"{self} expects the last axis as axis=-1, got axis={axis!r}.")
        self.momentum = float(momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: PartialShape) -> None:
        rank = len(input_shape)
        channels = input_shape[-1]
        if rank < 2 or not channels:
            raise ValueError(
                f"{self} expects inputs of shape (None, ..., channels), got shape {input_shape}"
            )
        if self.axis not in (-1, rank - 1):
            raise ValueError(
                f"{self} normalizes the last axis of inputs of shape {input_shape}, got "
                f"axis={self.axis}; use axis=-1 and channels last."
            )
        self._add_gamma_and_beta((channels,))
        self.moving_mean = self.add_weight(
            (channels,), self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            (channels,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        self.built = True

    def check_input(self, input_shape: PartialShape) -> None:
        channels = self.moving_mean.shape[0]
        if len(input_shape) < 2 or input_shape[-1] != channels:
            raise ValueError(
                f"{self} expects inputs with {channels} channels, got shape {input_shape}"
            )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or not self.trainable:
            return ops.batch_normalization(
                inputs,
                self.moving_mean,
                self.moving_variance,
                -1,
                self.beta,
                self.gamma,
                self.epsilon,
            )
        outputs, mean, variance = batch_normalization_with_moments(
            inputs, self.beta, self.gamma, self.epsilon
        )
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": int(self.axis),
            "momentum": self.momentum,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
        }


class LayerNormalization(_Affine):
    """Normalizes each sample by its own mean and variance over `axis`. (Ba et al., 2016)

    Args:
        axis: One axis or several; `gamma` and `beta` have their sizes.
        epsilon: Added to the variance.
        center: Whether to add a trained `beta`.
        scale: Whether to multiply with a trained `gamma`.
        beta_initializer, gamma_initializer: First values of the weights.
        beta_regularizer, gamma_regularizer: Penalties on the weights, added to the loss.
        beta_constraint, gamma_constraint: Not supported, must be None.
        rms_scaling: Not supported, must be False; `ops.rms_normalization` is what it meant.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: None = None,
        gamma_constraint: None = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            (beta_constraint, gamma_constraint),
            **kwargs,
        )
        if rms_scaling:
            raise ValueError(
                f"{self} got rms_scaling=True, which weft does not support; use "
                "ops.rms_normalization in a layer of your own."
            )
        self.axis = axes_of(axis, self)

    def build(self, input_shape: PartialShape) -> None:
        self._normalized = positive_axes(self.axis, input_shape, self)
        self._add_gamma_and_beta(sizes_along(self._normalized, input_shape, self))
        self._rank = len(input_shape)
        self.built = True

    def check_input(self, input_shape: PartialShape) -> None:
        shape = next((w.shape for w in (self.gamma, self.beta) if w is not None), None)
        sizes = tuple(input_shape[a] for a in self._normalized if a < len(input_shape))
        if len(input_shape) != self._rank or shape not in (None, sizes):
            raise ValueError(
                f"{self} expects inputs of rank {self._rank} with sizes {shape} along axes "
                f"{tuple(self._normalized)}, got shape {input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        return ops.layer_normalization(
            inputs, self.gamma, self.beta, self._normalized, self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        axis = self.axis[0] if len(self.axis) == 1 else list(self.axis)
        return {**super().get_config(), "axis": axis}


class UnitNormalization(Layer):
    """Divides each sample by its Euclidean length over `axis`.

    Args:
        axis: One axis or several.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes_of(axis, self)

    def call(self, inputs: Any) -> Any:
        axes = positive_axes(self.axis, ops.shape(inputs), self)
        squares = ops.sum(ops.square(inputs), axes, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, 1e-24))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        positive_axes(self.axis, input_shape, self)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        axis = self.axis[0] if len(self.axis) == 1 else list(self.axis)
        return {**super().get_config(), "axis": axis}
