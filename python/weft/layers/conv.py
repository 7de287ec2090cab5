"""Convolution layers over images (N, H, W, C) and sequences (N, W, C), with Keras's arguments."""

from __future__ import annotations

from typing import Any

from weft import ops
from weft.layers.base_conv import BaseConv
from weft.layers.checks import PartialShape, positive
from weft.ops.conv import conv_transpose_size, sizes_of


class _Conv(BaseConv):
    """See Conv2D."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
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
        self.groups = positive(groups, self, "groups")
        if self.filters % self.groups:
            raise ValueError(
                f"{self} expects a number of filters that is divisible by its {groups} groups, "
                f"got {filters}."
            )

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self} expects a number of channels that is divisible by its {self.groups} "
                f"groups, got shape {input_shape}"
            )
        self._output_shape(input_shape, self.filters)
        self.kernel = self._add(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )
        self._add_bias(self.filters)
        self.built = True

    def _built_channels(self) -> int:
        return self.kernel.shape[-2] * self.groups

    def call(self, inputs: Any) -> Any:
        return self.activation(ops.conv(inputs, self.kernel, **self._movement()))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._channels(input_shape)
        return self._output_shape(input_shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return self._configuration(filters=self.filters, groups=self.groups)


class Conv1D(_Conv):
    """activation(convolution(inputs, kernel) + bias) over sequences.

    Inputs (N, W, C) give outputs (N, OW, filters); the kernel has shape (KW, C / groups, filters).
    The arguments are those of `Conv2D`, with one size in place of two. Padding may also be
    "causal": zeros before the sequence only, so that no output depends on later inputs.
    """

    _axes = 1
    _paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """activation(convolution(inputs, kernel) + bias) over images.

    Inputs (N, H, W, C) give outputs (N, OH, OW, filters); the kernel has shape
    (KH, KW, C / groups, filters).

    Args:
        filters: The number of output channels.
        kernel_size: The window's (height, width), or one number for both.
        strides: The window's steps along height and width, or one number for both.
        padding: "valid": the window stays within the image; "same": zeros around it make outputs
            of ceil(size / stride).
        data_format: "channels_last" or None.
        dilation_rate: The distance of the pixels that a window sees. It or strides must be 1.
        groups: How many groups the channels are cut into, each with its share of the filters.
        activation: A name, a function or None for none.
        use_bias: Whether to add a bias.
        kernel_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, bias_regularizer: Penalties on the weights, added to the loss.
        activity_regularizer: A penalty on the outputs.
        kernel_constraint, bias_constraint: Not supported, must be None.

    Raises:
        ValueError: An argument cannot be used.
    """


class _ConvTranspose(BaseConv):
    """See Conv2DTranspose."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
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
        self.filters = positive(filters, self, "filters")
        self.output_padding: tuple[int, ...] | None = None
        if output_padding is not None:
            self.output_padding = sizes_of(
                output_padding, self._axes, self, "output_padding", least=0
            )
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{self} expects output_padding below its strides {self.strides}, "
                    f"got {output_padding}."
                )

    def build(self, input_shape: PartialShape) -> None:
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels))
        self._add_bias(self.filters)
        self.built = True

    def _built_channels(self) -> int:
        return self.kernel.shape[-1]

    def call(self, inputs: Any) -> Any:
        y = ops.conv_transpose(
            inputs, self.kernel, output_padding=self.output_padding, **self._movement()
        )
        return self.activation(y)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._channels(input_shape)
        sizes: list[int] = []
        for i, size in enumerate(input_shape[1:-1]):
            assert size is not None
            window, stride, dilation = self.kernel_size[i], self.strides[i], self.dilation_rate[i]
            extra = None if self.output_padding is None else self.output_padding[i]
            sizes.append(
                conv_transpose_size(size, window, stride, self.padding, extra, dilation)[0]
            )
        if min(sizes) < 1:
            raise ValueError(f"{self} would have an output without pixels for shape {input_shape}")
        return (input_shape[0], *sizes, self.filters)

    def get_config(self) -> dict[str, Any]:
        extra = self.output_padding
        return self._configuration(
            filters=self.filters, output_padding=None if extra is None else list(extra)
        )


class Conv1DTranspose(_ConvTranspose):
    """The transpose of a convolution over sequences.

    Inputs (N, W, C) give outputs (N, OW, filters); the kernel has shape (KW, filters, C). The
    arguments are those of `Conv2DTranspose`, with one size in place of two.
    """

    _axes = 1


class Conv2DTranspose(_ConvTranspose):
    """The transpose of a convolution, which makes images larger where strides are above 1.

    Inputs (N, H, W, C) give outputs (N, OH, OW, filters); the kernel has shape
    (KH, KW, filters, C). Each input adds a multiple of the kernel to the outputs.

    Args:
        filters: The number of output channels.
        kernel_size: The window's (height, width), or one number for both.
        strides: How far apart the windows of neighbouring inputs lie, or one number for both axes.
        padding: "valid": outputs of (size - 1) * stride + window, at least size * stride;
            "same": outputs of size * stride.
        output_padding: Given, outputs are this much larger than (size - 1) * stride + window
            ("valid") or than (size - 1) * stride + window % 2 ("same"); below strides.
        data_format, dilation_rate, activation, use_bias: See `Conv2D`; further arguments too.

    Raises:
        ValueError: An argument cannot be used.
    """


Convolution1D, Convolution1DTranspose = Conv1D, Conv1DTranspose
Convolution2D, Convolution2DTranspose = Conv2D, Conv2DTranspose
