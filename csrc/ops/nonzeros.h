// Where a matrix is not zero, one bit an element. Images are mostly background (four pixels in five of MNIST), and relu
// clears about half of what it sees. fma(0, w, sum) is sum, so a product may leave out each term with a 0, and with
// finite weights keeps its bits.
#pragma once

#include <cstdint>

namespace weft {

// Columns of x in a word of row bits, rows in a word of column bits.
constexpr int64_t kRowBits = 64, kColumnBits = 32;

struct FindNonzerosArgs {
  int64_t m, k;
  const float* x;  // (m, k), stride x_stride
  // (ceil(k/64), m), then (ceil(k/64)): bit j%64 of word i in row j/64 tells whether x[i][j] != 0. The words behind
  // these hold, for each 64 columns, how many do.
  uint64_t* row_bits;
  // (ceil(m/32), round_up(k, 16)), then the same counts: bit i%32 of word j in row i/32 tells whether x[i][j] != 0.
  // May be null.
  uint32_t* column_bits;
  int64_t x_stride;
};

}  // namespace weft
