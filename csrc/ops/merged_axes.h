// Several arrays of one shape, each with its own strides: axes that are contiguous in all of them are merged before a
// kernel walks them. Plain functions of the host, in the namespace that WEFT_ISA names.
#pragma once

#include "core/types.h"

namespace weft::WEFT_ISA {

// `operands` arrays over `rank` merged axes, outermost first; rank is at least 1.
template <int operands>
struct Strided {
  int rank;
  int64_t shape[kMaxRank];
  int64_t stride[operands][kMaxRank];
};

template <int operands>
static void swap_axes(Strided<operands>& s, int i, int j) {
  const int64_t extent = s.shape[i];
  s.shape[i] = s.shape[j];
  s.shape[j] = extent;
  for (int o = 0; o < operands; o++) {
    const int64_t stride = s.stride[o][i];
    s.stride[o][i] = s.stride[o][j];
    s.stride[o][j] = stride;
  }
}

// Drops axes of extent 1 and merges neighbours.
template <int operands>
static Strided<operands> merge_axes(int rank, const int64_t* shape, const int64_t* const (&stride)[operands]) {
  Strided<operands> s;
  int n = 0;
  for (int axis = 0; axis < rank; axis++) {
    if (shape[axis] == 1) continue;
    bool merges = n > 0;
    for (int o = 0; o < operands && merges; o++) {
      merges = s.stride[o][n - 1] == stride[o][axis] * shape[axis];
    }
    if (!merges) s.shape[n++] = 1;
    s.shape[n - 1] *= shape[axis];
    for (int o = 0; o < operands; o++) s.stride[o][n - 1] = stride[o][axis];
  }
  if (n == 0) {
    s.shape[n++] = 1;
    for (int o = 0; o < operands; o++) s.stride[o][0] = 0;
  }
  s.rank = n;
  return s;
}

// Moves the axis along which the first operand is contiguous to the end, if there is one.
template <int operands>
static bool move_contiguous_last(Strided<operands>& s) {
  for (int axis = 0; axis < s.rank; axis++) {
    if (s.stride[0][axis] != 1) continue;
    swap_axes(s, axis, s.rank - 1);
    return true;
  }
  return false;
}

}  // namespace weft::WEFT_ISA
