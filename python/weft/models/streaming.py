"""Data sets too large for a device: chunks of batches, one computed on while the next loads."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np

from weft import _core
from weft.graph import Array

CHUNK_BYTES = 256 << 20


def gathered(arrays: list[Array], order: Array | None, begin: int, end: int) -> list[Array]:
    """Rows `begin` to `end` of a pass, in its order; None is the order they are stored in."""
    if order is None:
        return [array[begin:end] for array in arrays]
    rows = order[begin:end]
    return [np.take(array, rows, axis=0) for array in arrays]


class _Place:
    """Memory of the device for one chunk, and which one is there or on its way."""

    def __init__(self, arrays: list[Array], rows: int, plan: _core.Plan) -> None:
        self.arrays = [_core.DeviceArray.room(array, rows, plan) for array in arrays]
        self.order: Array | None = None
        self.chunk = -1
        self.loading: Future[None] | None = None


def _load(
    held: list[_core.DeviceArray], arrays: list[Array], order: Array | None, begin: int, end: int
) -> None:
    for place, array in zip(held, arrays, strict=True):
        place.gather(array, order, begin, end)


class ChunkedData:
    """A data set whose rows go to a device in chunks.

    There are two places for chunks on the device. While plans read one of them, a helper gathers
    the rows of the next chunk and copies them to the other. Whatever the helper still uses lives
    until it has ended, and it ends with this object.

    Args:
        arrays: The data, (n, ...) each.
        batch: Rows of a step. Chunks have whole batches, but for the last one of a pass.
        plan: One of those that will read the data.

    Attributes:
        rows: Rows of a chunk: `CHUNK_BYTES`, or fewer where two such chunks do not fit.

    Raises:
        MemoryError: Not even two batches fit.
    """

    def __init__(self, arrays: list[Array], batch: int, plan: _core.Plan) -> None:
        """Makes the places."""
        self._arrays = arrays
        self._n_rows = len(arrays[0])
        batch_bytes = sum(array[:1].nbytes for array in arrays) * batch
        steps = min(max(1, CHUNK_BYTES // max(1, batch_bytes)), -(-self._n_rows // batch))
        self._places: list[_Place] = []
        while not self._places:
            self.rows = steps * batch
            try:
                self._places = [_Place(arrays, self.rows, plan) for _ in range(2)]
            except MemoryError:
                if steps == 1:
                    raise
                steps //= 2
        self._helper = ThreadPoolExecutor(1)
        weakref.finalize(self, self._helper.shutdown)  # which waits

    def run(
        self,
        run: Callable[[list[_core.DeviceArray], int, int], int],
        order: Array | None,
        row: int,
        steps: int,
        batch: int,
    ) -> int:
        """Runs steps of a pass.

        Args:
            run: Takes the arrays of a chunk, the first row in it and a number of steps; runs
                these and returns how many were completed.
            order: (n,) rows in the order of the pass, or None.
            row: Where the first step begins in that order: at a multiple of the chunks' batch.
            steps: How many.
            batch: Rows of a step, no more than those of the chunks' batch.

        Returns:
            How many steps were completed.
        """
        done = 0
        try:
            while done < steps:
                chunk, begin = divmod(row + done * batch, self.rows)
                count = min(steps - done, (self.rows - begin) // batch)
                completed = run(self._loaded(order, chunk), begin, count)
                done += completed
                if completed < count:
                    break
        finally:
            if done < steps:
                wait([place.loading for place in self._places if place.loading is not None])
        return done

    def _loaded(self, order: Array | None, chunk: int) -> list[_core.DeviceArray]:
        """The arrays of a chunk; the next one is on its way when this returns."""
        place = self._place_of(order, chunk, self._places[0])
        assert place.loading is not None
        place.loading.result()
        if (chunk + 1) * self.rows < self._n_rows:
            first, second = self._places
            self._place_of(order, chunk + 1, second if place is first else first)
        return place.arrays

    def _place_of(self, order: Array | None, chunk: int, free: _Place) -> _Place:
        """Where a chunk is or will be: if nowhere, the helper loads it to the free place."""
        for place in self._places:
            if place.chunk == chunk and place.order is order:
                return place
        begin, end = chunk * self.rows, min((chunk + 1) * self.rows, self._n_rows)
        free.order, free.chunk = order, chunk
        free.loading = self._helper.submit(_load, free.arrays, self._arrays, order, begin, end)
        return free
