"""Sequences of different lengths to one array, as `keras.utils` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray[Any, Any]:
    """Pads or cuts sequences to one length.

    Args:
        sequences: N sequences: of numbers, or of equally shaped vectors; words have no place
            in an array of weft's.
        maxlen: The length of all; by default that of the longest.
        dtype: The number type of the result.
        padding: "pre" puts `value` before a shorter sequence, "post" after it.
        truncating: "pre" cuts a longer sequence at its beginning, "post" at its end.
        value: What fills the places that are left.

    Returns:
        A new array (N, maxlen, ...).

    Raises:
        ValueError: `sequences` is not a list of sequences of numbers, their elements differ in
            shape, or `maxlen`, `padding` or `truncating` is none of the above.
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(f"pad_sequences expects {name} 'pre' or 'post', got {choice!r}.")
    rows = [_as_row(sequence, index) for index, sequence in enumerate(_as_list(sequences))]
    if maxlen is None:
        maxlen = max((len(row) for row in rows), default=0)
    elif not isinstance(maxlen, (int, np.integer)) or isinstance(maxlen, bool) or maxlen < 0:
        raise ValueError(f"pad_sequences expects maxlen of at least 0, got {maxlen!r}.")
    elements = {row.shape[1:] for row in rows if len(row)}
    if len(elements) > 1:
        raise ValueError(
            "pad_sequences expects elements of one shape, got "
            f"{' and '.join(map(str, sorted(elements)))}."
        )
    padded = np.full((len(rows), maxlen, *(elements.pop() if elements else ())), value, dtype)
    for place, row in zip(padded, rows, strict=True):
        kept = row[max(0, len(row) - maxlen) :] if truncating == "pre" else row[:maxlen]
        if len(kept):
            place[-len(kept) if padding == "pre" else 0 :][: len(kept)] = kept
    return padded


def _as_list(sequences: Any) -> list[Any]:
    scalar = hasattr(sequences, "__array__") and np.ndim(sequences) == 0
    if scalar or isinstance(sequences, (str, bytes)) or not hasattr(sequences, "__len__"):
        raise ValueError(
            "pad_sequences expects a list of sequences, got an object of type "
            f"{type(sequences).__name__}."
        )
    return list(sequences)


def _as_row(sequence: Any, index: int) -> np.ndarray[Any, Any]:
    try:
        row = np.asarray(sequence)
    except ValueError:
        row = np.asarray(None)
    if row.ndim == 0 or row.dtype.kind not in "biuf":
        raise ValueError(
            "pad_sequences expects sequences of numbers, all of one depth, got "
            f"{type(sequence).__name__} at index {index}."
        )
    return row
