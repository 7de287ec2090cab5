"""Layers that reduce windows of images (N, H, W, C) or sequences (N, T, C), or all of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from weft import ops
from weft.layers.checks import PartialShape, expect_channels_last
from weft.layers.layer import Layer
from weft.ops.conv import conv_output_size, sizes_of

_AXES = {1: "steps", 2: "height, width"}


def _check_images(layer: Any, axes: int, input_shape: PartialShape) -> tuple[int, ...]:
    """The sizes of the shape without the batch; ValueError for one that is no batch of images."""
    sizes = tuple(n for n in input_shape[1:] if n is not None)
    if len(input_shape) != axes + 2 or len(sizes) != axes + 1:
        raise ValueError(
            f"{layer} expects inputs of shape (None, {_AXES[axes]}, channels), "
            f"got shape {input_shape}"
        )
    return sizes


class _Pooling(Layer):
    """See MaxPooling2D."""

    _axes: ClassVar[int] = 2
    _pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = sizes_of(pool_size, self._axes, self, "pool_size")
        self.strides = (
            self.pool_size if strides is None else sizes_of(strides, self._axes, self, "strides")
        )
        self.padding = padding.lower() if isinstance(padding, str) else padding
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{self} expects padding 'valid' or 'same', got {padding!r}.")
        self.data_format = expect_channels_last(data_format, self)

    def check_input(self, input_shape: PartialShape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        return type(self)._pool(inputs, self.pool_size, self.strides, self.padding)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        *sizes, channels = _check_images(self, self._axes, input_shape)
        movement = zip(sizes, self.pool_size, self.strides, strict=True)
        outputs = [conv_output_size(*axis, self.padding) for axis in movement]
        if min(outputs) < 1:
            raise ValueError(
                f"{self} expects inputs of at least {self.pool_size} for its window, "
                f"got shape {input_shape}; use padding='same' or a smaller pool_size"
            )
        return (input_shape[0], *outputs, channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
        }


class MaxPooling1D(_Pooling):
    """The largest element of each window of a sequence.

    Inputs (N, T, C) give outputs (N, OT, C). The arguments are those of `MaxPooling2D`, with one
    size in place of two.
    """

    _axes = 1
    _pool = ops.max_pool


class MaxPooling2D(_Pooling):
    """The largest element of each window of an image, for each channel.

    Inputs (N, H, W, C) give outputs (N, OH, OW, C).

    Args:
        pool_size: The window's (height, width), or one number for both.
        strides: From one window to the next, down and across; `pool_size` by default.
        padding: "valid": windows lie within the image, and what is left over at its end is
            dropped; "same": outputs of ceil(size / stride), where padding does not count.
        data_format: "channels_last" or None.

    Raises:
        ValueError: An argument cannot be used.
    """

    _pool = ops.max_pool


class AveragePooling1D(_Pooling):
    """The mean of each window of a sequence, over what lies within it; see `MaxPooling1D`."""

    _axes = 1
    _pool = ops.average_pool


class AveragePooling2D(_Pooling):
    """The mean of each window of an image, over what lies within it; see `MaxPooling2D`."""

    _pool = ops.average_pool


class _GlobalPooling(Layer):
    """See GlobalMaxPooling2D."""

    _axes: ClassVar[int] = 2
    _reduce: ClassVar[Callable[..., Any]]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = expect_channels_last(data_format, self)
        self.keepdims = bool(keepdims)

    def check_input(self, input_shape: PartialShape) -> None:
        _check_images(self, self._axes, input_shape)

    def call(self, inputs: Any) -> Any:
        axes = tuple(range(1, self._axes + 1))
        return type(self)._reduce(inputs, axis=axes, keepdims=self.keepdims)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        channels = _check_images(self, self._axes, input_shape)[-1]
        kept = (1,) * self._axes if self.keepdims else ()
        return (input_shape[0], *kept, channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest element of a sequence; inputs (N, T, C). See `GlobalMaxPooling2D`."""

    _axes = 1
    _reduce = ops.max


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest element of an image, for each channel.

    Inputs (N, H, W, C) give outputs (N, C), or (N, 1, 1, C) with `keepdims`.

    Args:
        data_format: "channels_last" or None.
        keepdims: Whether axes of size 1 remain.
    """

    _reduce = ops.max


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of a sequence; inputs (N, T, C). See `GlobalMaxPooling2D`."""

    _axes = 1
    _reduce = ops.mean


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of an image, for each channel; see `GlobalMaxPooling2D`."""

    _reduce = ops.mean


MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
