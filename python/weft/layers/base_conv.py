"""What all convolution layers share."""

from __future__ import annotations

from typing import Any, ClassVar

from weft import activations, initializers, regularizers
from weft.graph import Variable
from weft.layers.checks import PartialShape, expect_channels_last
from weft.layers.layer import Layer
from weft.ops.conv import conv_output_size, sizes_of

_AXES = {1: "steps", 2: "height, width"}


class BaseConv(Layer):
    """A window and how it moves, kernels, a bias and an activation.

    `{prefix}_initializer`, `_regularizer` and `_constraint` of each kernel and of the bias are
    taken from `kwargs`.
    """

    _axes = 2
    _kernels: ClassVar[dict[str, str]] = {"kernel": "kernel"}  # names of weights, their prefixes
    _paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        settings = {
            f"{prefix}_{kind}": kwargs.pop(f"{prefix}_{kind}", default)
            for prefix in self._prefixes()
            for kind, default in (
                ("initializer", "zeros" if prefix == "bias" else "glorot_uniform"),
                ("regularizer", None),
                ("constraint", None),
            )
        }
        super().__init__(**kwargs)
        self.kernel_size = sizes_of(kernel_size, self._axes, self, "kernel_size")
        self.strides = sizes_of(strides, self._axes, self, "strides")
        self.dilation_rate = sizes_of(dilation_rate, self._axes, self, "dilation_rate")
        self.padding = padding.lower() if isinstance(padding, str) else padding
        if self.padding not in self._paddings:
            known = " or ".join(map(repr, self._paddings))
            raise ValueError(f"{self} expects padding {known}, got {padding!r}.")
        self.data_format = expect_channels_last(data_format, self)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{self} cannot have both strides and dilation_rate above 1, "
                f"got {self.strides} and {self.dilation_rate}."
            )
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        for name, value in settings.items():
            if name.endswith("initializer"):
                setattr(self, name, initializers.get(value))
            elif name.endswith("regularizer"):
                setattr(self, name, regularizers.get(value))
            elif value is not None:
                raise ValueError(f"{self} got a {name}, which weft does not support.")
        self.bias: Variable | None = None

    def _prefixes(self) -> tuple[str, ...]:
        return (*self._kernels.values(), "bias")

    def _argument_names(self) -> list[str]:
        kinds = ("initializer", "regularizer")
        settings = [f"{prefix}_{kind}" for prefix in self._prefixes() for kind in kinds]
        return [*super()._argument_names(), *settings]

    def _channels(self, input_shape: PartialShape) -> int:
        """The number of channels; ValueError for a shape that is no batch of images."""
        if len(input_shape) != self._axes + 2 or any(n is None for n in input_shape[1:]):
            raise ValueError(
                f"{self} expects inputs of shape (None, {_AXES[self._axes]}, channels), "
                f"got shape {input_shape}"
            )
        channels = input_shape[-1]
        assert channels is not None
        return channels

    def _output_shape(self, input_shape: PartialShape, channels: int) -> PartialShape:
        """The shape (None, ..., channels) of the output; ValueError where there is none."""
        sizes: list[int] = []
        for i, size in enumerate(input_shape[1:-1]):
            assert size is not None
            window, stride, dilation = self.kernel_size[i], self.strides[i], self.dilation_rate[i]
            sizes.append(conv_output_size(size, window, stride, self.padding, dilation))
        if min(sizes) < 1:
            dilated = f" and dilation {self.dilation_rate}" if max(self.dilation_rate) > 1 else ""
            raise ValueError(
                f"{self} has a kernel of {self.kernel_size}{dilated} that does not fit into inputs "
                f"of shape {input_shape}; use padding='same' or a smaller kernel"
            )
        return (input_shape[0], *sizes, channels)

    def _add(self, name: str, shape: tuple[int, ...]) -> Variable:
        prefix = self._kernels.get(name, name)
        return self.add_weight(
            shape,
            getattr(self, f"{prefix}_initializer"),
            regularizer=getattr(self, f"{prefix}_regularizer"),
            name=name,
        )

    def _add_bias(self, size: int) -> None:
        self.bias = self._add("bias", (size,)) if self.use_bias else None

    def check_input(self, input_shape: PartialShape) -> None:
        channels = self._built_channels()
        if self._channels(input_shape) != channels:
            raise ValueError(
                f"{self} expects inputs with {channels} channels, got shape {input_shape}"
            )
        self.compute_output_shape(input_shape)

    def _built_channels(self) -> int:
        raise NotImplementedError

    def _movement(self) -> dict[str, Any]:
        """Arguments of the functions of weft.ops."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "bias": self.bias,
        }

    def _configuration(self, **own: Any) -> dict[str, Any]:
        config = {
            **super().get_config(),
            **own,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        for prefix in self._prefixes():
            initializer, regularizer = f"{prefix}_initializer", f"{prefix}_regularizer"
            config[initializer] = initializers.serialize(getattr(self, initializer))
            config[regularizer] = regularizers.serialize(getattr(self, regularizer))
        return config
