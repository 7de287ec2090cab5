// Where a matrix is not zero, one bit an element. Images are mostly background (four pixels in five of MNIST), and a
// product of a dense layer may leave out every step whose x is 0 for all rows of a register tile: fma(0, w, sum) is
// sum, so with finite weights the result keeps its bits.
#pragma once

#include <cstdint>

namespace weft {

// A row of bits holds the columns of one row of x, for dense_forward; a column, the rows of one column, for
// dense_grad_kernel.
constexpr int64_t kRowBits = 64, kColumnBits = 32;

struct FindNonzerosArgs {
  int64_t m, k;
  const float* x;       // (m, k), stride x_stride
  uint64_t* by_row;     // (m, k/64): bit j%64 of word j/64 in row i tells whether x[i][j] != 0
  uint32_t* by_column;  // (m/32, round_up(k, 16)): bit i%32 of word j in row i/32 tells the same; may be null
  int64_t x_stride;
};

}  // namespace weft
