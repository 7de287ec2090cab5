// gru and its gradient through time. Results of gru: y, the last h, two buffers of the kernel, and what backward needs:
// gates, h_prev. Results of gru_grad: dxp, dh0, drec, two buffers, dxp and drec summed over time.
#include "ops/gru.h"

#include "ops/op_table.h"
#include "ops/recurrent_rules.h"

namespace weft {

namespace {

constexpr int64_t kGates = 3, kSavedGates = 4;
constexpr int kStates = 1;
enum Result { kY, kLast, kH, kRec, kGatesSaved, kHPrev };
enum GradResult { kDxp, kDh, kDrec, kNow, kDirect, kSums };

std::vector<ValueSpec> infer_gru(const InferContext& c) {
  c.check(c.count() >= 2 && c.shape(1).size() == 2, "expects projected inputs and a recurrent kernel");
  // Dropout of h would have to spare the h that z keeps: layers record such steps one by one.
  c.check(!c.attrs.flag("has_mask"), "has no mask");
  const RecurrentShape s = check_recurrent(c, kGates, kStates, {2, c.shape(1)[1]});
  const Shape state = {s.n, s.h};
  return {{recurrent_output(s)}, {state}, {state}, {{s.n, kGates * s.h}}, {{s.n * s.t, kSavedGates * saved_gate(s.h)}},
          {{s.n * s.t, s.h}}};
}

// The gradient of the bias: the sums over time, (2n, 3h), summed over the batch, the first half and the second.
ValueId bias_gradient(GradientContext& c, ValueId sums) {
  const Shape shape = c.graph.shape(sums);
  const int64_t n = shape[0] / 2, columns = shape[1];
  std::vector<ValueId> halves;
  for (int64_t half = 0; half < 2; ++half) {
    const ValueId rows = c.record(
        "slice", {sums}, {{"begin", Shape{half * n, 0}}, {"size", Shape{n, columns}}, {"strides", Shape{1, 1}}});
    halves.push_back(c.record("reshape", {c.record("dense_grad_bias", {rows})}, {{"shape", Shape{1, columns}}}));
  }
  return c.record("concatenate", halves, {{"axis", int64_t{0}}});
}

void gradient_gru(GradientContext& c) {
  const RecurrentInputs at = recurrent_inputs(c.node.attrs, kStates);
  const std::vector<ValueId>& saved = c.node.outputs;
  std::vector<ValueId> inputs = {c.dy, transposed_recurrent_kernel(c), saved[kGatesSaved], saved[kHPrev]};
  const ValueId dxp = c.record("gru_grad", inputs, c.node.attrs);
  const std::vector<ValueId> results = c.graph.producer(dxp)->outputs;
  c.result[0] = dxp;
  if (c.wanted[1]) c.result[1] = c.record("dense_grad_kernel", {saved[kHPrev], results[kDrec]});
  if (at.bias >= 0 && c.wanted[at.bias]) c.result[at.bias] = bias_gradient(c, results[kSums]);
  if (at.state >= 0) c.result[at.state] = results[kDh];
}

void lower_gru(LowerContext& c) {
  const RecurrentInputs at = recurrent_inputs(c.node.attrs, kStates);
  GruArgs a{};
  a.shape = recurrent_shape(c.node.attrs, c.shape(0), kGates);
  a.xp = c.in(0), a.u = c.in(1);
  if (at.bias >= 0) a.bias = c.in(at.bias);
  if (at.state >= 0) a.h0 = c.in(at.state);
  a.y = c.out(kY), a.last = c.out(kLast), a.h = c.out(kH), a.rec = c.out(kRec);
  if (c.node.outputs.size() > kGatesSaved) a.gates = c.out(kGatesSaved), a.h_prev = c.out(kHPrev);
  a.gate_stride = row_stride(kGates * a.shape.h), a.state_stride = row_stride(a.shape.h);
  a.saved_stride = row_stride(kSavedGates * saved_gate(a.shape.h));
  a.act = recurrent_activations(c.node.attrs);
  c.flops = recurrent_flops(a.shape, kGates, a.h0 != nullptr);
  c.call(c.kernels.gru, a, recurrent_time(a.shape, kGates));
}

std::vector<ValueSpec> infer_gru_grad(const InferContext& c) {
  const RecurrentShape s = recurrent_shape_of_gradient(c.attrs, c.shape(0), c.shape(1));
  const Shape rows = {s.n * s.t, kGates * s.h}, state = {s.n, s.h};
  return {{rows}, {state}, {rows}, {{s.n, kGates * s.h}}, {state}, {{2 * s.n, kGates * s.h}}};
}

void lower_gru_grad(LowerContext& c) {
  const Attrs& attrs = c.node.attrs;
  GruGradArgs a{};
  a.shape = recurrent_shape_of_gradient(attrs, c.shape(0), c.shape(1));
  a.dy = c.in(0), a.u_t = c.in(1), a.gates = c.in(2), a.h_prev = c.in(3);
  a.wants_state = attrs.flag("has_state");
  a.dxp = c.out(kDxp), a.dh = c.out(kDh), a.drec = c.out(kDrec), a.now = c.out(kNow), a.direct = c.out(kDirect);
  if (attrs.flag("has_bias")) a.sums = c.out(kSums);
  a.gate_stride = row_stride(kGates * a.shape.h), a.state_stride = row_stride(a.shape.h);
  a.saved_stride = row_stride(kSavedGates * saved_gate(a.shape.h));
  a.act = recurrent_activations(attrs);
  c.flops = recurrent_flops(a.shape, kGates, a.wants_state);
  c.call(c.kernels.gru_grad, a, recurrent_time(a.shape, kGates));
}

}  // namespace

const OpDef kGru = {"gru", infer_gru, gradient_gru, lower_gru};
const OpDef kGruGrad = {"gru_grad", infer_gru_grad, no_second_recurrent_derivative, lower_gru_grad};

}  // namespace weft
