// Where element i of a broadcast value of up to kMaxRank axes lies in each of its operands.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/types.h"

namespace weft::cuda {

// Sum of index * stride over the axes, for element i in C order.
__device__ __forceinline__ int64_t strided_offset(int64_t i, int rank, const int64_t* shape, const int64_t* stride) {
  int64_t offset = 0;
  for (int axis = rank - 1; axis >= 0; axis--) {
    offset += i % shape[axis] * stride[axis];
    i /= shape[axis];
  }
  return offset;
}

static inline int64_t count_elements(int rank, const int64_t* shape) {
  int64_t count = 1;
  for (int axis = 0; axis < rank; axis++) count *= shape[axis];
  return count;
}

}  // namespace weft::cuda
