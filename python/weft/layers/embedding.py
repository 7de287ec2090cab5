"""Embedding: a trained vector for each of a number of symbols."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import initializers, ops, regularizers
from weft.graph import Array
from weft.layers.checks import PartialShape
from weft.layers.layer import Layer


class Embedding(Layer):
    """Rows of a trained table: ids (N, ...) give outputs (N, ..., output_dim).

    Args:
        input_dim: How many ids there are: they are from 0 to `input_dim - 1`.
        output_dim: The length of a vector.
        embeddings_initializer: First values of the table.
        embeddings_regularizer: A penalty on the table, added to the loss.
        embeddings_constraint: Not supported, must be None.
        mask_zero: Not supported, must be False.
        weights: Keras's way to give the table (input_dim, output_dim), or a list of it.
        input_length: Keras 2's way to say that a sample has this many ids.

    Raises:
        ValueError: An argument cannot be used.
    """

    input_dtype = "int32"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: None = None,
        mask_zero: bool = False,
        weights: Any = None,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        if input_length is not None and "batch_input_shape" not in kwargs:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)
        for name, size in (("input_dim", input_dim), ("output_dim", output_dim)):
            if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
                raise ValueError(f"{self} expects a positive {name}, got {size!r}.")
        if embeddings_constraint is not None:
            raise ValueError(f"{self} got a constraint, which weft does not support.")
        if mask_zero:
            raise ValueError(f"{self} got mask_zero=True, but weft does not support masking.")
        self.input_dim, self.output_dim = int(input_dim), int(output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self._table = weights[0] if isinstance(weights, (list, tuple)) else weights

    def build(self, input_shape: PartialShape) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            name="embeddings",
        )
        if self._table is not None:
            self.embeddings.assign(np.asarray(self._table))
            self._table = None
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.embedding(inputs, self.embeddings)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._ensure_built(input_shape)
        return (*input_shape, self.output_dim)

    def check_values(self, x: Array) -> None:
        """Raises ValueError for ids that the table does not have."""
        if x.size == 0:
            return
        low, high = x.min(), x.max()
        if not (low >= 0 and high < self.input_dim):
            raise ValueError(
                f"{self} expects ids from 0 to {self.input_dim - 1}, got ids from {float(low):g} "
                f"to {float(high):g}."
            )

    def _as_input(self, x: Any) -> Array:
        array = np.asarray(x)
        if array.dtype.kind in "fiub":
            self.check_values(array)  # before int64 becomes int32
        return super()._as_input(array)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
        }
