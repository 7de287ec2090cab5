// What lstm, gru and simple_rnn have in common: how sequences lie in memory, and the order of their steps.
#pragma once

#include <cstdint>

#include "core/types.h"
#include "ops/unary.h"

namespace weft {

// n sequences of t time steps with h units. Sequences are matrices: row i*t + time of (n*t, features) is one time
// step of sequence i. A matrix product over all of them, such as the projection of the inputs, is then one product.
struct RecurrentShape {
  int64_t n, t, h;
  bool backwards;  // from the last time step to the first
  bool sequences;  // y is (n*t, h), the hidden state after every step; else (n, h), after the last one
};

// On which time step the recurrence works in its step number `step`.
static constexpr int64_t time_at(const RecurrentShape& s, int64_t step) { return s.backwards ? s.t - 1 - step : step; }

// Gates that are saved for backward stand h padded to a whole panel apart.
static constexpr int64_t saved_gate(int64_t h) { return round_up(h, kPanel); }

// What the rules of the recurrent ops know about the hidden units' functions: only those whose derivative is a function
// of their value can be used, because the value is what is saved.
struct RecurrentActivations {
  UnarySpec cell, gate;  // Keras's activation and recurrent_activation
};

}  // namespace weft
