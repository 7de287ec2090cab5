// lstm and its gradient through time. Results of lstm: y, the last c, two buffers of the kernel, and what backward
// needs: gates, cells, h_prev. Results of lstm_grad: dxp, dh0, dc0, a buffer, dxp summed over time.
#include "ops/lstm.h"

#include "ops/op_table.h"
#include "ops/recurrent_rules.h"

namespace weft {

namespace {

constexpr int64_t kGates = 4;
constexpr int kStates = 2;
enum Result { kY, kC, kH, kPre, kGatesSaved, kCells, kHPrev };
enum GradResult { kDxp, kDh, kDc, kDpre, kSums };

std::vector<ValueSpec> infer_lstm(const InferContext& c) {
  c.check(c.count() >= 2 && c.shape(1).size() == 2, "expects projected inputs and a recurrent kernel");
  const RecurrentShape s = check_recurrent(c, kGates, kStates, {c.shape(1)[1]});
  const Shape state = {s.n, s.h}, rows = {s.n * s.t, s.h};
  return {{recurrent_output(s)},
          {state},
          {state},
          {{s.n, kGates * s.h}},
          {{s.n * s.t, kGates * saved_gate(s.h)}},
          {rows},
          {rows}};
}

void gradient_lstm(GradientContext& c) {
  const RecurrentInputs at = recurrent_inputs(c.node.attrs, kStates);
  const std::vector<ValueId>& saved = c.node.outputs;
  std::vector<ValueId> inputs = {c.dy, transposed_recurrent_kernel(c), saved[kGatesSaved], saved[kCells]};
  if (at.state >= 0) inputs.push_back(c.input(at.state + 1));
  if (at.mask >= 0) inputs.push_back(c.input(at.mask));
  const ValueId dxp = c.record("lstm_grad", inputs, c.node.attrs);
  const std::vector<ValueId> results = c.graph.producer(dxp)->outputs;
  c.result[0] = dxp;
  if (c.wanted[1]) c.result[1] = c.record("dense_grad_kernel", {saved[kHPrev], dxp});
  if (at.bias >= 0 && c.wanted[at.bias]) c.result[at.bias] = c.record("dense_grad_bias", {results[kSums]});
  if (at.state >= 0) c.result[at.state] = results[kDh], c.result[at.state + 1] = results[kDc];
}

void lower_lstm(LowerContext& c) {
  const RecurrentInputs at = recurrent_inputs(c.node.attrs, kStates);
  LstmArgs a{};
  a.shape = recurrent_shape(c.node.attrs, c.shape(0), kGates);
  a.xp = c.in(0), a.u = c.in(1);
  if (at.bias >= 0) a.bias = c.in(at.bias);
  if (at.state >= 0) a.h0 = c.in(at.state), a.c0 = c.in(at.state + 1);
  if (at.mask >= 0) a.mask = c.in(at.mask);
  a.y = c.out(kY), a.c = c.out(kC), a.h = c.out(kH), a.pre = c.out(kPre);
  if (c.node.outputs.size() > kCells) a.gates = c.out(kGatesSaved), a.cells = c.out(kCells);
  if (c.node.outputs.size() > kHPrev) a.h_prev = c.out(kHPrev);  // not where the recurrent kernel is frozen
  a.gate_stride = row_stride(kGates * a.shape.h), a.state_stride = row_stride(a.shape.h);
  a.saved_stride = row_stride(kGates * saved_gate(a.shape.h));
  a.act = recurrent_activations(c.node.attrs);
  c.flops = recurrent_flops(a.shape, kGates, a.h0 != nullptr);
  c.call(c.kernels.lstm, a, recurrent_time(a.shape, kGates));
}

std::vector<ValueSpec> infer_lstm_grad(const InferContext& c) {
  const RecurrentShape s = recurrent_shape_of_gradient(c.attrs, c.shape(0), c.shape(1));
  const Shape state = {s.n, s.h}, gates = {s.n, kGates * s.h};
  return {{{s.n * s.t, kGates * s.h}}, {state}, {state}, {gates}, {gates}};
}

void lower_lstm_grad(LowerContext& c) {
  const Attrs& attrs = c.node.attrs;
  LstmGradArgs a{};
  a.shape = recurrent_shape_of_gradient(attrs, c.shape(0), c.shape(1));
  a.dy = c.in(0), a.u_t = c.in(1), a.gates = c.in(2), a.cells = c.in(3);
  a.wants_state = attrs.flag("has_state");
  if (a.wants_state) a.c0 = c.in(4);
  if (attrs.flag("has_mask")) a.mask = c.in(a.wants_state ? 5 : 4);
  a.dxp = c.out(kDxp), a.dh = c.out(kDh), a.dc = c.out(kDc), a.dpre = c.out(kDpre);
  if (attrs.flag("has_bias")) a.sums = c.out(kSums);
  a.gate_stride = row_stride(kGates * a.shape.h), a.state_stride = row_stride(a.shape.h);
  a.saved_stride = row_stride(kGates * saved_gate(a.shape.h));
  a.act = recurrent_activations(attrs);
  c.flops = recurrent_flops(a.shape, kGates, a.wants_state);
  c.call(c.kernels.lstm_grad, a, recurrent_time(a.shape, kGates));
}

}  // namespace

const OpDef kLstm = {"lstm", infer_lstm, gradient_lstm, lower_lstm, false, false, {kGatesSaved, 0}};
const OpDef kLstmGrad = {"lstm_grad", infer_lstm_grad, no_second_recurrent_derivative, lower_lstm_grad, false,
                         false,       {kDxp, 2}};

}  // namespace weft
