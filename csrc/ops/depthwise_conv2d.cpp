// depthwise_conv2d and its gradients. Images are (N, H, W, C), kernels (KH, KW, C, M), outputs (N, OH, OW, C*M);
// without the axes H and KH the same ops are convolutions over one axis. Kernels stay in rows.
#include "ops/depthwise_conv2d.h"

#include "ops/conv_shape.h"
#include "ops/op_table.h"

namespace weft {

namespace {

// Rough nanoseconds on one thread, to decide on parallelism only.
double depthwise_time(const ConvShape& s) {
  return static_cast<double>(s.n * s.oh * s.ow * s.kh * s.kw) * static_cast<double>(round_up(s.f, kPanel)) / 16.0;
}
int64_t depthwise_flops(const ConvShape& s) { return 2 * s.n * s.oh * s.ow * s.kh * s.kw * s.f; }

void check_images(const InferContext& c, const Shape& x, const Shape& w) {
  c.check(w.size() == 3 || w.size() == 4, "expects a kernel of shape ([KH,] KW, C, M), got ", w);
  c.check(x.size() == w.size(), "expects inputs of rank ", w.size(), ", got shape ", x);
  for (int64_t d : w) c.check(d >= 1, "expects a kernel without empty axes, got shape ", w);
  check_geometry(c, w.size() - 2);
}

int64_t outputs_of(const Shape& w) { return w[w.size() - 2] * w.back(); }

std::vector<ValueSpec> infer_depthwise(const InferContext& c) {
  c.expect_inputs(2, 3);
  const Shape &x = c.shape(0), &w = c.shape(1);
  for (int i = 0; i < static_cast<int>(c.count()); ++i) c.expect_float(i);
  check_images(c, x, w);
  const size_t axes = w.size() - 2;
  c.check(x.back() == w[axes], "expects inputs with ", w[axes], " channels, got shape ", x);
  const int64_t outputs = outputs_of(w);
  if (c.count() == 3) {
    c.check(c.shape(2) == Shape{outputs}, "expects a bias of shape ", Shape{outputs}, ", got ", c.shape(2));
  }
  const ConvShape s = conv_shape(x, kernel_window(w), outputs, c.attrs);
  check_output(c, s, x, kernel_window(w));
  return {{image_shape(x[0], output_spatial(s, axes), outputs)}};
}

void gradient_depthwise(GradientContext& c) {
  const Shape x = c.graph.shape(c.input(0)), w = c.graph.shape(c.input(1));
  const Attrs& attrs = c.node.attrs;
  if (c.wanted[0]) {
    c.result[0] =
        c.record("depthwise_conv2d_grad_input", {c.dy, c.input(1)}, gradient_attrs(attrs, "size", spatial(x, 1)));
  }
  if (c.wanted[1]) {
    c.result[1] =
        c.record("depthwise_conv2d_grad_kernel", {c.input(0), c.dy}, gradient_attrs(attrs, "window", kernel_window(w)));
  }
  if (c.wanted.size() > 2 && c.wanted[2]) c.result[2] = c.record("dense_grad_bias", {c.dy});
}

// Where the places of a kernel (a parameter or its gradient) lie.
template <class Args>
void set_kernel_strides(Args& a, const Shape& w) {
  const int64_t stride = row_layout(w).stride;
  a.w_stride_y = w.size() == 4 ? stride : 0;
  a.w_stride_x = w.size() == 4 ? outputs_of(w) : stride;
}

void lower_depthwise(LowerContext& c) {
  const Shape &x = c.shape(0), &w = c.shape(1);
  DepthwiseConv2dArgs a{};
  a.shape = conv_shape(x, kernel_window(w), outputs_of(w), c.node.attrs);
  a.x = c.in(0), a.w = c.in(1), a.bias = c.has(2) ? c.in(2) : nullptr, a.y = c.out();
  a.x_stride = row_layout(x).stride, a.y_stride = row_layout(c.out_shape()).stride;
  set_kernel_strides(a, w);
  c.flops = depthwise_flops(a.shape);
  c.call(c.kernels.depthwise_conv2d, a, depthwise_time(a.shape));
}

// Inputs: dy, w. Attributes of the convolution, and size: of its input.
std::vector<ValueSpec> infer_grad_input(const InferContext& c) {
  c.expect_inputs(2, 2);
  const Shape &dy = c.shape(0), &w = c.shape(1), size = c.attrs.ints("size");
  check_images(c, dy, w);
  const size_t axes = w.size() - 2;
  c.check(size.size() == axes, "expects ", axes, " sizes, got ", size);
  const Shape dx = image_shape(dy[0], size, w[axes]);
  const ConvShape s = conv_shape(dx, kernel_window(w), outputs_of(w), c.attrs);
  c.check(dy == image_shape(dy[0], output_spatial(s, axes), s.f), "has no gradient of shape ", dy);
  return {{dx}};
}

void gradient_grad_input(GradientContext& c) {
  const Shape w = c.graph.shape(c.input(1));
  const Attrs& attrs = c.node.attrs;
  if (c.wanted[0]) c.result[0] = c.record("depthwise_conv2d", {c.dy, c.input(1)}, attrs);
  if (c.wanted[1]) {
    c.result[1] =
        c.record("depthwise_conv2d_grad_kernel", {c.dy, c.input(0)}, gradient_attrs(attrs, "window", kernel_window(w)));
  }
}

void lower_grad_input(LowerContext& c) {
  const Shape &dx = c.out_shape(), &w = c.shape(1);
  DepthwiseConv2dGradInputArgs a{};
  a.shape = conv_shape(dx, kernel_window(w), outputs_of(w), c.node.attrs);
  a.dy = c.in(0), a.w = c.in(1), a.dx = c.out();
  a.dy_stride = row_layout(c.shape(0)).stride, a.dx_stride = row_layout(dx).stride;
  set_kernel_strides(a, w);
  c.flops = depthwise_flops(a.shape);
  c.call(c.kernels.depthwise_conv2d_grad_input, a, depthwise_time(a.shape));
}

// Inputs: x, dy. Attributes of the convolution, and window: the spatial sizes of its kernel. A second result is a place
// for partial sums.
std::vector<ValueSpec> infer_grad_kernel(const InferContext& c) {
  c.expect_inputs(2, 2);
  const Shape &x = c.shape(0), &dy = c.shape(1);
  Shape w = c.attrs.ints("window");
  c.check(x.size() == w.size() + 2 && dy.size() == x.size() && x.back() >= 1 && dy.back() % x.back() == 0,
          "has no gradient of shape ", dy, " for inputs of ", x);
  w.push_back(x.back());
  w.push_back(dy.back() / x.back());
  check_images(c, x, w);
  const ConvShape s = conv_shape(x, kernel_window(w), dy.back(), c.attrs);
  c.check(dy == image_shape(x[0], output_spatial(s, w.size() - 2), s.f), "has no gradient of shape ", dy);
  return {{w}, {{depthwise_conv2d_grad_kernel_groups(s), s.kh * s.kw * s.f}}};
}

void gradient_grad_kernel(GradientContext& c) {
  const Shape x = c.graph.shape(c.input(0));
  const Attrs& attrs = c.node.attrs;
  if (c.wanted[0]) {
    c.result[0] =
        c.record("depthwise_conv2d_grad_input", {c.input(1), c.dy}, gradient_attrs(attrs, "size", spatial(x, 1)));
  }
  if (c.wanted[1]) c.result[1] = c.record("depthwise_conv2d", {c.input(0), c.dy}, attrs);
}

void lower_grad_kernel(LowerContext& c) {
  const Shape &x = c.shape(0), &dy = c.shape(1), &w = c.out_shape();
  DepthwiseConv2dGradKernelArgs a{};
  a.shape = conv_shape(x, kernel_window(w), dy.back(), c.node.attrs);
  a.x = c.in(0), a.dy = c.in(1), a.grad = c.out(), a.partials = c.out(1);
  a.x_stride = row_layout(x).stride, a.dy_stride = row_layout(dy).stride;
  a.groups = c.out_shape(1)[0], a.partials_stride = row_layout(c.out_shape(1)).stride;
  set_kernel_strides(a, w);
  c.flops = depthwise_flops(a.shape);
  c.call(c.kernels.depthwise_conv2d_grad_kernel, a, depthwise_time(a.shape));
}

}  // namespace

const OpDef kDepthwiseConv2d = {"depthwise_conv2d", infer_depthwise, gradient_depthwise, lower_depthwise};
const OpDef kDepthwiseConv2dGradInput = {"depthwise_conv2d_grad_input", infer_grad_input, gradient_grad_input,
                                         lower_grad_input};
const OpDef kDepthwiseConv2dGradKernel = {"depthwise_conv2d_grad_kernel", infer_grad_kernel, gradient_grad_kernel,
                                          lower_grad_kernel};

}  // namespace weft
