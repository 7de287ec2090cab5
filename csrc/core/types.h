// Element types, the panel width and row strides: what every part of the core, and every kernel on
// every device, agrees on. Only plain data and static functions: this header is compiled once per
// instruction set, and anything with external linkage in it would be merged across them by the linker.
#pragma once

#include <cstdint>

namespace weft {

// In what matrix products multiply; they always add in float32. kTf32x3 is as exact as float32: three products of TF32.
enum class MatmulPrecision { kFloat32, kTf32, kBfloat16, kTf32x3 };

// Values inside a plan are float32 or int32, places of maxima uint8; the others occur in data that users feed.
enum class DType : uint8_t {
  kFloat32,
  kInt32,
  kUInt8,
  kInt8,
  kUInt16,
  kInt16,
  kUInt32,
  kInt64,
  kUInt64,
  kFloat64,
  kBool,
};

static constexpr int kMaxRank = 6;

// Weights of matrix products live in panels P[N/16][K][16]: 16 output columns side by side.
static constexpr int kPanel = 16;

static constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Floats from one row of a value to the next. Rows are padded to whole panels, so kernels need no
// masks inside the net; what stands in the padding is unspecified and never reaches a real element.
// A stride that is a multiple of 1 KiB would put the rows of a tile into few L1 sets.
static constexpr int64_t row_stride(int64_t row_size) {
  const int64_t padded = round_up(row_size, kPanel);
  return padded % 256 == 0 ? padded + kPanel : padded;
}

// Floats of a (K, N) matrix stored in panels.
static constexpr int64_t panel_size(int64_t k, int64_t n) { return round_up(n, kPanel) * k; }

}  // namespace weft
