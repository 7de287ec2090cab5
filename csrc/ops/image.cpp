// affine_transform with its gradient, and gaussian_filter.
#include "ops/image.h"

#include <algorithm>
#include <cmath>

#include "ops/op_table.h"

namespace weft {

namespace {

constexpr const char* kFillModes[] = {"constant", "nearest", "reflect", "wrap"};

bool find_fill_mode(const std::string& name, FillMode& mode) {
  const auto found = std::find(std::begin(kFillModes), std::end(kFillModes), name);
  mode = static_cast<FillMode>(found - std::begin(kFillModes));
  return found != std::end(kFillModes);
}

// Attribute size: height and width of the result, by default those of x.
std::vector<ValueSpec> infer_affine_transform(const InferContext& c) {
  c.expect_inputs(2, 3);
  const Shape& x = c.shape(0);
  for (size_t i = 0; i < c.count(); ++i) c.expect_float(static_cast<int>(i));
  c.check(x.size() == 4, "expects images of shape (batch, height, width, channels), got ", x);
  Shape size = c.attrs.ints("size");
  if (size.empty()) size = {x[1], x[2]};
  c.check(size.size() == 2 && size[0] >= 1 && size[1] >= 1, "expects a height and a width of at least 1, got ", size);
  c.check(c.shape(1) == Shape{x[0], 6}, "expects matrices of shape ", Shape{x[0], 6}, ", got ", c.shape(1));
  const Shape displacement = {x[0], 2, size[0], size[1]};
  c.check(c.count() < 3 || c.shape(2) == displacement, "expects a displacement of shape ", displacement, ", got ",
          c.shape(static_cast<int>(c.count()) - 1));
  const std::string interpolation = c.attrs.text("interpolation"), fill_mode = c.attrs.text("fill_mode");
  c.check(interpolation == "bilinear" || interpolation == "nearest",
          "expects interpolation 'bilinear' or 'nearest', got '", interpolation, "'");
  FillMode mode;
  c.check(find_fill_mode(fill_mode, mode), "expects fill_mode 'constant', 'nearest', 'reflect' or 'wrap', got '",
          fill_mode, "'");
  c.check(x[1] >= 1 && x[2] >= 1, "expects images with pixels, got shape ", x);
  // The kernels count the elements of an image in floats.
  const int64_t most = int64_t{1} << 24;
  c.check(std::max(x[1] * x[2], size[0] * size[1]) * x[3] <= most, "expects images of at most ", most,
          " numbers, got shape ", x);
  return {{{x[0], size[0], size[1], x[3]}}};
}

void gradient_affine_transform(GradientContext& c) {
  bool map_wanted = c.wanted[1];
  if (c.wanted.size() > 2) map_wanted = map_wanted || c.wanted[2];
  check(!map_wanted, c.node.layer.empty() ? "affine_transform" : c.node.layer,
        ": the gradient with respect to the map is not available; use stop_gradient");
  if (!c.wanted[0]) return;
  std::vector<ValueId> inputs = c.node.inputs;
  inputs[0] = c.dy;
  Attrs attrs = c.node.attrs;
  attrs.set("shape", c.graph.shape(c.input(0)));
  c.result[0] = c.record("affine_transform_grad", inputs, attrs);
}

std::vector<ValueSpec> infer_affine_transform_grad(const InferContext& c) { return {{c.attrs.ints("shape")}}; }

AffineMap affine_map(const LowerContext& c, const Shape& x, const Shape& y) {
  AffineMap map{};
  map.matrices = c.in(1);
  map.matrix_stride = row_layout(c.shape(1)).stride;
  if (c.has(2)) {
    map.displacement = c.in(2);
    map.displacement_stride = row_layout(c.shape(2)).stride;
  }
  map.n = x[0], map.h = x[1], map.w = x[2], map.c = x[3];
  map.oh = y[1], map.ow = y[2];
  check(find_fill_mode(c.node.attrs.text("fill_mode"), map.fill_mode), "unknown fill_mode");
  map.bilinear = c.node.attrs.text("interpolation") == "bilinear";
  map.fill_value = c.node.attrs.real("fill_value");
  return map;
}

void lower_affine_transform(LowerContext& c) {
  const Shape &x = c.shape(0), &y = c.out_shape();
  c.call(c.kernels.affine_transform,
         AffineTransformArgs{affine_map(c, x, y), c.in(0), c.out(), row_layout(x).stride, row_layout(y).stride},
         static_cast<double>(element_count(y)) * 2.0);
}

void lower_affine_transform_grad(LowerContext& c) {
  const Shape &dy = c.shape(0), &dx = c.out_shape();
  c.call(c.kernels.affine_transform_grad,
         AffineTransformGradArgs{affine_map(c, dx, dy), c.in(0), c.out(), row_layout(dy).stride, row_layout(dx).stride},
         static_cast<double>(element_count(dy)) * 5.0);
}

// A second result is a place for a half-filtered plane of each tile; more tiles than that there are never.
constexpr int64_t kMostTiles = 32;

std::vector<ValueSpec> infer_gaussian_filter(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  const Shape& x = c.shape(0);
  c.check(x.size() == 4, "expects planes of shape (batch, planes, height, width), got ", x);
  const double sigma = c.attrs.number("sigma");
  const int64_t radius = c.attrs.integer("radius");
  c.check(sigma > 0, "expects a sigma above 0, got ", sigma);
  c.check(radius >= 0 && radius <= kMaxFilterRadius, "expects a radius from 0 to ", kMaxFilterRadius, ", got ", radius);
  return {{x}, {{std::min(x[0] * x[1], kMostTiles), x[2], round_up(x[3], 2 * kPanel)}}};
}

// The filter is symmetric.
void gradient_gaussian_filter(GradientContext& c) { c.result[0] = c.record("gaussian_filter", {c.dy}, c.node.attrs); }

void lower_gaussian_filter(LowerContext& c) {
  const Shape &x = c.shape(0), &scratch = c.out_shape(1);
  GaussianFilterArgs args{};
  args.x = c.in(0), args.y = c.out(), args.scratch = c.out(1);
  args.n = x[0], args.planes = x[1], args.h = x[2], args.w = x[3];
  args.x_stride = args.y_stride = row_layout(x).stride;
  args.scratch_planes = scratch[0], args.w_padded = scratch[2], args.scratch_stride = row_layout(scratch).stride;
  args.radius = static_cast<int>(c.node.attrs.integer("radius"));
  args.scale = c.node.attrs.real("scale", 1);
  const double sigma = c.node.attrs.number("sigma");
  const auto weight = [&](int d) { return std::exp(-0.5 * d * d / (sigma * sigma)); };
  double sum = 1;
  for (int d = 1; d <= args.radius; ++d) sum += 2 * weight(d);
  for (int d = 0; d <= args.radius; ++d) args.weights[d] = static_cast<float>(weight(d) / sum);
  const double taps = static_cast<double>(std::min<int64_t>(2 * args.radius + 1, args.h) +
                                          std::min<int64_t>(2 * args.radius + 1, args.w));
  c.call(c.kernels.gaussian_filter, args, static_cast<double>(element_count(x)) * taps / 40);
}

// Linear in dy, and the adjoint of the transform with zeros outside.
void gradient_affine_transform_grad(GradientContext& c) {
  if (!c.wanted[0]) return;
  std::vector<ValueId> inputs = c.node.inputs;
  inputs[0] = c.dy;
  Attrs attrs = c.node.attrs;
  attrs.set("fill_value", 0.0);
  c.result[0] = c.record("affine_transform", inputs, attrs);
}

}  // namespace

const OpDef kAffineTransform = {"affine_transform", infer_affine_transform, gradient_affine_transform,
                                lower_affine_transform};
const OpDef kAffineTransformGrad = {"affine_transform_grad", infer_affine_transform_grad,
                                    gradient_affine_transform_grad, lower_affine_transform_grad};
const OpDef kGaussianFilter = {"gaussian_filter", infer_gaussian_filter, gradient_gaussian_filter,
                               lower_gaussian_filter};

}  // namespace weft
