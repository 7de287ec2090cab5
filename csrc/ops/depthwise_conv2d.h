// Depthwise convolution over images in NHWC: each channel on its own, with m kernels. One over sequences is one over
// images of height 1. Kernels are (kh, kw, c, m): the f = c*m elements of a place lie side by side.
#pragma once

#include <cstdint>

#include "ops/conv2d.h"

namespace weft {

// y[..., c*m' + m] = the convolution of channel c with its kernel m, + bias. m' = f / c.
struct DepthwiseConv2dArgs {
  ConvShape shape;
  const float* x;     // (n, h, w, c), image stride x_stride
  const float* w;     // (kh, kw, f), strides w_stride_y, w_stride_x
  const float* bias;  // (f), readable up to round_up(f, 16); or null
  float* y;           // (n, oh, ow, f), image stride y_stride
  int64_t w_stride_y, w_stride_x;
  int64_t x_stride, y_stride;
};

struct DepthwiseConv2dGradInputArgs {
  ConvShape shape;
  const float* dy;  // (n, oh, ow, f), image stride dy_stride
  const float* w;   // (kh, kw, f), strides w_stride_y, w_stride_x
  float* dx;        // (n, h, w, c), image stride dx_stride
  int64_t w_stride_y, w_stride_x;
  int64_t dy_stride, dx_stride;
};

// Each element is one chain of FMAs over images, rows and columns, in this order.
struct DepthwiseConv2dGradKernelArgs {
  ConvShape shape;
  const float* x;   // (n, h, w, c), image stride x_stride
  const float* dy;  // (n, oh, ow, f), image stride dy_stride
  float* grad;      // (kh, kw, f), strides w_stride_y, w_stride_x
  int64_t w_stride_y, w_stride_x;
  int64_t x_stride, dy_stride;
};

}  // namespace weft
