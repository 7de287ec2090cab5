// Convolution over images in NHWC with a kernel in HWIO, stored in panels, in its three roles. A convolution over
// one axis is one over images of height 1. No role ever builds the patch matrix of a whole input.
#pragma once

#include <cstdint>

#include "core/types.h"
#include "ops/copy.h"
#include "ops/dropout.h"
#include "ops/unary.h"
#include "ops/update.h"

namespace weft {

// Output pixel (oy, ox) sees input pixels (oy*stride_y - top + ky*dilation_y, ox*stride_x - left + kx*dilation_x);
// those outside of the image count as 0.
struct ConvShape {
  int64_t n;                       // images
  int64_t h, w, c;                 // input
  int64_t oh, ow, f;               // output, before any pooling
  int64_t kh, kw;                  // kernel
  int64_t stride_y, stride_x;      // one of stride and dilation is 1
  int64_t dilation_y, dilation_x;  //
  int64_t top, left;               // rows and columns of zeros before the image
};

// Max-pooling that follows the convolution: windows of h x w, as far apart as they are wide; what is left over
// at the end of a row or column is dropped. 1 x 1 is none. With pooling on, a gradient of the output comes as
// the gradient of the pooled output and the place of each maximum, py * w + px within its window.
struct ConvPool {
  int64_t h, w;
};

// y = dropout(pool(act(conv(x, w) + bias)))
struct Conv2dForwardArgs {
  ConvShape shape;
  const float* x;     // (n, h, w, c), image stride x_stride
  const float* w;     // panels (f/16, kh*kw*c, 16)
  const float* bias;  // (round_up(f, 16)), or null
  float* y;           // (n, oh/pool.h, ow/pool.w, f), image stride y_stride
  uint8_t* argmax;    // (n, oh/pool.h, ow/pool.w, f), image stride argmax_stride; null where no one asks
  int64_t x_stride, y_stride, argmax_stride;
  UnarySpec act;
  ConvPool pool;
  DropoutSpec dropout;  // over y: row_size oh/pool.h * ow/pool.w * f
};

// The kernel as conv2d_grad_input reads it. The order within is that kernel's own business.
struct Conv2dFlipKernelArgs {
  ConvShape shape;
  const float* w;  // panels (f/16, kh*kw*c, 16)
  float* flipped;  // (conv2d_flipped_size(shape))
};
static constexpr int64_t conv2d_flipped_size(const ConvShape& s) { return panel_size(s.kh * s.kw * s.f, s.c); }

// dx = the transposed convolution of dy, and then one of two things:
// - a gradient: dx * dropout mask * saved_act'(saved), what lies before the convolution; saved as in
//   DenseGradInputArgs (the input as stored: after its dropout);
// - the forward pass of conv2d_transpose: act(dx + bias).
struct Conv2dGradInputArgs {
  ConvShape shape;        // of the convolution whose gradient this is: dx is its input
  const float* dy;        // (n, oh/pool.h, ow/pool.w, f), image stride dy_stride
  const uint8_t* argmax;  // as dy, image stride argmax_stride; null without pooling
  const float* flipped;   // (conv2d_flipped_size(shape))
  const float* bias;      // (round_up(c, 16)), or null
  const float* saved;     // (n, h, w, c), image stride dx_stride; null when saved_act is kIdentity and dropout is off
  float* dx;              // (n, h, w, c), image stride dx_stride
  int64_t dy_stride, argmax_stride, dx_stride;
  ConvPool pool;
  UnarySpec act;        // of the forward pass
  UnarySpec saved_act;  // of the gradient
  DropoutSpec dropout;  // over dx: row_size h*w*c
};

// grad = the gradient of the kernel, in panels; with an update rule it is applied at once and never stored.
// Each element is one chain of FMAs over images, rows and columns, in this order.
struct Conv2dGradKernelArgs {
  ConvShape shape;
  const float* x;         // (n, h, w, c), image stride x_stride
  const float* dy;        // (n, oh/pool.h, ow/pool.w, f), image stride dy_stride
  const uint8_t* argmax;  // as dy, image stride argmax_stride; null without pooling
  float* grad;            // panels (f/16, kh*kw*c, 16), padding lanes 0; null when an update rule is given
  float* w;               // as grad, updated in place; padding lanes stay 0
  int64_t x_stride, dy_stride, argmax_stride;
  ConvPool pool;
  UpdateSpec update;
};

// A kernel too small to be shared out among threads by its elements: the images are cut into `groups` runs, near
// equal, the longer first, and partials[g] is the gradient from run g alone. Their sum in order is the gradient.
struct Conv2dGradKernelPartialsArgs {
  Conv2dGradKernelArgs gradient;  // without grad, w and update
  int64_t groups;
  float* partials;  // (groups, panel_size(kh*kw*c, f)) at partials_stride; padding lanes 0
  int64_t partials_stride;
};
// A function of the shape alone, so that the result does not depend on the number of threads; 1: no partials.
static constexpr int64_t conv2d_grad_kernel_groups(const ConvShape& s) {
  if (panel_size(s.kh * s.kw * s.c, s.f) > 16 * 14 * 32) return 1;  // enough register tiles for 16 threads
  return s.n < 16 ? s.n : 16;
}

// Images [begin, end) of run `group`.
struct ImageRange {
  int64_t begin, end;
};
static constexpr ImageRange conv2d_group(int64_t n, int64_t groups, int64_t group) {
  const int64_t length = n / groups, longer = n % groups;
  const int64_t begin = group * length + (group < longer ? group : longer);
  return {begin, begin + length + (group < longer)};
}

// y[..., j] = w[..., j] * scale[j], in panels (batch normalization folded into a kernel).
struct ScalePanelsArgs {
  int64_t k, n;
  const float* w;      // panels (n/16, k, 16)
  const float* scale;  // (n), readable up to round_up(n, 16); any value there
  float* y;            // panels (n/16, k, 16)
};

}  // namespace weft
