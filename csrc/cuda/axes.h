// Elementwise walks over arrays with strides of their own. The host merges the axes that it can, so what is left is
// mostly one axis, or two because of padded rows; a thread finds its element's places with cheap divisions.
#pragma once

#include "cuda/divisor.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "ops/merged_axes.h"

namespace weft::cuda {

// n / divisor for any n.
__device__ __forceinline__ int64_t divide(int64_t n, const Divisor& divisor) {
  return n <= INT32_MAX ? divisor.quotient(static_cast<uint32_t>(n)) : n / divisor.divisor;
}

template <int operands>
struct Axes {
  int rank;
  bool narrow;  // 32 bits are enough for the numbers of elements, and for strides
  int64_t count;
  int64_t shape[kMaxRank];
  Divisor divisor[kMaxRank];  // by the extents in shape, if narrow
  int64_t stride[operands][kMaxRank];

  // Where element i, in C order, lies in each operand.
  __device__ __forceinline__ void locate(int64_t i, int64_t (&offset)[operands]) const {
    if (narrow)
      locate_narrow(static_cast<uint32_t>(i), offset);
    else
      locate_wide(i, offset);
  }

 private:
  __device__ __forceinline__ void locate_narrow(uint32_t i, int64_t (&offset)[operands]) const {
#pragma unroll
    for (int o = 0; o < operands; o++) offset[o] = 0;
    for (int axis = rank - 1; axis >= 0; axis--) {
      const uint32_t outer = axis > 0 ? divisor[axis].quotient(i) : 0;
      const int32_t inner = static_cast<int32_t>(i - outer * divisor[axis].divisor);
#pragma unroll
      for (int o = 0; o < operands; o++) offset[o] += int64_t{inner} * static_cast<int32_t>(stride[o][axis]);
      i = outer;
    }
  }
  __device__ void locate_wide(int64_t i, int64_t (&offset)[operands]) const {
    for (int o = 0; o < operands; o++) offset[o] = 0;
    for (int axis = rank - 1; axis >= 0; axis--) {
      for (int o = 0; o < operands; o++) offset[o] += i % shape[axis] * stride[o][axis];
      i /= shape[axis];
    }
  }
};

template <int operands>
Axes<operands> axes_of(const Strided<operands>& s) {
  Axes<operands> axes = {};
  axes.rank = s.rank;
  axes.count = 1;
  for (int axis = 0; axis < s.rank; axis++) axes.count *= axes.shape[axis] = s.shape[axis];
  axes.narrow = axes.count <= INT32_MAX;
  for (int o = 0; o < operands; o++) {
    for (int axis = 0; axis < s.rank; axis++) {
      axes.stride[o][axis] = s.stride[o][axis];
      if (s.stride[o][axis] > INT32_MAX) axes.narrow = false;
    }
  }
  for (int axis = 0; axis < s.rank && axes.narrow && axes.count > 0; axis++) {
    axes.divisor[axis] = divisor_of(s.shape[axis]);
  }
  return axes;
}
template <int operands>
Axes<operands> merged_axes(int rank, const int64_t* shape, const int64_t* const (&stride)[operands]) {
  return axes_of(merge_axes<operands>(rank, shape, stride));
}

// y[...] = value(offsets) for all elements; y is operand 0. A thread computes a few elements, so that their loads are
// under way together, before it stores any.
template <int operands, class Value>
__device__ __forceinline__ void store_each(const Axes<operands>& axes, float* y, Value value) {
  constexpr int kBatch = 4;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t first = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; first < axes.count; first += kBatch * step) {
    float result[kBatch];
    int64_t place[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; j++) {
      const int64_t i = first + j * step;
      if (i >= axes.count) break;
      int64_t offset[operands];
      axes.locate(i, offset);
      place[j] = offset[0];
      result[j] = value(offset);
    }
#pragma unroll
    for (int j = 0; j < kBatch; j++) {
      if (first + j * step < axes.count) y[place[j]] = result[j];
    }
  }
}

}  // namespace weft::cuda
