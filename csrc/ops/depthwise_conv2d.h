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

// Each element is a sum over all outputs, counted through images, rows and columns. A device may cut them into `groups`
// near equal runs, with the sum of each in partials[g], and add these up in order; or do without.
struct DepthwiseConv2dGradKernelArgs {
  ConvShape shape;
  const float* x;   // (n, h, w, c), image stride x_stride
  const float* dy;  // (n, oh, ow, f), image stride dy_stride
  float* grad;      // (kh, kw, f), strides w_stride_y, w_stride_x
  float* partials;  // (groups, kh*kw*f), stride partials_stride
  int64_t w_stride_y, w_stride_x;
  int64_t x_stride, dy_stride, partials_stride;
  int64_t groups;
};
// A function of the shape alone, so that the result is the same on every GPU: about 512 blocks of up to 32
// channels and 9 taps, each with enough outputs to be worth one.
static constexpr int64_t depthwise_conv2d_grad_kernel_groups(const ConvShape& s) {
  const int64_t blocks = (s.f + 31) / 32 * ((s.kh * s.kw + 8) / 9), most = blocks < 512 ? 512 / blocks : 1;
  const int64_t worth = s.n * s.oh * s.ow * (s.f < 32 ? s.f : 32) / 4096;
  return worth < 1 ? 1 : worth < most ? worth : most;
}

}  // namespace weft
