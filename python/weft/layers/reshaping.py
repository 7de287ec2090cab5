"""Layers without weights that pad, crop, enlarge, repeat or reorder their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import ops
from weft.layers.checks import PartialShape, expect_channels_last, integers, sample_shape
from weft.layers.layer import Layer
from weft.ops.conv import sizes_of

Border = tuple[tuple[int, int], ...]  # sizes before and after each spatial axis


class _Spatial(Layer):
    """A layer of inputs (None, ..., channels) with one or two axes in between."""

    _axes = 2

    def _spatial(self, input_shape: PartialShape) -> tuple[int, ...]:
        """The sizes of the axes in between; ValueError for inputs of another rank."""
        if len(input_shape) != self._axes + 2:
            axes = "steps" if self._axes == 1 else "height, width"
            raise ValueError(
                f"{self} expects inputs of shape (None, {axes}, channels), got shape {input_shape}"
            )
        return sample_shape(input_shape[1:-1], self)

    def _sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of those axes in the output."""
        raise NotImplementedError

    def check_input(self, input_shape: PartialShape) -> None:
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        return (input_shape[0], *self._sizes(self._spatial(input_shape)), input_shape[-1])

    def _border(self, value: Any, name: str) -> Border:
        """(before, after) for each axis: from one number, a number for each, or such pairs."""
        if self._axes == 1:
            before, after = sizes_of(value, 2, self, name, least=0)
            return ((before, after),)
        pairs = (value, value) if isinstance(value, (int, np.integer)) else value
        if not isinstance(pairs, (tuple, list)) or len(pairs) != 2:
            raise ValueError(
                f"{self} expects {name} as an integer, a pair of them or a pair of pairs, "
                f"got {value!r}."
            )
        (top, bottom), (left, right) = (sizes_of(pair, 2, self, name, least=0) for pair in pairs)
        return ((top, bottom), (left, right))


class _ZeroPadding(_Spatial):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        expect_channels_last(data_format, self)
        self._borders = self._border(padding, "padding")
        self.padding = self._borders if self._axes == 2 else self._borders[0]

    def _sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n + sum(border) for n, border in zip(sizes, self._borders, strict=True))

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), *self._borders, (0, 0)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding, "data_format": "channels_last"}


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after sequences (N, W, C).

    Args:
        padding: How many: one number, or (before, after).
        data_format: "channels_last" or None.
    """

    _axes = 1


class ZeroPadding2D(_ZeroPadding):
    """A border of zeros around images (N, H, W, C).

    Args:
        padding: Its width: one number, (vertical, horizontal), or ((top, bottom), (left, right)).
        data_format: "channels_last" or None.
    """


class _Cropping(_Spatial):
    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        expect_channels_last(data_format, self)
        self._borders = self._border(cropping, "cropping")
        self.cropping = self._borders if self._axes == 2 else self._borders[0]

    def _sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        left = tuple(n - sum(border) for n, border in zip(sizes, self._borders, strict=True))
        if min(left) < 1:
            raise ValueError(f"{self} with cropping {self.cropping} leaves nothing of size {sizes}")
        return left

    def call(self, inputs: Any) -> Any:
        kept = [
            slice(before, n - after)
            for n, (before, after) in zip(ops.shape(inputs)[1:-1], self._borders, strict=True)
        ]
        return ops.getitem(inputs, (slice(None), *kept))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "cropping": self.cropping}
        return {**config, "data_format": "channels_last"} if self._axes == 2 else config


class Cropping1D(_Cropping):
    """Sequences (N, W, C) without some of their first and last steps.

    Args:
        cropping: How many to leave out: one number, or (before, after).
    """

    _axes = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, **kwargs)


class Cropping2D(_Cropping):
    """Images (N, H, W, C) without a border.

    Args:
        cropping: Its width: one number, (vertical, horizontal), or ((top, bottom), (left, right)).
        data_format: "channels_last" or None.
    """

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


class UpSampling1D(_Spatial):
    """Sequences (N, W, C) with each step `size` times in a row."""

    _axes = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.size,) = sizes_of(size, 1, self, "size")

    def _sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (sizes[0] * self.size,)

    def call(self, inputs: Any) -> Any:
        return ops.repeat(inputs, self.size, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class UpSampling2D(_Spatial):
    """Images (N, H, W, C), enlarged.

    Args:
        size: Factors of height and width, whole numbers, or one for both.
        data_format: "channels_last" or None.
        interpolation: "nearest" repeats pixels; "bilinear" puts each into the middle of its
            square and interpolates; beyond the outermost middles the picture is constant.
    """

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        expect_channels_last(data_format, self)
        self.size = sizes_of(size, 2, self, "size")
        if str(interpolation).lower() not in ("nearest", "bilinear"):
            raise ValueError(
                f"{self} expects interpolation 'nearest' or 'bilinear', got {interpolation!r}."
            )
        self.interpolation = interpolation.lower()

    def _sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (sizes[0] * self.size[0], sizes[1] * self.size[1])

    def call(self, inputs: Any) -> Any:
        enlarged = ops.repeat if self.interpolation == "nearest" else _interpolated
        return enlarged(enlarged(inputs, self.size[0], 1), self.size[1], 2)

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "data_format": "channels_last"}
        return {**super().get_config(), **own, "interpolation": self.interpolation}


def _interpolated(x: Any, factor: int, axis: int) -> Any:
    """`factor` values for each along an axis: between it and its neighbours, linearly."""
    if factor == 1:
        return x
    shape = ops.shape(x)
    size = shape[axis]

    def part(begin: int, end: int) -> Any:
        return ops.getitem(x, (*(slice(None),) * axis, slice(begin, end)))

    previous = following = x
    if size > 1:
        previous = ops.concatenate([part(0, 1), part(0, size - 1)], axis)
        following = ops.concatenate([part(1, size), part(size - 1, size)], axis)
    # Where the new values lie relative to the old one, in units of the old distance.
    place = (np.arange(factor, dtype=np.float32) + 0.5) / factor - 0.5
    weights = [np.maximum(-place, 0), 1 - np.abs(place), np.maximum(place, 0)]
    inner = (1,) * (len(shape) - 1 - axis)
    parts = [
        ops.expand_dims(values, axis + 1) * weight.reshape(factor, *inner)
        for values, weight in zip((previous, x, following), weights, strict=True)
    ]
    return ops.reshape(
        parts[0] + parts[1] + parts[2], (*shape[:axis], size * factor, *shape[axis + 1 :])
    )


class Permute(Layer):
    """Inputs with the axes after the batch in another order.

    Args:
        dims: The axes of the inputs in the order of the outputs; the first one is 1.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = integers(dims, self, "dims")
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self} expects each of the axes 1 to {len(self.dims)} once, got {dims}."
            )

    def check_input(self, input_shape: PartialShape) -> None:
        if len(input_shape) != len(self.dims) + 1:
            raise ValueError(
                f"{self} expects inputs with {len(self.dims)} axes after the batch, "
                f"got shape {input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self.check_input(input_shape)
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Inputs (N, C) repeated to (N, n, C)."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.n,) = sizes_of(n, 1, self, "n")

    def check_input(self, input_shape: PartialShape) -> None:
        if len(input_shape) != 2:
            raise ValueError(
                f"{self} expects inputs of shape (None, features), got shape {input_shape}"
            )

    def call(self, inputs: Any) -> Any:
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, 1)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self.check_input(input_shape)
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
