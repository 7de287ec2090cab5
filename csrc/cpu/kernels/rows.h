// How kernels that work element by element are cut into tiles: the elements of all rows, in units of 16,
// are dealt out evenly. Rows that lie one behind the other count as a single long row; rows with
// physical padding are processed with it, so that no vector is ever partial there.
#pragma once

#include "cpu/kernels/chunk.h"

namespace weft::WEFT_ISA {

// The number of tiles for that much work: one below 5 us (a barrier costs about one), else a few for each
// thread so that they balance.
WEFT_INLINE int tiles_for(double nanoseconds_each, int64_t elements, int threads) {
  const double nanoseconds = nanoseconds_each * static_cast<double>(elements);
  if (threads <= 1 || nanoseconds < 5000) return 1;
  const double pieces = nanoseconds / 2500;
  const int most = 4 * threads;
  return pieces < most ? static_cast<int>(pieces) : most;
}

// (rows, row_size) as it is walked. `padded`: every row may be touched up to a multiple of 16 elements.
struct RowShape {
  int64_t rows, row_size;
  bool padded;
};
WEFT_INLINE RowShape row_shape(int64_t rows, int64_t row_size, int64_t stride_0, int64_t stride_1, int64_t stride_2) {
  const int64_t padded_size = round_up(row_size, kChunk);
  if (stride_0 == stride_1 && stride_0 == stride_2) {
    if (stride_0 == row_size) return {1, rows * row_size, row_size % kChunk == 0};
    if (stride_0 == padded_size) return {1, rows * padded_size, true};
  }
  return {rows, row_size, stride_0 >= padded_size && stride_1 >= padded_size && stride_2 >= padded_size};
}
WEFT_INLINE RowShape row_shape(int64_t rows, int64_t row_size, int64_t stride_0, int64_t stride_1) {
  return row_shape(rows, row_size, stride_0, stride_1, stride_1);
}

// body(row, column, n) for each run of a tile: n elements of one row, from a column that is a multiple of 16;
// n is not a multiple of 16 only at the end of a row that is not padded.
template <class Body>
WEFT_INLINE void for_each_run(RowShape shape, int tile, int n_tiles, Body body) {
  if (shape.row_size <= 0) return;
  const int64_t row_units = (shape.row_size + kChunk - 1) / kChunk;
  const int64_t readable = shape.padded ? row_units * kChunk : shape.row_size;
  const Range units = split(shape.rows * row_units, 1, tile, n_tiles);
  int64_t row = units.begin / row_units, unit = units.begin % row_units;
  for (int64_t left = units.end - units.begin; left > 0; row++, unit = 0) {
    const int64_t taken = left < row_units - unit ? left : row_units - unit;
    const int64_t column = unit * kChunk, end = column + taken * kChunk;
    body(row, column, (end < readable ? end : readable) - column);
    left -= taken;
  }
}

}  // namespace weft::WEFT_ISA
