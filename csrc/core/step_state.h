// Everything that changes from one step to the next, in one struct in the device's memory, so that
// a compiled plan never has to be rebuilt.
#pragma once

#include <cstdint>

namespace weft {

static constexpr int kMaxAccumulators = 128;

struct StepState {
  int64_t iteration;              // optimizer updates made so far (Keras's `optimizer.iterations`)
  int64_t row;                    // where the current batch starts in the epoch's order
  float learning_rate;            // of the current step
  uint32_t abort_step;            // set by a kernel that found a non-finite loss: the step stops before it updates
  uint64_t seed;                  // key of Philox
  uint64_t draw;                  // counts training steps for Philox; each step draws afresh
  const float* learning_rates;    // of the steps to come, one more than there are; null for the same in all of them
  double sums[kMaxAccumulators];  // running sums of the epoch: (weighted sum, sum of weights) pairs
};

// What happens between two steps of a plan: to the next batch, with fresh random numbers.
static constexpr void advance(StepState& state, int64_t batch, bool updates) {
  state.row += batch;
  state.draw++;
  if (updates) state.iteration++;
  if (state.learning_rates) state.learning_rate = *state.learning_rates++;
}

}  // namespace weft
