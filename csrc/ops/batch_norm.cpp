// batch_norm (with the batch's moments, for training) and batch_norm_inference (with given ones), and the gradients of
// both.
#include "ops/batch_norm.h"

#include "ops/channels.h"
#include "ops/op_table.h"

namespace weft {

namespace {

// Rough nanoseconds of reading or writing `arrays` of that many elements.
double memory_time(const Shape& shape, double arrays) {
  return 0.1 * arrays * static_cast<double>(element_count(shape));
}

Attrs function(const char* name, double a = 0, double b = 0) { return {{"fn", std::string(name)}, {"a", a}, {"b", b}}; }

ValueId second_result(const Graph& graph, ValueId first) { return graph.producer(first)->outputs.at(1); }

void check_inputs(const InferContext& c, size_t count) {
  c.expect_inputs(count, count);
  const Shape& x = c.shape(0);
  c.check(x.size() >= 2 && element_count(x) > 0, "expects inputs of shape (batch, ..., channels), got ", x);
  for (size_t i = 0; i < count; ++i) {
    c.expect_float(static_cast<int>(i));
    if (i > 0) {
      c.check(c.shape(static_cast<int>(i)) == Shape{x.back()}, "expects one number for each of ", x.back(),
              " channels, got shape ", c.shape(static_cast<int>(i)));
    }
  }
}

// x, gamma, beta -> y, and mean, variance and 1 / sqrt(variance + epsilon) of each channel.
std::vector<ValueSpec> infer_batch_norm(const InferContext& c) {
  check_inputs(c, 3);
  const Shape channels = {c.shape(0).back()};
  return {{c.shape(0)}, {channels}, {channels}, {channels}};
}

// The sums that give dgamma and dbeta: dgamma, and dbeta behind it.
ValueId record_sums(GradientContext& c, ValueId mean, ValueId rstd) {
  const ValueId sums = c.record("batch_norm_grad_sums", {c.dy, c.input(0), mean, rstd});
  return c.record("sum_groups", {sums}, {{"channels", c.graph.shape(c.input(0)).back()}});
}

// The moments are functions of x: dx takes that into account.
void gradient_batch_norm(GradientContext& c) {
  const ValueId mean = c.node.outputs[1], rstd = c.node.outputs[3];
  const ValueId dgamma = record_sums(c, mean, rstd), dbeta = second_result(c.graph, dgamma);
  if (c.wanted[0]) {
    c.result[0] = c.record("batch_norm_grad_input", {c.dy, c.input(0), c.input(1), mean, rstd, dgamma, dbeta});
  }
  if (c.wanted[1]) c.result[1] = dgamma;
  if (c.wanted[2]) c.result[2] = dbeta;
}

// x, gamma, beta, mean, variance -> y.
std::vector<ValueSpec> infer_apply(const InferContext& c) {
  check_inputs(c, 5);
  return {{c.shape(0)}};
}

void gradient_apply(GradientContext& c) {
  auto multiply = [&](ValueId a, ValueId b) { return c.record("binary", {a, b}, function("multiply")); };
  auto scaled = [&](ValueId x, double factor) { return c.record("unary", {x}, function("affine", factor)); };
  const ValueId gamma = c.input(1), mean = c.input(3);
  const ValueId shifted = c.record("unary", {c.input(4)}, function("affine", 1.0, c.node.attrs.number("epsilon")));
  const ValueId rstd = c.record("unary", {shifted}, function("rsqrt"));
  const ValueId scale = multiply(gamma, rstd);
  if (c.wanted[0]) c.result[0] = multiply(c.dy, scale);
  if (!c.wanted[1] && !c.wanted[2] && !c.wanted[3] && !c.wanted[4]) return;
  const ValueId dgamma = record_sums(c, mean, rstd), dbeta = second_result(c.graph, dgamma);
  if (c.wanted[1]) c.result[1] = dgamma;
  if (c.wanted[2]) c.result[2] = dbeta;
  if (c.wanted[3]) c.result[3] = scaled(multiply(scale, dbeta), -1.0);
  if (c.wanted[4]) c.result[4] = scaled(multiply(multiply(scale, rstd), dgamma), -0.5);
}

void lower_apply(LowerContext& c) {
  BatchNormApplyArgs a{
      c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), c.out(), channel_shape(c.shape(0)), c.node.attrs.real("epsilon")};
  c.call(c.kernels.batch_norm_apply, a, memory_time(c.shape(0), 2));
}

std::vector<ValueSpec> infer_moments(const InferContext& c) { return {{partial_sums_shape(c.shape(0))}}; }
void lower_moments(LowerContext& c) {
  ChannelMomentsArgs a{c.in(0), c.out(), channel_shape(c.shape(0)), row_layout(c.out_shape()).stride};
  c.call(c.kernels.channel_moments, a, memory_time(c.shape(0), 1));
}

// Attributes shape: of what the moments are of; epsilon.
std::vector<ValueSpec> infer_combine(const InferContext& c) {
  const Shape channels = {c.attrs.ints("shape").back()};
  return {{channels}, {channels}, {channels}};
}
void lower_combine(LowerContext& c) {
  CombineMomentsArgs a{c.in(0),
                       c.out(0),
                       c.out(1),
                       c.out(2),
                       channel_shape(c.node.attrs.ints("shape")),
                       row_layout(c.shape(0)).stride,
                       c.node.attrs.real("epsilon")};
  c.call(c.kernels.combine_moments, a, memory_time(c.shape(0), 4));
}

// dy, x, mean, rstd -> a row of partial sums for each group.
std::vector<ValueSpec> infer_grad_sums(const InferContext& c) { return {{partial_sums_shape(c.shape(0))}}; }
void lower_grad_sums(LowerContext& c) {
  BatchNormGradSumsArgs a{
      c.in(0), c.in(1), c.in(2), c.in(3), c.out(), channel_shape(c.shape(0)), row_layout(c.out_shape()).stride};
  c.call(c.kernels.batch_norm_grad_sums, a, memory_time(c.shape(0), 2));
}

// Partial sums (groups, 2, padded channels) -> the first and the second sum of each channel; attribute channels.
std::vector<ValueSpec> infer_sum_groups(const InferContext& c) {
  const Shape channels = {c.attrs.integer("channels")};
  return {{channels}, {channels}};
}
void lower_sum_groups(LowerContext& c) {
  const RowLayout rows = row_layout(c.shape(0));
  SumGroupsArgs a{c.in(0), c.out(0), c.out(1), rows.rows, c.out_shape()[0], rows.stride};
  c.call(c.kernels.sum_groups, a, memory_time(c.shape(0), 1));
}

// dy, x, gamma, mean, rstd, dgamma, dbeta -> dx.
std::vector<ValueSpec> infer_grad_input(const InferContext& c) { return {{c.shape(0)}}; }
void lower_grad_input(LowerContext& c) {
  BatchNormGradInputArgs a{
      c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), c.in(5), c.in(6), c.out(), channel_shape(c.shape(0))};
  c.call(c.kernels.batch_norm_grad_input, a, memory_time(c.shape(0), 3));
}

[[noreturn]] void no_second_derivative(GradientContext& c) {
  fail(c.node.layer.empty() ? "batch_norm" : c.node.layer, ": the second derivative of batch normalization is not ",
       "available");
}

}  // namespace

ChannelShape channel_shape(const Shape& shape) {
  const RowLayout rows = row_layout(shape);
  return {rows.rows, rows.row_size / shape.back(), shape.back(), rows.stride};
}

Shape partial_sums_shape(const Shape& shape) {
  return {channel_groups(channel_shape(shape)), 2 * padded_channels(shape.back())};
}

void split_batch_norm(Graph& graph, int i) {
  const Node node = graph.nodes[i];
  const Shape x = graph.shape(node.inputs[0]);
  const ValueId partial = graph.record(kChannelMoments, {node.inputs[0]}, {}, node.layer);
  graph.nodes.back().order = node.order;

  Node combine;
  combine.op = &kCombineMoments;
  combine.inputs = {partial};
  combine.outputs.assign(node.outputs.begin() + 1, node.outputs.end());
  combine.attrs = {{"shape", x}, {"epsilon", node.attrs.number("epsilon")}};
  combine.layer = node.layer, combine.order = node.order;
  for (ValueId result : combine.outputs) graph.values[result].producer = static_cast<int>(graph.nodes.size());
  graph.nodes.push_back(combine);

  Node& apply = graph.nodes[i];
  apply.op = &kBatchNormApply;
  apply.inputs.insert(apply.inputs.end(), combine.outputs.begin(), combine.outputs.begin() + 2);
  apply.outputs.resize(1);
}

const OpDef kBatchNorm = {"batch_norm", infer_batch_norm, gradient_batch_norm};
const OpDef kBatchNormInference = {"batch_norm_inference", infer_apply, gradient_apply, lower_apply};
const OpDef kBatchNormApply = {"batch_norm_apply", infer_apply, nullptr, lower_apply};
const OpDef kChannelMoments = {"channel_moments", infer_moments, nullptr, lower_moments};
const OpDef kCombineMoments = {"combine_moments", infer_combine, nullptr, lower_combine};
const OpDef kBatchNormGradSums = {"batch_norm_grad_sums", infer_grad_sums, no_second_derivative, lower_grad_sums};
const OpDef kSumGroups = {"sum_groups", infer_sum_groups, no_second_derivative, lower_sum_groups};
const OpDef kBatchNormGradInput = {"batch_norm_grad_input", infer_grad_input, no_second_derivative, lower_grad_input};

}  // namespace weft
