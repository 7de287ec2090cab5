// max_pool2d and avg_pool2d with their gradients. Images are (N, H, W, C). Attributes: window and strides, rows first,
// and padding: top, bottom, left, right.
#include "ops/pool2d.h"

#include "ops/op_table.h"

namespace weft {

namespace {

// Rough nanoseconds on one thread, to decide on parallelism only.
double pool_time(const PoolShape& s) {
  return static_cast<double>(s.n * s.oh * s.ow * round_up(s.c, kPanel)) *
         static_cast<double>(s.window_h * s.window_w + 1) / 16.0;
}

int64_t output_size(int64_t size, int64_t before, int64_t after, int64_t window, int64_t stride) {
  const int64_t free = size + before + after - window;
  return free < 0 ? 0 : free / stride + 1;
}

PoolShape pool_shape(const Shape& x, const Attrs& attrs) {
  const Shape window = attrs.ints("window"), strides = attrs.ints("strides"), padding = attrs.ints("padding");
  PoolShape s{};
  s.n = x[0], s.h = x[1], s.w = x[2], s.c = x[3];
  s.window_h = window[0], s.window_w = window[1], s.stride_y = strides[0], s.stride_x = strides[1];
  s.top = padding[0], s.left = padding[2];
  s.oh = output_size(s.h, padding[0], padding[1], s.window_h, s.stride_y);
  s.ow = output_size(s.w, padding[2], padding[3], s.window_w, s.stride_x);
  return s;
}
Shape output_shape(const PoolShape& s) { return {s.n, s.oh, s.ow, s.c}; }

// With less padding than the window is wide, every window has an element of the image.
void check_attributes(const InferContext& c) {
  const Shape window = c.attrs.ints("window"), strides = c.attrs.ints("strides"), padding = c.attrs.ints("padding");
  c.check(window.size() == 2 && window[0] >= 1 && window[1] >= 1, "expects a window of two positive sizes, got ",
          window);
  c.check(strides.size() == 2 && strides[0] >= 1 && strides[1] >= 1, "expects two strides of at least 1, got ",
          strides);
  c.check(padding.size() == 4, "expects 4 sizes of padding, got ", padding);
  for (size_t i = 0; i < 4; ++i) {
    c.check(padding[i] >= 0 && padding[i] < window[i / 2], "expects padding of at least 0 and less than its window ",
            window, ", got ", padding);
  }
}

Shape infer_pooled(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  c.check(c.shape(0).size() == 4, "expects images of shape (N, H, W, C), got ", c.shape(0));
  check_attributes(c);
  const PoolShape s = pool_shape(c.shape(0), c.attrs);
  const Shape padding = c.attrs.ints("padding");
  c.check(s.oh >= 1 && s.ow >= 1, "expects inputs of at least ",
          Shape{s.window_h - padding[0] - padding[1], s.window_w - padding[2] - padding[3]},
          " for its window, got shape ", c.shape(0));
  return output_shape(s);
}

Attrs with_size(const Attrs& attrs, const Shape& x) {
  Attrs result = attrs;
  result.set("size", Shape{x[1], x[2]});
  return result;
}

// The input's shape, from attribute size; dy must be of the output's.
Shape infer_gradient(const InferContext& c) {
  check_attributes(c);
  const Shape &dy = c.shape(0), size = c.attrs.ints("size");
  c.expect_float(0);
  c.check(dy.size() == 4 && size.size() == 2, "expects a gradient of shape (N, H, W, C) and two sizes, got ", dy,
          " and ", size);
  const Shape x = {dy[0], size[0], size[1], dy[3]};
  c.check(output_shape(pool_shape(x, c.attrs)) == dy, "has no gradient of shape ", dy, " for inputs of ", size);
  return x;
}

std::vector<ValueSpec> infer_max_pool(const InferContext& c) {
  const Shape y = infer_pooled(c), window = c.attrs.ints("window");
  c.check(window[0] * window[1] <= 256, "expects a window of at most 256 places, got ", window);
  return {{y}, {y, DType::kUInt8}};
}

void gradient_max_pool(GradientContext& c) {
  c.result[0] =
      c.record("max_pool2d_grad", {c.dy, c.node.outputs.at(1)}, with_size(c.node.attrs, c.graph.shape(c.input(0))));
}

void lower_max_pool(LowerContext& c) {
  MaxPool2dArgs a{};
  a.shape = pool_shape(c.shape(0), c.node.attrs);
  a.x = c.in(0), a.y = c.out();
  a.x_stride = row_layout(c.shape(0)).stride, a.y_stride = row_layout(c.out_shape()).stride;
  if (c.node.outputs.size() > 1) a.argmax = reinterpret_cast<uint8_t*>(c.out(1)), a.argmax_stride = a.y_stride;
  c.call(c.kernels.max_pool2d, a, pool_time(a.shape));
}

std::vector<ValueSpec> infer_max_pool_grad(const InferContext& c) {
  c.expect_inputs(2, 2);
  const Shape x = infer_gradient(c);
  c.check(c.dtype(1) == DType::kUInt8 && c.shape(1) == c.shape(0), "expects the place of each maximum, got shape ",
          c.shape(1));
  return {{x}};
}

void lower_max_pool_grad(LowerContext& c) {
  MaxPool2dGradArgs a{};
  a.shape = pool_shape(c.out_shape(), c.node.attrs);
  a.dy = c.in(0), a.argmax = reinterpret_cast<const uint8_t*>(c.in(1)), a.dx = c.out();
  a.dy_stride = a.argmax_stride = row_layout(c.shape(0)).stride, a.dx_stride = row_layout(c.out_shape()).stride;
  c.call(c.kernels.max_pool2d_grad, a, pool_time(a.shape));
}

std::vector<ValueSpec> infer_avg_pool(const InferContext& c) { return {{infer_pooled(c)}}; }

void gradient_avg_pool(GradientContext& c) {
  c.result[0] = c.record("avg_pool2d_grad", {c.dy}, with_size(c.node.attrs, c.graph.shape(c.input(0))));
}

void lower_avg_pool(LowerContext& c) {
  AvgPool2dArgs a{};
  a.shape = pool_shape(c.shape(0), c.node.attrs);
  a.x = c.in(0), a.y = c.out();
  a.x_stride = row_layout(c.shape(0)).stride, a.y_stride = row_layout(c.out_shape()).stride;
  c.call(c.kernels.avg_pool2d, a, pool_time(a.shape));
}

std::vector<ValueSpec> infer_avg_pool_grad(const InferContext& c) {
  c.expect_inputs(1, 1);
  return {{infer_gradient(c)}};
}

void gradient_avg_pool_grad(GradientContext& c) { c.result[0] = c.record("avg_pool2d", {c.dy}, c.node.attrs); }

void lower_avg_pool_grad(LowerContext& c) {
  AvgPool2dGradArgs a{};
  a.shape = pool_shape(c.out_shape(), c.node.attrs);
  a.dy = c.in(0), a.dx = c.out();
  a.dy_stride = row_layout(c.shape(0)).stride, a.dx_stride = row_layout(c.out_shape()).stride;
  c.call(c.kernels.avg_pool2d_grad, a, pool_time(a.shape));
}

// The places depend on x, but nothing changes as they do.
void gradient_max_pool_grad(GradientContext& c) {
  check(!c.wanted[0], c.node.layer.empty() ? "max_pool2d" : c.node.layer,
        ": the second derivative of max-pooling is not available");
}

}  // namespace

const OpDef kMaxPool2d = {"max_pool2d", infer_max_pool, gradient_max_pool, lower_max_pool};
const OpDef kMaxPool2dGrad = {"max_pool2d_grad", infer_max_pool_grad, gradient_max_pool_grad, lower_max_pool_grad};
const OpDef kAvgPool2d = {"avg_pool2d", infer_avg_pool, gradient_avg_pool, lower_avg_pool};
const OpDef kAvgPool2dGrad = {"avg_pool2d_grad", infer_avg_pool_grad, gradient_avg_pool_grad, lower_avg_pool_grad};

}  // namespace weft
