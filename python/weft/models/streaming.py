"""Data sets too large for a device: they are fed to plans in chunks of many batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from weft.graph import Array

CHUNK_BYTES = 256 << 20


def gathered(arrays: list[Array], order: Array | None, begin: int, end: int) -> list[Array]:
    """Rows `begin` to `end` of a pass, in its order; None is the order they are stored in."""
    if order is None:
        return [array[begin:end] for array in arrays]
    rows = order[begin:end]
    return [np.take(array, rows, axis=0) for array in arrays]


def run_in_chunks(
    run: Callable[[list[Array], Array | None, int, int], int],
    arrays: list[Array],
    order: Array | None,
    row: int,
    steps: int,
    batch: int,
) -> int:
    """Runs steps of a pass; rows of a chunk are gathered while the one before is computed on.

    Args:
        run: Takes arrays, the order of their rows (None), the first row and a number of steps; runs
            these steps and returns how many were completed.
        arrays: The data, (n, ...) each.
        order: (n,) rows in the order of the pass, or None.
        row: Where the first step begins in that order.
        steps: How many.
        batch: Rows of a step.

    Returns:
        How many steps were completed.
    """
    row_bytes = sum(array[:1].nbytes for array in arrays)
    at_once = max(1, CHUNK_BYTES // max(1, row_bytes * batch))
    done = 0
    with ThreadPoolExecutor(1) as helper:

        def chunks() -> Iterator[tuple[list[Array], int]]:
            parts = [(i, min(at_once, steps - i)) for i in range(0, steps, at_once)]
            spans = [(row + i * batch, row + (i + count) * batch) for i, count in parts]
            ahead = helper.submit(gathered, arrays, order, *spans[0])
            for i, (_, count) in enumerate(parts):
                chunk = ahead.result()
                if i + 1 < len(parts):
                    ahead = helper.submit(gathered, arrays, order, *spans[i + 1])
                yield chunk, count

        for chunk, count in chunks():
            completed = run(chunk, None, 0, count)
            done += completed
            if completed < count:
                break
    return done
