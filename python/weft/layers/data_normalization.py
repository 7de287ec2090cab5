"""Normalization by statistics of the data, which are known before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import ops
from weft.layers.checks import PartialShape, axes_of, positive_axes, sizes_along
from weft.layers.layer import Layer


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
        self.axis = () if axis is None else axes_of(axis, self)
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
        kept = positive_axes(self.axis, input_shape, self)
        self._kept_sizes = sizes_along(kept, input_shape, self)
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
        kept = positive_axes(self.axis, input_shape, self)
        if sizes_along(kept, input_shape, self) != self._kept_sizes:
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
        kept = positive_axes(self.axis, shape, self)
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
        kept = positive_axes(self.axis, ops.shape(inputs), self)
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
