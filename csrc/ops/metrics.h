// What an epoch adds up: weighted sums into the step state, and the check that a loss is finite.
#pragma once

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"

namespace weft {

// state->sums[slot] += sum(values*weights), state->sums[slot+1] += sum(weights), in double, in row
// order, one tile. Without weights each value counts 1.
struct AccumulateArgs {
  StepState* state;
  const float* values;   // (size)
  const float* weights;  // (size) or null
  int64_t size;
  int slot;
};

// state->abort_step = 1 unless *loss is finite.
struct CheckFiniteArgs {
  StepState* state;
  const float* loss;  // (1)
};

// y[r] = 1 if fewer than k scores of row r are greater than that of its label, else 0; a label out of
// range or a non-finite score of the label gives 0.
struct InTopKArgs {
  const float* scores;    // (rows, row_size), stride scores_stride
  const int32_t* labels;  // (rows)
  float* y;               // (rows)
  int64_t rows, row_size, scores_stride;
  int k;
};

// y[r, c] = 1 where labels[r] == c, else 0.
struct OneHotArgs {
  const int32_t* labels;  // (rows)
  float* y;               // (rows, depth), stride y_stride
  int64_t rows, depth, y_stride;
};

}  // namespace weft
