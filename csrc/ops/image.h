// Ops on images in NHWC that augmentation is made of: resampling along an affine map, and smoothing of random fields.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

// What lies outside of an image a b c d: k k k k, or a a a a | | d d d d, d c b a | | d c b a, a b c d | | a b c d.
enum class FillMode : uint8_t { kConstant, kNearest, kReflect, kWrap };

// Pixel (i, j) of y shows the place (row, column) of x, of the same channel:
//   column = m[0]*j + m[1]*i + m[2] + displacement[1, i, j]
//   row    = m[3]*j + m[4]*i + m[5] + displacement[0, i, j]
// with the matrix m of its image. Between pixels: bilinear, or the pixel at floor(place + 1/2). The pixels that this
// takes from outside of the image are those of `fill_mode`. A place that is not finite shows NaN.
struct AffineMap {
  const float* matrices;      // (n, 6), stride matrix_stride
  const float* displacement;  // (n, 2, oh, ow), image stride displacement_stride; null for none
  int64_t matrix_stride, displacement_stride;
  int64_t n, h, w, c;  // of x
  int64_t oh, ow;      // of y
  FillMode fill_mode;
  bool bilinear;
  float fill_value;  // k of the constant mode
};
struct AffineTransformArgs {
  AffineMap map;
  const float* x;  // (n, h, w, c), image stride x_stride
  float* y;        // (n, oh, ow, c), image stride y_stride
  int64_t x_stride, y_stride;
};

// dx: each pixel's dy, added to the pixels of x that it was taken from, with their weights.
struct AffineTransformGradArgs {
  AffineMap map;
  const float* dy;  // (n, oh, ow, c), image stride dy_stride
  float* dx;        // (n, h, w, c), image stride dx_stride
  int64_t dy_stride, dx_stride;
};

// Each plane of x filtered along its rows, then along its columns, with weights
// exp(-d*d / (2 sigma*sigma)), |d| <= radius, that sum to 1; outside of a plane is 0. Then multiplied by `scale`.
static constexpr int kMaxFilterRadius = 255;
struct GaussianFilterArgs {
  const float* x;  // (n, planes, h, w), stride x_stride
  float* y;        // (n, planes, h, w), stride y_stride
  float* scratch;  // (scratch_planes, h, w_padded), stride scratch_stride: one plane for each tile that may run
  int64_t n, planes, h, w, x_stride, y_stride;
  int64_t scratch_planes, w_padded, scratch_stride;
  int radius;
  float scale;
  float weights[kMaxFilterRadius + 1];  // of the distances 0 to radius
};

}  // namespace weft
