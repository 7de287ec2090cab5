// simple_rnn and its gradient through time. Results of simple_rnn: y, the last h, two buffers of the kernel, and what
// backward needs: states, h_prev. Results of simple_rnn_grad: dxp, dh0, a buffer, dxp summed over time.
#include "ops/simple_rnn.h"

#include "ops/op_table.h"
#include "ops/recurrent_rules.h"

namespace weft {

namespace {

constexpr int kStates = 1;
enum Result { kY, kLast, kH, kPre, kStatesSaved, kHPrev };
enum GradResult { kDxp, kDh, kDpre, kSums };

std::vector<ValueSpec> infer_simple_rnn(const InferContext& c) {
  c.check(c.count() >= 2 && c.shape(1).size() == 2, "expects projected inputs and a recurrent kernel");
  const RecurrentShape s = check_recurrent(c, 1, kStates, {c.shape(1)[1]});
  const Shape state = {s.n, s.h}, rows = {s.n * s.t, s.h};
  return {{recurrent_output(s)}, {state}, {state}, {state}, {rows}, {rows}};
}

void gradient_simple_rnn(GradientContext& c) {
  const RecurrentInputs at = recurrent_inputs(c.node.attrs, kStates);
  const std::vector<ValueId>& saved = c.node.outputs;
  std::vector<ValueId> inputs = {c.dy, transposed_recurrent_kernel(c), saved[kStatesSaved]};
  if (at.mask >= 0) inputs.push_back(c.input(at.mask));
  const ValueId dxp = c.record("simple_rnn_grad", inputs, c.node.attrs);
  const std::vector<ValueId> results = c.graph.producer(dxp)->outputs;
  c.result[0] = dxp;
  if (c.wanted[1]) c.result[1] = c.record("dense_grad_kernel", {saved[kHPrev], dxp});
  if (at.bias >= 0 && c.wanted[at.bias]) c.result[at.bias] = c.record("dense_grad_bias", {results[kSums]});
  if (at.state >= 0) c.result[at.state] = results[kDh];
}

void lower_simple_rnn(LowerContext& c) {
  const RecurrentInputs at = recurrent_inputs(c.node.attrs, kStates);
  SimpleRnnArgs a{};
  a.shape = recurrent_shape(c.node.attrs, c.shape(0), 1);
  a.xp = c.in(0), a.u = c.in(1);
  if (at.bias >= 0) a.bias = c.in(at.bias);
  if (at.state >= 0) a.h0 = c.in(at.state);
  if (at.mask >= 0) a.mask = c.in(at.mask);
  a.y = c.out(kY), a.last = c.out(kLast), a.h = c.out(kH), a.pre = c.out(kPre);
  if (c.node.outputs.size() > kStatesSaved) a.states = c.out(kStatesSaved);
  if (c.node.outputs.size() > kHPrev) a.h_prev = c.out(kHPrev);
  a.stride = row_stride(a.shape.h);
  a.act = recurrent_activations(c.node.attrs);
  c.flops = recurrent_flops(a.shape, 1, a.h0 != nullptr);
  c.call(c.kernels.simple_rnn, a, recurrent_time(a.shape, 1));
}

std::vector<ValueSpec> infer_simple_rnn_grad(const InferContext& c) {
  const RecurrentShape s = recurrent_shape_of_gradient(c.attrs, c.shape(0), c.shape(1));
  const Shape state = {s.n, s.h};
  return {{{s.n * s.t, s.h}}, {state}, {state}, {state}};
}

void lower_simple_rnn_grad(LowerContext& c) {
  const Attrs& attrs = c.node.attrs;
  SimpleRnnGradArgs a{};
  a.shape = recurrent_shape_of_gradient(attrs, c.shape(0), c.shape(1));
  a.dy = c.in(0), a.u_t = c.in(1), a.states = c.in(2);
  if (attrs.flag("has_mask")) a.mask = c.in(3);
  a.wants_state = attrs.flag("has_state");
  a.dxp = c.out(kDxp), a.dh = c.out(kDh), a.dpre = c.out(kDpre);
  if (attrs.flag("has_bias")) a.sums = c.out(kSums);
  a.stride = row_stride(a.shape.h);
  a.act = recurrent_activations(attrs);
  c.flops = recurrent_flops(a.shape, 1, a.wants_state);
  c.call(c.kernels.simple_rnn_grad, a, recurrent_time(a.shape, 1));
}

}  // namespace

const OpDef kSimpleRnn = {"simple_rnn", infer_simple_rnn, gradient_simple_rnn, lower_simple_rnn};
const OpDef kSimpleRnnGrad = {"simple_rnn_grad", infer_simple_rnn_grad, no_second_recurrent_derivative,
                              lower_simple_rnn_grad};

}  // namespace weft
