// softmax and log softmax over the last axis; cross-entropy of a softmax, alone or with its gradient.
#include "ops/softmax.h"

#include "ops/op_table.h"

namespace weft {

namespace {

double row_time(const Shape& shape) { return static_cast<double>(element_count(shape)); }

std::vector<ValueSpec> infer_softmax(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  c.check(!c.shape(0).empty(), "expects at least one axis, got a scalar");
  return {{c.shape(0)}};
}

[[noreturn]] void no_second_derivative(GradientContext& c) {
  fail(c.node.layer.empty() ? "softmax" : c.node.layer, ": the second derivative of softmax is not available");
}

void gradient_softmax(GradientContext& c) { c.result[0] = c.record("softmax_grad", {c.dy, c.output()}, c.node.attrs); }

// One row for a vector, else a row for each index of the first axis (legalizing makes x a matrix).
void lower_softmax(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  c.call(c.kernels.softmax,
         SoftmaxArgs{c.in(0), c.out(), r.rows, r.row_size, r.stride, r.stride, c.node.attrs.flag("log")},
         row_time(c.shape(0)));
}

std::vector<ValueSpec> infer_softmax_grad(const InferContext& c) { return {{c.shape(0)}}; }
void lower_softmax_grad(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  c.call(c.kernels.softmax_grad,
         SoftmaxGradArgs{c.in(0), c.in(1), c.out(), r.rows, r.row_size, r.stride, r.stride, r.stride,
                         c.node.attrs.flag("log")},
         row_time(c.shape(0)));
}

void check_cross_entropy(const InferContext& c) {
  const Shape &x = c.shape(0), &target = c.shape(1);
  c.expect_float(0);
  c.check(x.size() == 2, "expects logits of shape (batch, classes), got ", x);
  if (c.dtype(1) == DType::kInt32) {
    c.check(target == Shape{x[0]}, "expects labels of shape ", Shape{x[0]}, ", got ", target);
  } else {
    c.check(target == x, "expects targets of the logits' shape ", x, ", got ", target);
  }
}

std::vector<ValueSpec> infer_cross_entropy(const InferContext& c) {
  c.expect_inputs(2, 2);
  check_cross_entropy(c);
  return {{{c.shape(0)[0]}}};
}

void gradient_cross_entropy(GradientContext& c) {
  if (c.wanted[0]) c.result[0] = c.record("softmax_cross_entropy_grad", {c.input(0), c.input(1), c.dy}, c.node.attrs);
  if (!c.wanted[1] || c.graph.value(c.input(1)).dtype != DType::kFloat32) return;
  // Targets that depend on something wanted, as those of a teacher.
  const double factor = c.node.attrs.number("smoothing") - 1.0;
  const ValueId dy = c.record("unary", {c.dy}, {{"fn", std::string("affine")}, {"a", factor}, {"b", 0.0}});
  const ValueId column = c.record("reshape", {dy}, {{"shape", Shape{c.graph.shape(dy)[0], 1}}});
  const ValueId log_softmax = c.record("softmax", {c.input(0)}, {{"log", int64_t{1}}});
  c.result[1] = c.record("binary", {log_softmax, column}, {{"fn", std::string("multiply")}});
}

std::vector<ValueSpec> infer_cross_entropy_grad(const InferContext& c) { return {{c.shape(0)}}; }
std::vector<ValueSpec> infer_cross_entropy_with_grad(const InferContext& c) {
  return {{{c.shape(0)[0]}}, {c.shape(0)}};
}

SoftmaxCrossEntropyArgs cross_entropy_args(LowerContext& c) {
  const Shape& x = c.shape(0);
  SoftmaxCrossEntropyArgs a{};
  a.rows = x[0], a.row_size = x[1];
  a.x = c.in(0), a.x_stride = a.targets_stride = a.dx_stride = row_layout(x).stride;
  if (c.graph.value(c.node.inputs[1]).dtype == DType::kInt32) {
    a.labels = reinterpret_cast<const int32_t*>(c.in(1));
  } else {
    a.targets = c.in(1);
  }
  a.smoothing = c.node.attrs.real("smoothing");
  a.state = c.node.attrs.flag("check_finite") ? c.mutable_state() : nullptr;
  return a;
}

void lower_cross_entropy(LowerContext& c) {
  SoftmaxCrossEntropyArgs a = cross_entropy_args(c);
  a.loss = c.out();
  c.call(c.kernels.softmax_cross_entropy, a, row_time(c.shape(0)));
}
void lower_cross_entropy_grad(LowerContext& c) {
  SoftmaxCrossEntropyArgs a = cross_entropy_args(c);
  a.dloss = c.in(2), a.dx = c.out();
  c.call(c.kernels.softmax_cross_entropy, a, row_time(c.shape(0)));
}
void lower_cross_entropy_with_grad(LowerContext& c) {
  SoftmaxCrossEntropyArgs a = cross_entropy_args(c);
  a.dloss = c.in(2), a.loss = c.out(0), a.dx = c.out(1);
  c.call(c.kernels.softmax_cross_entropy, a, row_time(c.shape(0)));
}

}  // namespace

const OpDef kSoftmax = {"softmax", infer_softmax, gradient_softmax, lower_softmax};
const OpDef kSoftmaxGrad = {"softmax_grad", infer_softmax_grad, no_second_derivative, lower_softmax_grad};
const OpDef kSoftmaxCrossEntropy = {"softmax_cross_entropy", infer_cross_entropy, gradient_cross_entropy,
                                    lower_cross_entropy};
const OpDef kSoftmaxCrossEntropyGrad = {"softmax_cross_entropy_grad", infer_cross_entropy_grad, no_second_derivative,
                                        lower_cross_entropy_grad};
const OpDef kSoftmaxCrossEntropyWithGrad = {"softmax_cross_entropy_with_grad", infer_cross_entropy_with_grad, nullptr,
                                            lower_cross_entropy_with_grad};

}  // namespace weft
