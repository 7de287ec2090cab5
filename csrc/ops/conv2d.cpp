// conv2d, its gradients and its transpose. Images are (N, H, W, C), kernels (KH, KW, C, F); without the axes H and KH
// the same ops are convolutions over one axis.
#include "ops/conv2d.h"

#include "ops/conv_shape.h"
#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

namespace {

// Rough nanoseconds on one thread, to decide on parallelism only.
double conv_time(const ConvShape& s) {
  return 2.0 * static_cast<double>(s.n * s.oh * s.ow * s.kh * s.kw * s.c) * static_cast<double>(round_up(s.f, kPanel)) /
         80.0;
}
int64_t conv_flops(const ConvShape& s) { return 2 * s.n * s.oh * s.ow * s.kh * s.kw * s.c * s.f; }

void check_images(const InferContext& c, const Shape& x, const Shape& w) {
  c.check(w.size() == 3 || w.size() == 4, "expects a kernel of shape ([KH,] KW, C, F), got ", w);
  c.check(x.size() == w.size(), "expects inputs of rank ", w.size(), ", got shape ", x);
  for (int64_t d : w) c.check(d >= 1, "expects a kernel without empty axes, got shape ", w);
}

std::vector<ValueSpec> infer_conv2d(const InferContext& c) {
  c.expect_inputs(2, 3);
  const Shape &x = c.shape(0), &w = c.shape(1);
  for (int i = 0; i < static_cast<int>(c.count()); ++i) c.expect_float(i);
  check_images(c, x, w);
  const size_t axes = w.size() - 2;
  check_geometry(c, axes);
  c.check(x.back() == w[axes], "expects inputs with ", w[axes], " channels, got shape ", x);
  if (c.count() == 3) {
    c.check(c.shape(2) == Shape{w.back()}, "expects a bias of shape ", Shape{w.back()}, ", got ", c.shape(2));
  }
  const ConvShape s = conv_shape(x, kernel_window(w), w.back(), c.attrs);
  check_output(c, s, x, kernel_window(w));
  return {{image_shape(x[0], output_spatial(s, axes), s.f)}};
}

void gradient_conv2d(GradientContext& c) {
  const Shape x = c.graph.shape(c.input(0)), w = c.graph.shape(c.input(1));
  const Attrs& attrs = c.node.attrs;
  if (c.wanted[0]) {
    c.result[0] = c.record("conv2d_grad_input", {c.dy, c.input(1)}, gradient_attrs(attrs, "size", spatial(x, 1)));
  }
  if (c.wanted[1]) {
    c.result[1] = c.record("conv2d_grad_kernel", {c.input(0), c.dy}, gradient_attrs(attrs, "window", kernel_window(w)));
  }
  if (c.wanted.size() > 2 && c.wanted[2]) c.result[2] = c.record("dense_grad_bias", {c.dy});
}

ConvPool pool_of(const Attrs& attrs) {
  const Shape pool = attrs.ints("pool");
  return pool.empty() ? ConvPool{1, 1} : ConvPool{pool[0], pool[1]};
}
const uint8_t* places(const LowerContext& c, int i) { return reinterpret_cast<const uint8_t*>(c.in(i)); }

void lower_conv2d(LowerContext& c) {
  const Shape &x = c.shape(0), &w = c.shape(1);
  Conv2dForwardArgs a{};
  a.winograd = c.node.attrs.flag("winograd");
  a.shape = conv_shape(x, a.winograd ? Shape{3, 3} : kernel_window(w), w.back(), c.node.attrs);
  a.x = c.in(0), a.w = c.in(1), a.bias = c.has(2) ? c.in(2) : nullptr, a.y = c.out();
  a.x_stride = row_layout(x).stride, a.y_stride = row_layout(c.out_shape()).stride;
  a.act = unary_spec(c.node.attrs), a.pool = pool_of(c.node.attrs), a.dropout = dropout_spec(c);
  if (c.node.outputs.size() > 1) a.argmax = reinterpret_cast<uint8_t*>(c.out(1)), a.argmax_stride = a.y_stride;
  c.flops = conv_flops(a.shape);
  c.call(c.kernels.conv2d_forward, a, conv_time(a.shape));
}

// Inputs: dy, w, then what fusion adds: the places of the maxima, saved. Attributes of the convolution, and size: of
// its input.
std::vector<ValueSpec> infer_grad_input(const InferContext& c) {
  c.expect_inputs(2, 3);
  const Shape &dy = c.shape(0), &w = c.shape(1), size = c.attrs.ints("size");
  for (int i = 0; i < static_cast<int>(c.count()); ++i) c.expect_float(i);
  check_images(c, dy, w);
  const size_t axes = w.size() - 2;
  check_geometry(c, axes);
  c.check(size.size() == axes, "expects ", axes, " sizes, got ", size);
  c.check(dy.back() == w.back(), "expects inputs with ", w.back(), " channels, got shape ", dy);
  const Shape dx = image_shape(dy[0], size, w[axes]);
  const ConvShape s = conv_shape(dx, kernel_window(w), w.back(), c.attrs);
  c.check(output_spatial(s, axes) == spatial(dy, 1), "cannot make outputs of ", size, " from inputs of ",
          spatial(dy, 1));
  if (c.count() == 3) {
    c.check(c.shape(2) == Shape{w[axes]}, "expects a bias of shape ", Shape{w[axes]}, ", got ", c.shape(2));
  }
  return {{dx}};
}

void gradient_grad_input(GradientContext& c) {
  const Shape w = c.graph.shape(c.input(1));
  if (c.wanted[0]) c.result[0] = c.record("conv2d", {c.dy, c.input(1)}, c.node.attrs);
  if (c.wanted[1]) {
    c.result[1] =
        c.record("conv2d_grad_kernel", {c.dy, c.input(0)}, gradient_attrs(c.node.attrs, "window", kernel_window(w)));
  }
  if (c.wanted.size() > 2 && c.wanted[2]) c.result[2] = c.record("dense_grad_bias", {c.dy});
}

// Legalizing has replaced the kernel by its flipped form, and noted its window.
Conv2dGradInputArgs grad_input_args(LowerContext& c) {
  const Shape &dy = c.shape(0), &dx = c.out_shape();
  Conv2dGradInputArgs a{};
  Shape x = c.node.attrs.ints("images");
  a.shape = conv_shape(x, c.node.attrs.ints("window"), c.node.attrs.integer("filters"), c.node.attrs);
  a.dy = c.in(0), a.flipped = c.in(1), a.dx = c.out();
  a.dy_stride = row_layout(dy).stride, a.dx_stride = row_layout(dx).stride;
  a.pool = {1, 1};
  a.winograd = c.node.attrs.flag("winograd");
  c.flops = conv_flops(a.shape);
  return a;
}

void lower_grad_input(LowerContext& c) {
  Conv2dGradInputArgs a = grad_input_args(c);
  if (c.has(2)) a.argmax = places(c, 2), a.argmax_stride = a.dy_stride, a.pool = pool_of(c.node.attrs);
  a.saved = c.has(3) ? c.in(3) : nullptr;
  a.saved_act = unary_spec(c.node.attrs);
  a.dropout = dropout_spec(c);
  c.call(c.kernels.conv2d_grad_input, a, conv_time(a.shape));
}

void lower_transpose(LowerContext& c) {
  Conv2dGradInputArgs a = grad_input_args(c);
  a.bias = c.has(2) ? c.in(2) : nullptr;
  a.act = unary_spec(c.node.attrs);
  c.call(c.kernels.conv2d_grad_input, a, conv_time(a.shape));
}

std::vector<ValueSpec> infer_flip_kernel(const InferContext& c) {
  ConvShape s{};
  const Shape &w = c.shape(0), window = kernel_window(w);
  s.kh = window.size() == 2 ? window[0] : 1, s.kw = window.back(), s.c = w[w.size() - 2], s.f = w.back();
  return {{{conv2d_flipped_size(s)}}};
}
void lower_flip_kernel(LowerContext& c) {
  const Shape& w = c.shape(0);
  const Shape x = c.node.attrs.ints("images");
  Conv2dFlipKernelArgs a{conv_shape(x, kernel_window(w), w.back(), c.node.attrs), c.in(0), c.out()};
  c.call(c.kernels.conv2d_flip_kernel, a, element_count(w) / 2.0);
}

std::vector<ValueSpec> infer_winograd_kernel(const InferContext& c) {
  return {{winograd_kernel_shape(c.shape(0), c.attrs.flag("flipped")), DType::kFloat32, Layout::kPanels}};
}
void lower_winograd_kernel(LowerContext& c) {
  const Shape& w = c.shape(0);
  Conv2dWinogradKernelArgs a{};
  a.c = w[2], a.f = w[3];
  a.flipped = c.node.attrs.flag("flipped"), a.w = c.in(0), a.transformed = c.out();
  c.call(c.kernels.conv2d_winograd_kernel, a, element_count(w) / 2.0);
}

// Attributes of the convolution, and window: the spatial sizes of its kernel.
std::vector<ValueSpec> infer_grad_kernel(const InferContext& c) {
  c.expect_inputs(2, 2);
  const Shape &x = c.shape(0), &dy = c.shape(1);
  Shape w = c.attrs.ints("window");
  w.push_back(x.back());
  w.push_back(dy.back());
  check_images(c, x, w);
  const ConvShape s = conv_shape(x, kernel_window(w), w.back(), c.attrs);
  c.check(dy == image_shape(x[0], output_spatial(s, w.size() - 2), w.back()), "has no gradient of shape ", dy);
  return {{w, DType::kFloat32, Layout::kPanels}};
}

void gradient_grad_kernel(GradientContext& c) {
  const Shape x = c.graph.shape(c.input(0));
  if (c.wanted[0]) {
    c.result[0] =
        c.record("conv2d_grad_input", {c.input(1), c.dy}, gradient_attrs(c.node.attrs, "size", spatial(x, 1)));
  }
  if (c.wanted[1]) c.result[1] = c.record("conv2d", {c.input(0), c.dy}, c.node.attrs);
}

// Inputs: x, dy, the places of the maxima or none; when an update is fused: w, slots..., [grad_scale], scalars.
Conv2dGradKernelArgs grad_kernel_args(LowerContext& c) {
  const Shape &x = c.shape(0), &dy = c.shape(1);
  Conv2dGradKernelArgs a{};
  a.shape = conv_shape(x, c.node.attrs.ints("window"), dy.back(), c.node.attrs);
  a.x = c.in(0), a.dy = c.in(1);
  a.x_stride = row_layout(x).stride, a.dy_stride = row_layout(dy).stride;
  a.pool = {1, 1};
  if (c.has(2)) a.argmax = places(c, 2), a.argmax_stride = a.dy_stride, a.pool = pool_of(c.node.attrs);
  c.flops = conv_flops(a.shape);
  return a;
}

void lower_grad_kernel(LowerContext& c) {
  Conv2dGradKernelArgs a = grad_kernel_args(c);
  if (c.has(3)) {
    a.w = c.mutable_in(3);
    a.update = update_spec(c, 4);
  } else {
    a.grad = c.out();
  }
  c.call(c.kernels.conv2d_grad_kernel, a, conv_time(a.shape));
}

std::vector<ValueSpec> infer_partials(const InferContext& c) { return {{c.attrs.ints("shape")}}; }
void lower_partials(LowerContext& c) {
  const RowLayout rows = row_layout(c.out_shape());
  Conv2dGradKernelPartialsArgs a{grad_kernel_args(c), rows.rows, c.out(), rows.stride, c.node.attrs.flag("winograd")};
  c.call(c.kernels.conv2d_grad_kernel_partials, a, conv_time(a.gradient.shape));
}

// Inputs: w, scale (F).
std::vector<ValueSpec> infer_scale_panels(const InferContext& c) {
  return {{c.shape(0), DType::kFloat32, Layout::kPanels}};
}
void lower_scale_panels(LowerContext& c) {
  const Shape& w = c.shape(0);
  ScalePanelsArgs a{panel_rows(w), w.back(), c.in(0), c.in(1), c.out()};
  c.call(c.kernels.scale_panels, a, element_count(w) / 8.0);
}

}  // namespace

Shape winograd_kernel_shape(const Shape& w, bool flipped) {
  return flipped ? Shape{4, 4, w[3], w[2]} : Shape{4, 4, w[2], w[3]};
}

bool goes_winograd(const Graph& graph, const Node& node, const KernelTable& kernels) {
  const Shape &x = graph.shape(node.inputs[0]), &w = graph.shape(node.inputs[1]);
  return kernels.winograd && suits_winograd(conv_shape(x, kernel_window(w), w.back(), node.attrs));
}

ConvShape conv_shape_of_grad_kernel(const Graph& graph, const Node& node) {
  const Shape &x = graph.shape(node.inputs[0]), &dy = graph.shape(node.inputs[1]);
  return conv_shape(x, node.attrs.ints("window"), dy.back(), node.attrs);
}

const OpDef kConv2d = {"conv2d", infer_conv2d, gradient_conv2d, lower_conv2d};
const OpDef kConv2dTranspose = {"conv2d_transpose", infer_grad_input, gradient_grad_input, lower_transpose};
const OpDef kConv2dGradInput = {"conv2d_grad_input", infer_grad_input, gradient_grad_input, lower_grad_input};
const OpDef kConv2dFlipKernel = {"conv2d_flip_kernel", infer_flip_kernel, nullptr, lower_flip_kernel};
const OpDef kConv2dGradKernel = {"conv2d_grad_kernel", infer_grad_kernel, gradient_grad_kernel, lower_grad_kernel};
const OpDef kConv2dGradKernelPartials = {"conv2d_grad_kernel_partials", infer_partials, nullptr, lower_partials};
const OpDef kConv2dWinogradKernel = {"conv2d_winograd_kernel", infer_winograd_kernel, nullptr, lower_winograd_kernel};
const OpDef kScalePanels = {"scale_panels", infer_scale_panels, nullptr, lower_scale_panels};

}  // namespace weft
