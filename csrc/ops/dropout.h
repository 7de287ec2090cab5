// Inverted dropout. The mask is drawn from Philox4x32-10 and drawn again in backward, never stored.
#pragma once

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"

namespace weft {

// Element (row, column) of a value uses word i%4 of Philox(key = state->seed, counter = {i/4 low,
// i/4 high, stream, state->draw low}) with i = row * round_up(row_size, 16) + column; it is kept where the word
// is >= threshold, and then multiplied by `scale`.
struct DropoutSpec {
  uint32_t threshold;  // rate * 2^32; 0 switches dropout off
  float scale;         // 1 / (1 - rate)
  uint32_t stream;     // a number of its own for each dropout layer of the model
  const StepState* state;
};

// y = x * mask * scale. Its gradient is the same function of dy.
struct DropoutArgs {
  const float* x;  // (rows, row_size), stride x_stride
  float* y;        // (rows, row_size), stride y_stride; may be x
  int64_t rows, row_size, x_stride, y_stride;
  DropoutSpec spec;
};

}  // namespace weft
