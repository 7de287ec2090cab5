// Sums, means, extrema and positions of extrema over axes.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

enum class ReduceFn : uint8_t { kSum, kMean, kMax, kMin, kProd };

// y[o...] = reduce over r... of x[o..., r...]. Sums run in fixed chunks with a fixed tree, so the order
// does not depend on tiles or on the width of a vector. Max and min give NaN if any element is NaN.
struct ReduceArgs {
  const float* x;
  float* y;
  int kept_rank, reduced_rank;
  int64_t kept_shape[kMaxRank], kept_x_stride[kMaxRank], kept_y_stride[kMaxRank];
  int64_t reduced_shape[kMaxRank], reduced_x_stride[kMaxRank];
  ReduceFn fn;
};

// y[r] = index of the first largest element of row r (the smallest, with `smallest`).
struct ArgmaxArgs {
  const float* x;  // (rows, row_size), stride x_stride
  int32_t* y;      // (rows)
  int64_t rows, row_size, x_stride;
  bool smallest;
};

}  // namespace weft
