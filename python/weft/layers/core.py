"""Dense, activations as layers, and layers that only change the shape or scale of their inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import activations, initializers, ops, regularizers
from weft.layers.checks import PartialShape, expect_channels_last, integers, positive, sample_shape
from weft.layers.layer import Layer


class InputLayer(Layer):
    """Says what the inputs of a model look like.

    Args:
        shape: The shape of one sample.
        batch_size: The size of every batch, where it is fixed.
        dtype: "float32", or "int32" for indices.
        batch_shape: The batch size or None, then `shape`, instead of these two.
        name: A name that is unique in a model.
    """

    def __init__(
        self,
        shape: Sequence[int] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if shape is None and batch_shape is None:
            shape = kwargs.pop("input_shape", None)
        super().__init__(name=name, **kwargs)
        if batch_shape is not None:
            batch_size, *sizes = batch_shape
            shape = tuple(sizes)  # type: ignore[arg-type]
        if shape is None:
            raise ValueError(f"{self} needs the shape of one sample.")
        self._batch_shape = (batch_size, *sample_shape(shape, self))
        self.input_dtype = "int32" if "int" in str(dtype) else "float32"
        self.built = True

    @property
    def batch_shape(self) -> PartialShape:
        """(batch size or None, ...)."""
        assert self._batch_shape is not None
        return self._batch_shape

    @property
    def shape(self) -> PartialShape:
        return self.batch_shape

    def check_input(self, input_shape: PartialShape) -> None:
        if input_shape[1:] != self.batch_shape[1:]:
            raise ValueError(
                f"{self} expects inputs of shape {(None, *self.batch_shape[1:])}, "
                f"got shape {input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": list(self.batch_shape), "dtype": self.input_dtype, "name": self.name}


def Input(
    shape: Sequence[int] | int | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> InputLayer:
    """The first entry of a Sequential: what one sample looks like. See `InputLayer`."""
    return InputLayer(shape, batch_size, dtype, batch_shape, name)


class Dense(Layer):
    """activation(inputs @ kernel + bias), over the last axis of the inputs.

    Inputs (N, ..., K) give outputs (N, ..., units); the kernel has shape (K, units).

    Args:
        units: The number of outputs, positive.
        activation: A name, a function or None for none.
        use_bias: Whether to add a bias.
        kernel_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, bias_regularizer: Penalties on the weights, added to the loss.
        activity_regularizer: A penalty on the outputs.
        kernel_constraint, bias_constraint: Not supported, must be None.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: None = None,
        bias_constraint: None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if kernel_constraint is not None or bias_constraint is not None:
            raise ValueError(f"{self} got a constraint, which weft does not support.")
        self.units = positive(units, self, "units")
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def build(self, input_shape: PartialShape) -> None:
        features = input_shape[-1]
        if len(input_shape) < 2 or not features:
            raise ValueError(
                f"{self} expects inputs of shape (None, features), got shape {input_shape}"
            )
        self.kernel = self.add_weight(
            (features, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )
        self.built = True

    def check_input(self, input_shape: PartialShape) -> None:
        features = self.kernel.shape[0]
        if len(input_shape) < 2 or input_shape[-1] != features:
            raise ValueError(
                f"{self} expects inputs with {features} features, got shape {input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        return self.activation(ops.dense(inputs, self.kernel, self.bias))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._ensure_built(input_shape)
        self.check_input(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
        }


class _Elementwise(Layer):
    """A layer without weights whose outputs have the shape of its inputs."""

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return input_shape


class Activation(_Elementwise):
    """An activation function as a layer.

    Args:
        activation: A name or a function.
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation: Callable[..., Any] = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(_Elementwise):
    """x above the threshold, at most `max_value`; below `negative_slope * (x - threshold)`.

    Args:
        max_value: The largest output, None for no limit.
        negative_slope: The slope below the threshold, at least 0.
        threshold: At least 0.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float | None = 0.0,
        threshold: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else float(max_value)
        self.negative_slope = float(negative_slope or 0.0)
        self.threshold = float(threshold or 0.0)
        if min(self.max_value or 0.0, self.negative_slope, self.threshold) < 0:
            raise ValueError(
                f"{self} expects max_value, negative_slope and threshold of at least 0, "
                f"got {max_value}, {negative_slope} and {threshold}."
            )

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(_Elementwise):
    """x, or `negative_slope * x` where x is negative.

    Args:
        negative_slope: At least 0. Keras 2 called it `alpha`.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warnings.warn(
                "LeakyReLU(alpha=) is deprecated, use negative_slope=",
                DeprecationWarning,
                stacklevel=2,
            )
        super().__init__(**kwargs)
        if negative_slope is None or not negative_slope >= 0:
            raise ValueError(f"{self} expects a slope of at least 0, got {negative_slope!r}.")
        self.negative_slope = float(negative_slope)

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(_Elementwise):
    """x, or `alpha * (exp(x) - 1)` where x is negative."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(_Elementwise):
    """exp(x) / sum(exp(x)) along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)

    def call(self, inputs: Any) -> Any:
        return activations.softmax(inputs, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class Rescaling(_Elementwise):
    """inputs * scale + offset.

    Args:
        scale, offset: Numbers, or sequences that broadcast to the inputs.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Any) -> Any:
        scale, offset = np.asarray(self.scale), np.asarray(self.offset)
        if scale.ndim == 0 and offset.ndim == 0:  # one op, which the loader of a batch takes over
            return ops.affine(inputs, float(scale), float(offset))
        return inputs * scale + offset

    def get_config(self) -> dict[str, Any]:
        scale, offset = np.asarray(self.scale).tolist(), np.asarray(self.offset).tolist()
        return {**super().get_config(), "scale": scale, "offset": offset}


class Flatten(Layer):
    """Inputs (N, ...) as rows (N, product of the other sizes)."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        expect_channels_last(data_format, self)

    def call(self, inputs: Any) -> Any:
        shape = ops.shape(inputs)
        return ops.reshape(inputs, (shape[0], math.prod(shape[1:])))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (input_shape[0], math.prod(sample_shape(input_shape[1:], self)))


class Reshape(Layer):
    """Inputs (N, ...) as (N, *target_shape).

    Args:
        target_shape: The shape of one sample; one size may be -1.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = integers(target_shape, self, "target_shape")
        if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
            raise ValueError(f"{self} expects positive sizes and at most one -1, got {sizes}.")
        self.target_shape = sizes

    def _sizes(self, input_shape: PartialShape) -> list[int]:
        elements = math.prod(sample_shape(input_shape[1:], self))
        known = math.prod(size for size in self.target_shape if size != -1)
        sizes = [elements // known if size == -1 else size for size in self.target_shape]
        if math.prod(sizes) != elements:
            raise ValueError(
                f"{self} expects inputs that fit {(None, *self.target_shape)}, "
                f"got shape {(None, *input_shape[1:])}"
            )
        return sizes

    def call(self, inputs: Any) -> Any:
        shape = ops.shape(inputs)
        return ops.reshape(inputs, (shape[0], *self._sizes(shape)))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (input_shape[0], *self._sizes(input_shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}
