// The rules that lstm, gru and simple_rnn share. Their inputs are xp (N*T, gates*H), the projected inputs; u
// (H, gates*H), the recurrent kernel, in panels; and then those that the attributes announce:
//   has_bias   the bias, of a shape of the op's own
//   has_state  the initial states (N, H), zeros otherwise
//   has_mask   what multiplies h before every step (N, H), the mask of a dropout; it has no gradient
// Other attributes: steps (T), go_backwards, return_sequences, activation, recurrent_activation.
#pragma once

#include "ops/op.h"
#include "ops/recurrent.h"

namespace weft {

// Results of all three: y and three (N, ...) values of the kernel's own; then what backward needs, which is dropped
// where nobody asks for it.
constexpr size_t kRecurrentResults = 4;

// Places among the inputs, -1 for those that are not there.
struct RecurrentInputs {
  int bias = -1, state = -1, mask = -1;
  int count = 2;
};
RecurrentInputs recurrent_inputs(const Attrs& attrs, int states);

RecurrentShape recurrent_shape(const Attrs& attrs, const Shape& xp, int64_t gates);
RecurrentActivations recurrent_activations(const Attrs& attrs);
Shape recurrent_output(const RecurrentShape& s);

// Checks the inputs; `bias` is the shape that one must have.
RecurrentShape check_recurrent(const InferContext& c, int64_t gates, int states, const Shape& bias);

// The same for the gradient op, whose first two inputs are dy and u transposed, (gates*H, H).
RecurrentShape recurrent_shape_of_gradient(const Attrs& attrs, const Shape& dy, const Shape& u_t);

// Records the product's part of the gradient: what a gradient op needs of u, and the gradient of u.
ValueId transposed_recurrent_kernel(GradientContext& c);
[[noreturn]] void no_second_recurrent_derivative(GradientContext& c);

// Rough nanoseconds on one thread, to decide on parallelism only, and the FLOPs of the products.
double recurrent_time(const RecurrentShape& s, int64_t gates);
int64_t recurrent_flops(const RecurrentShape& s, int64_t gates, bool initial_state);

}  // namespace weft
