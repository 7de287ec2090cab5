// Four neighbouring floats of a row at a time: whole vectors where they are aligned, and what there is at a row's end.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/axes.h"

namespace weft::cuda {

__device__ __forceinline__ bool is_vector(const float* p, int64_t n) {
  return n >= 4 && reinterpret_cast<uintptr_t>(p) % sizeof(float4) == 0;
}

// The first n (at least 1) of four floats; the others are 0.
__device__ __forceinline__ float4 load_quad(const float* p, int64_t n) {
  if (is_vector(p, n)) return *reinterpret_cast<const float4*>(p);
  return make_float4(p[0], n > 1 ? p[1] : 0.0f, n > 2 ? p[2] : 0.0f, n > 3 ? p[3] : 0.0f);
}

__device__ __forceinline__ void store_quad(float* p, int64_t n, float4 x) {
  if (is_vector(p, n)) {
    *reinterpret_cast<float4*>(p) = x;
    return;
  }
  p[0] = x.x;
  if (n > 1) p[1] = x.y;
  if (n > 2) p[2] = x.z;
  if (n > 3) p[3] = x.w;
}

// The quads of (rows, row_size), the last of a row perhaps a part of one.
struct QuadGrid {
  int64_t rows, row_size;
  Divisor per_row;

  int64_t count() const { return rows * per_row.divisor; }

  // body(row, column, n): n floats from a column that is a multiple of 4, at least 1; 4 or more if all four are there.
  template <class Body>
  __device__ __forceinline__ void for_each(Body body) const {
    for_each_item(rows * per_row.divisor, [&](int64_t i) {
      const int64_t row = divide(i, per_row), column = (i - row * per_row.divisor) * 4;
      body(row, column, row_size - column);
    });
  }
};
inline QuadGrid quad_grid(int64_t rows, int64_t row_size) {
  return {rows, row_size, divisor_of(row_size > 0 ? ceil_divide(row_size, 4) : 1)};
}

}  // namespace weft::cuda
