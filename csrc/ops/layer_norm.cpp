// layer_norm: normalization over the last axis, and its gradient.
#include "ops/layer_norm.h"

#include "ops/channels.h"
#include "ops/op_table.h"

namespace weft {

namespace {

double row_time(const Shape& shape) { return 0.4 * static_cast<double>(element_count(shape)); }

// x, gamma, beta -> y, and mean and 1 / sqrt(variance + epsilon) of each position.
std::vector<ValueSpec> infer_layer_norm(const InferContext& c) {
  c.expect_inputs(3, 3);
  const Shape& x = c.shape(0);
  c.check(!x.empty() && element_count(x) > 0, "expects inputs of shape (batch, ..., features), got ", x);
  for (int i = 0; i < 3; ++i) {
    c.expect_float(i);
    c.check(i == 0 || c.shape(i) == Shape{x.back()}, "expects one number for each of ", x.back(),
            " features, got shape ", c.shape(i));
  }
  const Shape positions = {element_count(x) / x.back()};
  return {{x}, {positions}, {positions}};
}

void gradient_layer_norm(GradientContext& c) {
  const ValueId dx = c.record("layer_norm_grad", {c.dy, c.input(0), c.input(1), c.node.outputs[1], c.node.outputs[2]});
  if (c.wanted[0]) c.result[0] = dx;
  if (!c.wanted[1] && !c.wanted[2]) return;
  const ValueId partial = c.graph.producer(dx)->outputs[1];
  const ValueId dgamma = c.record("sum_groups", {partial}, {{"channels", c.graph.shape(c.input(1))[0]}});
  if (c.wanted[1]) c.result[1] = dgamma;
  if (c.wanted[2]) c.result[2] = c.graph.producer(dgamma)->outputs[1];
}

void lower_layer_norm(LowerContext& c) {
  LayerNormArgs a{
      c.in(0), c.in(1), c.in(2), c.out(0), c.out(1), c.out(2), channel_shape(c.shape(0)), c.node.attrs.real("epsilon")};
  c.call(c.kernels.layer_norm, a, row_time(c.shape(0)));
}

// dy, x, gamma, mean, rstd -> dx, and a row of partial sums for each group.
std::vector<ValueSpec> infer_layer_norm_grad(const InferContext& c) {
  const Shape& x = c.shape(1);
  return {{x}, {{layer_norm_groups(channel_shape(x)), 2 * padded_channels(x.back())}}};
}
void lower_layer_norm_grad(LowerContext& c) {
  LayerNormGradArgs a{c.in(0),
                      c.in(1),
                      c.in(2),
                      c.in(3),
                      c.in(4),
                      c.out(0),
                      c.out(1),
                      channel_shape(c.shape(1)),
                      row_layout(c.out_shape(1)).stride};
  c.call(c.kernels.layer_norm_grad, a, 2 * row_time(c.shape(1)));
}

[[noreturn]] void no_second_derivative(GradientContext& c) {
  fail(c.node.layer.empty() ? "layer_norm" : c.node.layer, ": the second derivative of layer normalization is not ",
       "available");
}

}  // namespace

const OpDef kLayerNorm = {"layer_norm", infer_layer_norm, gradient_layer_norm, lower_layer_norm};
const OpDef kLayerNormGrad = {"layer_norm_grad", infer_layer_norm_grad, no_second_derivative, lower_layer_norm_grad};

}  // namespace weft
