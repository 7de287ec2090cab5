"""Random changes of images, in training only: each step draws anew, nothing is ever stored.

Here: what all such layers share, flips, crops, and changes of values. `warps.py` has those that
resample an image. All of them take images (N, height, width, channels). Their random numbers
depend on the model's seed, the step, the image's place in the batch and the layer alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import ops
from weft.layers.checks import PartialShape, checked_seed, expect_channels_last, is_number
from weft.layers.layer import Layer

Limits = tuple[float, float]


class Augmentation(Layer):
    """A layer that changes images in training, and hands them on otherwise.

    Args:
        seed: Tells two layers apart; without it they are told apart by their order in the model.
    """

    def __init__(
        self, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        expect_channels_last(data_format, self)
        self.seed = checked_seed(seed, self)

    def check_input(self, input_shape: PartialShape) -> None:
        if len(input_shape) != 4:
            raise ValueError(
                f"{self} expects images of shape (None, height, width, channels), got shape "
                f"{input_shape}; a Reshape layer before it can add the missing axes"
            )

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.augment(inputs) if training else inputs

    def augment(self, images: Any) -> Any:
        """The images, changed."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}

    def _stream(self, draw: int = 0) -> int | None:
        """The stream of the layer's `draw`-th random op (0 to 2); without a seed, the next one."""
        # Streams without a seed count up from 0 and keep below 2^30.
        return None if self.seed is None else ((draw + 1) << 30) + self.seed % (1 << 30)

    def _draw(self, images: Any, *limits: Limits) -> list[Any]:
        """For each pair of limits, a number between them for each image: (N, 1), or a constant."""
        shape = (ops.shape(images)[0], len(limits))
        if all(low == high for low, high in limits):
            return [low for low, high in limits]
        numbers = ops.random_uniform(shape, stream=self._stream())
        return [
            low if low == high else ops.affine(numbers[:, i : i + 1], high - low, low)
            for i, (low, high) in enumerate(limits)
        ]

    def _limits(
        self, factor: Any, name: str, least: float, most: float, signed: bool = True
    ) -> Limits:
        """Limits from Keras's forms of a factor: a number stands for (-number, number)."""
        pair = list(factor) if isinstance(factor, (tuple, list)) else [factor]
        numbers = [float(f) for f in pair if is_number(f)]
        if len(numbers) == len(pair) and len(pair) in (1, 2):
            inside = all(least <= f <= most for f in numbers)
            if len(pair) == 1 and inside:
                return (-abs(numbers[0]) if signed else numbers[0], abs(numbers[0]))
            if inside:
                return (min(numbers), max(numbers)) if signed else (numbers[0], numbers[1])
        raise ValueError(
            f"{self} expects {name} to be a number or a pair of numbers from {least} to {most}, "
            f"got {factor!r}."
        )


class RandomFlip(Augmentation):
    """Mirrors each image with probability 1/2.

    Args:
        mode: "horizontal" (left and right change places), "vertical" or
            "horizontal_and_vertical", where one is drawn independently of the other.
        seed: Tells two layers apart.
    """

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(
                f"{self} expects mode 'horizontal', 'vertical' or 'horizontal_and_vertical', "
                f"got {mode!r}."
            )
        self.mode = mode

    def augment(self, images: Any) -> Any:
        _, height, width, _ = ops.shape(images)
        signs: list[Any] = [1.0, 1.0]  # of columns and rows
        for i, (name, number) in enumerate(
            zip(
                ("horizontal", "vertical"),
                self._draw(images, (-0.5, 0.5), (-0.5, 0.5)),
                strict=True,
            )
        ):
            if name in self.mode:
                signs[i] = ops.affine(ops.greater_equal(number, 0.0), 2.0, -1.0)
        map = about_centre((height, width), signs[0], 0.0, 0.0, signs[1])
        return ops.image.affine_transform(images, matrices_of(images, map), "nearest")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class RandomCrop(Augmentation):
    """Cuts a window out of each image, at a place drawn for each; otherwise the middle one.

    Keras shrinks the whole image instead where it does not train; here it is always cut, so what
    is seen has the same size in training and afterwards.

    Args:
        height, width: The size of the window, at most that of the images.
        seed: Tells two layers apart.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(self, height: int, width: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        for size in (height, width):
            if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
                raise ValueError(
                    f"{self} expects a positive height and width, got {height!r} and {width!r}."
                )
        self.height, self.width = int(height), int(width)

    def check_input(self, input_shape: PartialShape) -> None:
        super().check_input(input_shape)
        for size, window in zip(input_shape[1:3], (self.height, self.width), strict=True):
            if size is not None and size < window:
                raise ValueError(
                    f"{self} cuts out {self.height} x {self.width} pixels and expects images of at "
                    f"least that size, got shape {input_shape}"
                )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            return self.augment(inputs)
        _, height, width, _ = ops.shape(inputs)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        return inputs[:, top : top + self.height, left : left + self.width]

    def augment(self, images: Any) -> Any:
        _, height, width, _ = ops.shape(images)
        places = (float(height - self.height + 1), float(width - self.width + 1))
        top, left = self._draw(images, *[(0.0, n) if n > 1 else (0.0, 0.0) for n in places])
        map = (1.0, 0.0, _floor(left), 0.0, 1.0, _floor(top))
        return ops.image.affine_transform(
            images, matrices_of(images, map), "nearest", size=(self.height, self.width)
        )

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self.check_input(input_shape)
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


class _Recolor(Augmentation):
    """A layer that changes values, and keeps them within a range."""

    def __init__(self, value_range: Sequence[float], seed: int | None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        if not isinstance(value_range, (tuple, list, np.ndarray)) or len(value_range) != 2:
            raise ValueError(f"{self} expects a value_range of two numbers, got {value_range!r}.")
        self.value_range = tuple(sorted(float(value) for value in value_range))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": list(self.value_range)}


class RandomContrast(_Recolor):
    """(x - mean) * c + mean, with the mean of each image and channel and a random c.

    Args:
        factor: c is from 1 - lower to 1 + upper, where `factor` is a pair (lower, upper) of
            numbers from 0 to 1, or one number for both.
        value_range: What the result is clipped to.
        seed: Tells two layers apart.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = self._limits(factor, "factor", 0.0, 1.0, signed=False)

    def augment(self, images: Any) -> Any:
        (contrast,) = self._draw(images, (1 - self.factor[0], 1 + self.factor[1]))
        if not isinstance(contrast, float):
            contrast = ops.reshape(contrast, (-1, 1, 1, 1))
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        return ops.clip(images * contrast + mean * (1.0 - contrast), *self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor)}


class RandomBrightness(_Recolor):
    """Adds a random number to all values of an image.

    Args:
        factor: Limits of what is added, from -1 to 1, as a part of `value_range`; a number x
            stands for (-x, x).
        value_range: The darkest and the brightest value; the result is clipped to it.
        seed: Tells two layers apart.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = self._limits(factor, "factor", -1.0, 1.0)

    def augment(self, images: Any) -> Any:
        darkest, brightest = self.value_range
        span = brightest - darkest
        (change,) = self._draw(images, (self.factor[0] * span, self.factor[1] * span))
        if not isinstance(change, float):
            change = ops.reshape(change, (-1, 1, 1, 1))
        return ops.clip(images + change, darkest, brightest)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor)}


# The numbers of a map, (N, 1) or constants.


def _floor(x: Any) -> Any:
    return math.floor(x) if isinstance(x, float) else ops.floor(x)


def about_centre(size: Sequence[int], a0: Any, a1: Any, b0: Any, b1: Any) -> tuple[Any, ...]:
    """The map with this linear part that leaves the middle of an image where it is."""
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    return a0, a1, (1.0 - a0) * x - a1 * y, b0, b1, (1.0 - b1) * y - b0 * x


def matrices_of(images: Any, map: Sequence[Any]) -> Any:
    """a0, a1, a2, b0, b1, b2 of each image, (N, 6)."""
    batch = ops.shape(images)[0]
    if all(isinstance(number, (int, float)) for number in map):
        return ops.broadcast_to(np.asarray(map, np.float32), (batch, 6))
    columns = [
        ops.full((batch, 1), number) if isinstance(number, (int, float)) else number
        for number in map
    ]
    return ops.concatenate(columns, axis=1)
