"""Convolution layers that take each channel on its own, with Keras's arguments."""

from __future__ import annotations

from typing import Any, ClassVar

from weft import ops
from weft.layers.base_conv import BaseConv
from weft.layers.checks import PartialShape, positive


class _DepthwiseConv(BaseConv):
    """See DepthwiseConv2D."""

    _kernels: ClassVar[dict[str, str]] = {"kernel": "depthwise"}

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            **kwargs,
        )
        self.depth_multiplier = positive(depth_multiplier, self, "outputs per channel")

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self._add("kernel", (*self.kernel_size, channels, self.depth_multiplier))
        self._add_bias(channels * self.depth_multiplier)
        self.built = True

    def _built_channels(self) -> int:
        return self.kernel.shape[-2]

    def call(self, inputs: Any) -> Any:
        return self.activation(ops.depthwise_conv(inputs, self.kernel, **self._movement()))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        channels = self._channels(input_shape)
        return self._output_shape(input_shape, channels * self.depth_multiplier)

    def get_config(self) -> dict[str, Any]:
        return self._configuration(depth_multiplier=self.depth_multiplier)


class DepthwiseConv1D(_DepthwiseConv):
    """A convolution of each channel of sequences on its own.

    Inputs (N, W, C) give outputs (N, OW, C * depth_multiplier); the kernel has shape
    (KW, C, depth_multiplier). The arguments are those of `DepthwiseConv2D`, with one size in place
    of two.
    """

    _axes = 1


class DepthwiseConv2D(_DepthwiseConv):
    """A convolution of each channel of images on its own.

    Inputs (N, H, W, C) give outputs (N, OH, OW, C * depth_multiplier), those of one channel side by
    side; the kernel has shape (KH, KW, C, depth_multiplier).

    Args:
        kernel_size: The window's (height, width), or one number for both.
        strides, padding: See `Conv2D`.
        depth_multiplier: The number of outputs per channel.
        data_format, dilation_rate, activation, use_bias: See `Conv2D`.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: Of the kernel.
        bias_initializer, bias_regularizer, activity_regularizer, bias_constraint: See `Conv2D`.

    Raises:
        ValueError: An argument cannot be used.
    """


class _SeparableConv(BaseConv):
    """See SeparableConv2D."""

    _kernels: ClassVar[dict[str, str]] = {
        "depthwise_kernel": "depthwise",
        "pointwise_kernel": "pointwise",
    }

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            **kwargs,
        )
        self.filters = positive(filters, self, "filters")
        self.depth_multiplier = positive(depth_multiplier, self, "outputs per channel")

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        between = channels * self.depth_multiplier
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self._add("depthwise_kernel", depthwise)
        pointwise = (*(1,) * self._axes, between, self.filters)
        self.pointwise_kernel = self._add("pointwise_kernel", pointwise)
        self._add_bias(self.filters)
        self.built = True

    def _built_channels(self) -> int:
        return self.depthwise_kernel.shape[-2]

    def call(self, inputs: Any) -> Any:
        y = ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, **self._movement()
        )
        return self.activation(y)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._channels(input_shape)
        return self._output_shape(input_shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return self._configuration(filters=self.filters, depth_multiplier=self.depth_multiplier)


class SeparableConv1D(_SeparableConv):
    """A depthwise convolution over sequences, then one of width 1 that mixes its outputs.

    Inputs (N, W, C) give outputs (N, OW, filters). The arguments are those of `SeparableConv2D`,
    with one size in place of two.
    """

    _axes = 1


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution over images, then a 1 x 1 convolution that mixes its outputs.

    Inputs (N, H, W, C) give outputs (N, OH, OW, filters). The kernels have shapes
    (KH, KW, C, depth_multiplier) and (1, 1, C * depth_multiplier, filters).

    Args:
        filters: The number of output channels.
        kernel_size: The window's (height, width), or one number for both.
        strides, padding, data_format, dilation_rate: Of the first convolution; see `Conv2D`.
        depth_multiplier: The number of outputs per channel of the first convolution.
        activation, use_bias: See `Conv2D`.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: Of the first kernel.
        pointwise_initializer, pointwise_regularizer, pointwise_constraint: Of the second.
        bias_initializer, bias_regularizer, activity_regularizer, bias_constraint: See `Conv2D`.

    Raises:
        ValueError: An argument cannot be used.
    """


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
