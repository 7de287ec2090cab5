#include "ops/recurrent_rules.h"

#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

RecurrentInputs recurrent_inputs(const Attrs& attrs, int states) {
  RecurrentInputs at;
  if (attrs.flag("has_bias")) at.bias = at.count++;
  if (attrs.flag("has_state")) at.state = at.count, at.count += states;
  if (attrs.flag("has_mask")) at.mask = at.count++;
  return at;
}

RecurrentShape recurrent_shape(const Attrs& attrs, const Shape& xp, int64_t gates) {
  RecurrentShape s{};
  s.t = attrs.integer("steps");
  s.n = xp[0] / s.t, s.h = xp[1] / gates;
  s.backwards = attrs.flag("go_backwards"), s.sequences = attrs.flag("return_sequences");
  return s;
}

RecurrentShape recurrent_shape_of_gradient(const Attrs& attrs, const Shape& dy, const Shape& u_t) {
  RecurrentShape s{};
  s.t = attrs.integer("steps"), s.h = u_t[1];
  s.backwards = attrs.flag("go_backwards"), s.sequences = attrs.flag("return_sequences");
  s.n = s.sequences ? dy[0] / s.t : dy[0];
  return s;
}

RecurrentActivations recurrent_activations(const Attrs& attrs) {
  RecurrentActivations a{};
  check(find_unary(attrs.text("activation", "tanh"), a.cell.fn) &&
            find_unary(attrs.text("recurrent_activation", "sigmoid"), a.gate.fn),
        "a recurrent op got an unknown activation");
  return a;
}

Shape recurrent_output(const RecurrentShape& s) { return {s.sequences ? s.n * s.t : s.n, s.h}; }

RecurrentShape check_recurrent(const InferContext& c, int64_t gates, int states, const Shape& bias) {
  const RecurrentInputs at = recurrent_inputs(c.attrs, states);
  c.expect_inputs(at.count, at.count);
  for (int i = 0; i < at.count; ++i) c.expect_float(i);
  const Shape &xp = c.shape(0), &u = c.shape(1);
  const int64_t steps = c.attrs.integer("steps");
  c.check(steps >= 1, "expects at least one time step, got ", steps);
  c.check(xp.size() == 2 && u.size() == 2 && xp[1] == u[1] && u[1] == gates * u[0] && xp[0] % steps == 0,
          "expects projected inputs (N * ", steps, ", ", gates, " * H) and a recurrent kernel (H, ", gates,
          " * H), got shapes ", xp, " and ", u);
  const RecurrentShape s = recurrent_shape(c.attrs, xp, gates);
  if (at.bias >= 0) c.check(c.shape(at.bias) == bias, "expects a bias of shape ", bias, ", got ", c.shape(at.bias));
  for (int i = at.state >= 0 ? at.state : at.mask; i >= 0 && i < at.count; ++i)
    c.check(c.shape(i) == Shape{s.n, s.h}, "expects states of shape ", Shape{s.n, s.h}, ", got ", c.shape(i));
  const RecurrentActivations a = recurrent_activations(c.attrs);
  const auto usable = [](UnaryFn fn) {
    return derivative_uses_value(fn) && fn != UnaryFn::kElu && fn != UnaryFn::kLeakyRelu;  // those have parameters
  };
  c.check(usable(a.cell.fn) && usable(a.gate.fn),
          "supports only activations without parameters whose derivative is a function of their value");
  return s;
}

ValueId transposed_recurrent_kernel(GradientContext& c) { return c.record("transpose_rows", {c.input(1)}); }

void no_second_recurrent_derivative(GradientContext& c) {
  fail(c.node.layer.empty() ? c.node.op->name : c.node.layer,
       ": the second derivative of a recurrent layer is not available");
}

double recurrent_time(const RecurrentShape& s, int64_t gates) {
  const double product = 2.0 * static_cast<double>(s.n * s.t * s.h * round_up(gates * s.h, kPanel)) / 80.0;
  return product + static_cast<double>(s.n * s.t * gates * s.h) * 0.5;
}

int64_t recurrent_flops(const RecurrentShape& s, int64_t gates, bool initial_state) {
  return 2 * s.n * (s.t - (initial_state ? 0 : 1)) * s.h * gates * s.h;
}

}  // namespace weft
