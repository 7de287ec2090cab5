// dense: y = x W + b, its gradients, and the moves between rows and panels.
#include "ops/dense.h"

#include <algorithm>

#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

namespace {

// Rough nanoseconds of a matrix product on one thread, to decide on parallelism only.
double product_time(int64_t m, int64_t k, int64_t n) { return 2.0 * m * k * round_up(n, kPanel) / 80.0; }

// Behind x, w and bias, or dy, w and saved.
const uint64_t* row_bits_of(const LowerContext& c) {
  return c.has(3) ? reinterpret_cast<const uint64_t*>(c.in(3)) : nullptr;
}

const BatchRows* prefetch_of(const LowerContext& c) {
  return reinterpret_cast<const BatchRows*>(static_cast<intptr_t>(c.node.attrs.integer("prefetch")));
}

std::vector<ValueSpec> infer_dense(const InferContext& c) {
  c.expect_inputs(2, 3);
  const Shape &x = c.shape(0), &w = c.shape(1);
  c.check(x.size() == 2 && w.size() == 2, "expects two matrices, got shapes ", x, " and ", w);
  c.check(x[1] == w[0], "expects inputs with ", w[0], " features, got shape ", x);
  for (int i = 0; i < static_cast<int>(c.count()); ++i) c.expect_float(i);
  if (c.count() == 3) c.check(c.shape(2) == Shape{w[1]}, "expects a bias of shape ", Shape{w[1]}, ", got ", c.shape(2));
  return {{{x[0], w[1]}}};
}

void gradient_dense(GradientContext& c) {
  if (c.wanted[0]) c.result[0] = c.record("dense_grad_input", {c.dy, c.input(1)});
  if (c.wanted[1]) c.result[1] = c.record("dense_grad_kernel", {c.input(0), c.dy});
  if (c.wanted.size() > 2 && c.wanted[2]) c.result[2] = c.record("dense_grad_bias", {c.dy});
}

void lower_dense(LowerContext& c) {
  const Shape &x = c.shape(0), &w = c.shape(1);
  DenseForwardArgs a{};
  a.m = x[0], a.k = x[1], a.n = w[1];
  a.x = c.in(0), a.w = c.in(1), a.bias = c.has(2) ? c.in(2) : nullptr, a.y = c.out();
  a.row_bits = row_bits_of(c);
  a.threads = c.threads, a.w_stays = c.node.attrs.flag("w_stays");
  a.x_stride = row_layout(x).stride, a.y_stride = row_layout(c.out_shape()).stride;
  a.act = unary_spec(c.node.attrs);
  a.dropout = dropout_spec(c);
  a.prefetch = prefetch_of(c);
  c.flops = 2 * a.m * a.k * a.n;
  c.call(c.kernels.dense_forward, a, product_time(a.m, a.k, a.n));
}

// Inputs: dy (M, N) as recorded, w (K, N), then saved (M, K) when an activation is fused. Legalizing
// replaces dy by its transpose where the kernel wants it so. Where dy may have many zeros, their bits and dy itself
// follow.
std::vector<ValueSpec> infer_grad_input(const InferContext& c) { return {{{c.shape(0)[0], c.shape(1)[0]}}}; }

void gradient_grad_input(GradientContext& c) {
  if (c.wanted[0]) c.result[0] = c.record("dense", {c.dy, c.input(1)});
  if (c.wanted[1]) c.result[1] = c.record("dense_grad_kernel", {c.dy, c.input(0)});
}

void lower_grad_input(LowerContext& c) {
  const Shape &dy = c.shape(0), &w = c.shape(1);
  const bool transposed = c.kernels.transposes_dy;
  DenseGradInputArgs a{};
  a.m = transposed ? dy[1] : dy[0], a.n = transposed ? dy[0] : dy[1], a.k = w[0];
  a.dy = c.in(0), a.w = c.in(1), a.saved = c.has(2) ? c.in(2) : nullptr, a.dx = c.out();
  a.row_bits = row_bits_of(c);
  a.threads = c.threads;
  if (a.row_bits) a.dy_rows = c.in(4), a.dy_rows_stride = row_layout(c.shape(4)).stride;
  a.dy_stride = row_layout(dy).stride, a.dx_stride = row_layout(c.out_shape()).stride;
  a.act = unary_spec(c.node.attrs);
  a.dropout = dropout_spec(c);
  c.flops = 2 * a.m * a.k * a.n;
  c.call(c.kernels.dense_grad_input, a, product_time(a.m, a.k, a.n));
}

std::vector<ValueSpec> infer_grad_kernel(const InferContext& c) {
  return {{{c.shape(0)[1], c.shape(1)[1]}, DType::kFloat32, Layout::kPanels}};
}

void gradient_grad_kernel(GradientContext& c) {
  if (c.wanted[0]) c.result[0] = c.record("dense_grad_input", {c.input(1), c.dy});
  if (c.wanted[1]) c.result[1] = c.record("dense", {c.input(0), c.dy});
}

// Inputs: x, dy; when an update is fused: w, slots..., [grad_scale], scalars. Attribute column_bits tells where among
// them the bits of x stand, if they do, and behind these x^T or nothing.
void lower_grad_kernel(LowerContext& c) {
  const Shape &x = c.shape(0), &dy = c.shape(1);
  DenseGradKernelArgs a{};
  a.m = x[0], a.k = x[1], a.n = dy[1];
  a.x = c.in(0), a.dy = c.in(1);
  a.threads = c.threads;
  if (c.node.attrs.has("column_bits")) {
    const int bits = static_cast<int>(c.node.attrs.integer("column_bits"));
    a.column_bits = reinterpret_cast<const uint32_t*>(c.in(bits));
    if (c.has(bits + 1)) a.x_columns = c.in(bits + 1), a.x_columns_stride = row_layout(c.shape(bits + 1)).stride;
  }
  a.x_stride = row_layout(x).stride, a.dy_stride = row_layout(dy).stride;
  a.prefetch = prefetch_of(c);
  if (c.node.attrs.has("rule")) {
    a.w = c.mutable_in(2);
    a.update = update_spec(c, 3);
  } else {
    a.grad = c.out();
  }
  c.flops = 2 * a.m * a.k * a.n;
  c.call(c.kernels.dense_grad_kernel, a, product_time(a.m, a.k, a.n));
}

// dy (..., N): the sum over all axes but the last.
std::vector<ValueSpec> infer_grad_bias(const InferContext& c) { return {{{c.shape(0).back()}}}; }

void gradient_grad_bias(GradientContext& c) {
  if (c.wanted[0]) c.result[0] = c.record("broadcast_to", {c.dy}, {{"shape", c.graph.shape(c.input(0))}});
}

void lower_grad_bias(LowerContext& c) {
  const Shape& dy = c.shape(0);
  const RowLayout rows = row_layout(dy);
  DenseGradBiasArgs a{};
  a.n = dy.back();
  a.dy = c.in(0);
  if (dy.size() == 2) {
    a.blocks = 1, a.m = dy[0], a.dy_stride = rows.stride;
  } else {
    a.blocks = rows.rows, a.m = rows.row_size / std::max<int64_t>(a.n, 1), a.dy_stride = a.n;
    a.block_stride = rows.stride;
  }
  if (c.has(1)) {
    a.bias = c.mutable_in(1);
    a.update = update_spec(c, 2);
  } else {
    a.grad = c.out();
  }
  c.call(c.kernels.dense_grad_bias, a, element_count(dy) / 8.0);
}

// The sum of partial kernel gradients (groups, elements in panels) in order. Inputs as those of dense_grad_bias; the
// output is the gradient in panels.
std::vector<ValueSpec> infer_sum_partials(const InferContext& c) {
  return {{c.attrs.ints("shape"), DType::kFloat32, Layout::kPanels}};
}

// A kernel of any rank is a matrix: all axes but the last, by the last.
Shape matrix_of(const Shape& s) { return {panel_rows(s), s.back()}; }

std::vector<ValueSpec> infer_pack(const InferContext& c) { return {{c.shape(0), DType::kFloat32, Layout::kPanels}}; }
std::vector<ValueSpec> infer_unpack(const InferContext& c) { return {{matrix_of(c.shape(0))}}; }

void lower_pack(LowerContext& c) {
  const Shape s = matrix_of(c.shape(0));
  c.call(c.kernels.pack, PackArgs{s[0], s[1], c.in(0), c.out(), row_layout(s).stride}, s[0] * s[1] / 4.0);
}
void lower_unpack(LowerContext& c) {
  const Shape s = matrix_of(c.shape(0));
  c.call(c.kernels.unpack, UnpackArgs{s[0], s[1], c.in(0), c.out(), row_layout(s).stride}, s[0] * s[1] / 4.0);
}

std::vector<ValueSpec> infer_transpose_rows(const InferContext& c) { return {{{c.shape(0)[1], c.shape(0)[0]}}}; }
void lower_transpose_rows(LowerContext& c) {
  const Shape &x = c.shape(0), &y = c.out_shape();
  c.call(c.kernels.transpose, TransposeArgs{x[0], x[1], c.in(0), c.out(), row_layout(x).stride, row_layout(y).stride},
         x[0] * x[1] / 4.0);
}

}  // namespace

const OpDef kDense = {"dense", infer_dense, gradient_dense, lower_dense};
const OpDef kDenseGradInput = {"dense_grad_input", infer_grad_input, gradient_grad_input, lower_grad_input};
const OpDef kDenseGradKernel = {"dense_grad_kernel", infer_grad_kernel, gradient_grad_kernel, lower_grad_kernel};
const OpDef kDenseGradBias = {"dense_grad_bias", infer_grad_bias, gradient_grad_bias, lower_grad_bias};
const OpDef kSumPartials = {"sum_partials", infer_sum_partials, nullptr, lower_grad_bias};
const OpDef kPack = {"pack", infer_pack, nullptr, lower_pack};
const OpDef kUnpack = {"unpack", infer_unpack, nullptr, lower_unpack};
const OpDef kTransposeRows = {"transpose_rows", infer_transpose_rows, nullptr, lower_transpose_rows};

}  // namespace weft
