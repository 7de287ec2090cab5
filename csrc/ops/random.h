// Random values from Philox4x32-10, a function of (seed, stream, step, element) alone.
#pragma once

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"

namespace weft {

enum class RandomFn : uint8_t { kUniform /* a <= y < b */, kNormal /* mean a, deviation b */ };

// Element (row, column) uses the same counter as dropout does. Uniform: the top 24 bits of the word.
// Normal: Box-Muller over the words 2j and 2j+1 of a counter's four.
struct RandomArgs {
  float* y;  // (rows, row_size), stride y_stride
  int64_t rows, row_size, y_stride;
  const StepState* state;
  uint32_t stream;
  RandomFn fn;
  float a, b;
};

}  // namespace weft
