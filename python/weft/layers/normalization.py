"""Layers that shift and scale their inputs to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import initializers, ops, regularizers
from weft.layers.checks import PartialShape, is_number
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
        self.axis = _axes(self, axis)

    def build(self, input_shape: PartialShape) -> None:
        self._normalized = _positive_axes(self, self.axis, input_shape)
        self._add_gamma_and_beta(_sizes(self, self._normalized, input_shape))
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
        self.axis = _axes(self, axis)

    def call(self, inputs: Any) -> Any:
        axes = _positive_axes(self, self.axis, ops.shape(inputs))
        squares = ops.sum(ops.square(inputs), axes, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, 1e-24))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        _positive_axes(self, self.axis, input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        axis = self.axis[0] if len(self.axis) == 1 else list(self.axis)
        return {**super().get_config(), "axis": axis}


class Normalization(Layer):
    """(inputs - mean) / sqrt(variance), with statistics of the data that are known beforehand.

    They are given, or `adapt(data)` computes them; until then they are 0 and 1.

    Args:
        axis: The axes that have statistics of their own: -1 for each feature, None for one mean
            and variance of everything.
        mean, variance: Numbers, or arrays that broadcast to the sizes of `axis`.
        invert: Whether to do the opposite: inputs * sqrt(variance) + mean.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else _axes(self, axis)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"{self} expects both mean and variance, or neither, got mean={mean!r} and "
                f"variance={variance!r}."
            )
        if np.shape(mean) != np.shape(variance) or np.ndim(mean) > len(self.axis):
            raise ValueError(
                f"{self} expects mean and variance of one shape, with at most {len(self.axis)} "
                f"axes, got shapes {np.shape(mean)} and {np.shape(variance)}."
            )
        self.input_mean, self.input_variance = mean, variance
        self.invert = bool(invert)

    def build(self, input_shape: PartialShape) -> None:
        kept = _positive_axes(self, self.axis, input_shape)
        self._kept_sizes = _sizes(self, kept, input_shape)
        self.mean: Any
        self.variance: Any
        if self.input_mean is None:
            self.mean = self.add_weight(self._kept_sizes, "zeros", trainable=False, name="mean")
            self.variance = self.add_weight(
                self._kept_sizes, "ones", trainable=False, name="variance"
            )
            # Keras keeps such a weight, too: their lists of weights fit each other.
            self.count = self.add_weight((), "zeros", trainable=False, name="count")
        else:
            given = [np.asarray(v, np.float32) for v in (self.input_mean, self.input_variance)]
            try:
                self.mean, self.variance = (np.broadcast_to(v, self._kept_sizes) for v in given)
            except ValueError:
                raise ValueError(
                    f"{self} expects a mean and variance that broadcast to shape "
                    f"{self._kept_sizes} for inputs of shape {input_shape}, got shape "
                    f"{given[0].shape}."
                ) from None
        self.built = True

    def check_input(self, input_shape: PartialShape) -> None:
        kept = _positive_axes(self, self.axis, input_shape)
        if _sizes(self, kept, input_shape) != self._kept_sizes:
            raise ValueError(
                f"{self} expects inputs with sizes {self._kept_sizes} along axes "
                f"{tuple(self.axis)}, got shape {input_shape}"
            )

    def adapt(self, data: Any) -> None:
        """Sets mean and variance to those of the data.

        Args:
            data: An array (N, ...), or an iterable of such batches.

        Raises:
            ValueError: Mean and variance were given, or the shape does not fit.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self} was given its mean and variance and cannot adapt.")
        if not hasattr(data, "shape"):
            data = np.concatenate([np.asarray(batch) for batch in data])
        array = np.asarray(data)
        if array.dtype.kind not in "fiub" or array.size == 0:
            raise ValueError(
                f"{self} adapts to an array of numbers, got an array of {array.dtype} of shape "
                f"{array.shape}."
            )
        shape = (None, *array.shape[1:])
        self._ensure_built(shape)
        self.check_input(shape)
        kept = _positive_axes(self, self.axis, shape)
        reduced = tuple(a for a in range(array.ndim) if a not in kept)
        self.mean.assign(np.mean(array, reduced, np.float64))
        self.variance.assign(np.var(array, reduced, np.float64))

    def call(self, inputs: Any) -> Any:
        rank = len(ops.shape(inputs))
        least = 1e-14  # of the variance: its root stays at Keras's epsilon or above
        if isinstance(self.mean, np.ndarray) and self.mean.ndim == 0:
            # One op, which the loader of a batch takes over.
            mean, deviation = float(self.mean), max(float(self.variance), least) ** 0.5
            if self.invert:
                return ops.affine(inputs, deviation, mean)
            return ops.affine(inputs, 1.0 / deviation, -mean / deviation)
        kept = _positive_axes(self, self.axis, ops.shape(inputs))
        if kept == [rank - 1] and rank > 1 and not self.invert:
            variance = ops.maximum(self.variance, least)
            return ops.batch_normalization(inputs, self.mean, variance, -1, epsilon=0.0)
        along = tuple(n if i in kept else 1 for i, n in enumerate(ops.shape(inputs)))
        mean = ops.reshape(self.mean, along)
        deviation = ops.sqrt(ops.maximum(ops.reshape(self.variance, along), least))
        return inputs * deviation + mean if self.invert else (inputs - mean) / deviation

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": list(self.axis) or None,
            "mean": None if self.input_mean is None else np.asarray(self.input_mean).tolist(),
            "variance": (
                None if self.input_variance is None else np.asarray(self.input_variance).tolist()
            ),
            "invert": self.invert,
        }


def _axes(layer: Layer, axis: int | Sequence[int]) -> tuple[int, ...]:
    given = axis if isinstance(axis, (list, tuple)) else (axis,)
    if not given or not all(isinstance(a, (int, np.integer)) for a in given):
        raise ValueError(f"{layer} expects axis as an integer or several, got {axis!r}.")
    return tuple(int(a) for a in given)


def _positive_axes(layer: Layer, axes: Sequence[int], shape: Sequence[int | None]) -> list[int]:
    rank = len(shape)
    if any(not -rank <= a < rank for a in axes):
        raise ValueError(
            f"{layer} has axis={list(axes)}, which inputs of shape {(None, *shape[1:])} lack"
        )
    return sorted({a % rank for a in axes})


def _sizes(layer: Layer, axes: Sequence[int], shape: PartialShape) -> tuple[int, ...]:
    sizes = tuple(shape[a] for a in axes)
    if any(not size for size in sizes):
        raise ValueError(f"{layer} expects known sizes along axes {list(axes)}, got shape {shape}")
    return tuple(int(size) for size in sizes if size)
