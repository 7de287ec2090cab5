// The shapes of convolutions, from their attributes.
#include "ops/conv_shape.h"

namespace weft {

namespace {

struct Geometry {
  int64_t stride[2], dilation[2], before[2], after[2];
};
Geometry geometry_of(const Attrs& attrs, int axes) {
  const Shape strides = attrs.ints("strides"), dilation = attrs.ints("dilation"), padding = attrs.ints("padding");
  Geometry g = {{1, 1}, {1, 1}, {0, 0}, {0, 0}};
  for (int i = 0; i < axes; ++i) {
    const int axis = 2 - axes + i;
    if (!strides.empty()) g.stride[axis] = strides.at(i);
    if (!dilation.empty()) g.dilation[axis] = dilation.at(i);
    if (!padding.empty()) g.before[axis] = padding.at(2 * i), g.after[axis] = padding.at(2 * i + 1);
  }
  return g;
}

int64_t output_size(int64_t size, int64_t window, const Geometry& g, int axis) {
  const int64_t free = size + g.before[axis] + g.after[axis] - (window - 1) * g.dilation[axis] - 1;
  return free < 0 ? 0 : free / g.stride[axis] + 1;
}

}  // namespace

ConvShape conv_shape(const Shape& x, const Shape& window, int64_t filters, const Attrs& attrs) {
  const int axes = static_cast<int>(window.size());
  const Geometry g = geometry_of(attrs, axes);
  ConvShape s{};
  s.n = x[0], s.h = axes == 2 ? x[1] : 1, s.w = x[x.size() - 2], s.c = x.back(), s.f = filters;
  s.kh = axes == 2 ? window[0] : 1, s.kw = window.back();
  s.stride_y = g.stride[0], s.stride_x = g.stride[1], s.dilation_y = g.dilation[0], s.dilation_x = g.dilation[1];
  s.top = g.before[0], s.left = g.before[1];
  s.oh = output_size(s.h, s.kh, g, 0), s.ow = output_size(s.w, s.kw, g, 1);
  return s;
}

Shape image_shape(int64_t n, const Shape& size, int64_t channels) {
  Shape shape = {n};
  shape.insert(shape.end(), size.begin(), size.end());
  shape.push_back(channels);
  return shape;
}

void check_geometry(const InferContext& c, size_t axes) {
  const Shape strides = c.attrs.ints("strides"), dilation = c.attrs.ints("dilation"), padding = c.attrs.ints("padding");
  c.check(strides.empty() || strides.size() == axes, "expects ", axes, " strides, got ", strides);
  c.check(dilation.empty() || dilation.size() == axes, "expects ", axes, " dilation rates, got ", dilation);
  c.check(padding.empty() || padding.size() == 2 * axes, "expects ", 2 * axes, " sizes of padding, got ", padding);
  bool strided = false, dilated = false;
  for (int64_t s : strides) {
    c.check(s >= 1, "expects strides of at least 1, got ", strides);
    strided = strided || s > 1;
  }
  for (int64_t d : dilation) {
    c.check(d >= 1, "expects dilation rates of at least 1, got ", dilation);
    dilated = dilated || d > 1;
  }
  c.check(!strided || !dilated, "cannot have strides ", strides, " and dilation ", dilation, " both above 1");
  for (int64_t p : padding) c.check(p >= 0, "expects padding of at least 0, got ", padding);
}

void check_output(const InferContext& c, const ConvShape& s, const Shape& x, const Shape& window) {
  c.check(s.oh >= 1 && s.ow >= 1, "has a kernel of ", window, " that does not fit into inputs of ", spatial(x, 1),
          "; use padding='same' or a smaller kernel");
}

Attrs gradient_attrs(const Attrs& attrs, const char* name, const Shape& sizes) {
  Attrs result = attrs;
  result.set(name, sizes);
  return result;
}

}  // namespace weft
