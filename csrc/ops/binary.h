// Elementwise functions of two or three arguments with NumPy broadcasting.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

enum class BinaryFn : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kMaximum,
  kMinimum,
  kPower,
  kFloorDivide,
  kMod,
  // Comparisons and logic give 1.0 or 0.0.
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kLogicalAnd,
  kLogicalOr,
};

// y = fn(a, b) over `shape` (rank axes, outermost first); a stride of 0 repeats that operand.
// Maximum and minimum return NaN if either operand is NaN.
struct BinaryArgs {
  const float* a;
  const float* b;
  float* y;
  int rank;
  int64_t shape[kMaxRank];
  int64_t a_stride[kMaxRank], b_stride[kMaxRank], y_stride[kMaxRank];  // in elements
  BinaryFn fn;
};

// y = condition != 0 ? a : b, broadcast likewise.
struct SelectArgs {
  const float* condition;
  const float* a;
  const float* b;
  float* y;
  int rank;
  int64_t shape[kMaxRank];
  int64_t condition_stride[kMaxRank], a_stride[kMaxRank], b_stride[kMaxRank], y_stride[kMaxRank];
};

}  // namespace weft
