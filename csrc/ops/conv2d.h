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

// --- Winograd's F(2x2, 3x3) --------------------------------------------------------------------------------
// A 3x3 convolution in blocks of 2x2 outputs, each from 4x4 inputs, with 16 multiplications a channel pair instead of
// 36: Y = A^T [(G g G^T) * (B^T d B)] A (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015).
// On a device that has it (KernelTable::winograd) the plan makes the transformed kernel G g G^T anew in every step.

// Kernel elements that see the image, over all outputs of one axis of a 3x3 convolution.
static constexpr int64_t taps_of_three(int64_t size, int64_t outputs, int64_t before) {
  int64_t taps = 0;
  for (int64_t k = 0; k < 3; k++) {
    const int64_t begin = before - k > 0 ? before - k : 0,
                  end = size + before - k < outputs ? size + before - k : outputs;
    taps += end > begin ? end - begin : 0;
  }
  return taps;
}

static constexpr int64_t winograd_blocks(int64_t outputs) { return (outputs + 1) / 2; }  // of one axis
static constexpr int64_t blocks_of_image(const ConvShape& s) { return winograd_blocks(s.oh) * winograd_blocks(s.ow); }

// Whether Winograd's blocks save more multiplications than their transforms cost; a function of the image's and the
// kernel's shape alone, so that a row of the batch gives the same bits in any batch. A block costs what 20 taps do;
// more where the transformed kernel comes from a shared cache or from memory: 7x7 images of 512 channels lose a
// quarter.
static constexpr bool suits_winograd(const ConvShape& s) {
  if (s.kh != 3 || s.kw != 3 || s.stride_y != 1 || s.stride_x != 1 || s.dilation_y != 1 || s.dilation_x != 1)
    return false;
  if (s.c < 16 || s.f < 16 || s.c > 1024 || s.f > 1024) return false;
  const int64_t taps = taps_of_three(s.h, s.oh, s.top) * taps_of_three(s.w, s.ow, s.left);
  return (s.c * s.f < (1 << 17) ? 20 : 30) * blocks_of_image(s) <= taps;
}

// The convolution over dy that gives dx, for strides of 1; its kernel is the flipped one.
static constexpr ConvShape grad_input_shape(const ConvShape& s) {
  ConvShape t = s;
  t.h = s.oh, t.w = s.ow, t.c = s.f, t.oh = s.h, t.ow = s.w, t.f = s.c;
  t.top = (s.kh - 1) * s.dilation_y - s.top, t.left = (s.kw - 1) * s.dilation_x - s.left;
  return t;
}

// transformed = G g G^T of each (c, f).
struct Conv2dWinogradKernelArgs {
  int64_t c, f;
  bool flipped;        // as conv2d_grad_input reads it: turned by 180 degrees, inputs and filters exchanged
  const float* w;      // panels (f/16, 9*c, 16)
  float* transformed;  // panels (f/16, 16*c, 16); flipped: (c/16, 16*f, 16)
};

// y = dropout(pool(act(conv(x, w) + bias)))
struct Conv2dForwardArgs {
  ConvShape shape;
  const float* x;     // (n, h, w, c), image stride x_stride
  const float* w;     // panels (f/16, kh*kw*c, 16); with winograd the transformed kernel (f/16, 16*c, 16)
  const float* bias;  // (round_up(f, 16)), or null
  float* y;           // (n, oh/pool.h, ow/pool.w, f), image stride y_stride
  uint8_t* argmax;    // (n, oh/pool.h, ow/pool.w, f), image stride argmax_stride; null where no one asks
  int64_t x_stride, y_stride, argmax_stride;
  UnarySpec act;
  ConvPool pool;        // 1 x 1 or 2 x 2 with winograd
  DropoutSpec dropout;  // over y: row_size oh/pool.h * ow/pool.w * f
  bool winograd;
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
  const float* flipped;   // (conv2d_flipped_size(shape)); with winograd the transformed kernel (c/16, 16*f, 16)
  const float* bias;      // (round_up(c, 16)), or null
  const float* saved;     // (n, h, w, c), image stride dx_stride; null when saved_act is kIdentity and dropout is off
  float* dx;              // (n, h, w, c), image stride dx_stride
  int64_t dy_stride, argmax_stride, dx_stride;
  ConvPool pool;
  UnarySpec act;        // of the forward pass
  UnarySpec saved_act;  // of the gradient
  DropoutSpec dropout;  // over dx: row_size h*w*c
  bool winograd;
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

// Where the elements of a kernel are too few to be shared out among threads, or are Winograd's, which are finished
// only together: the images are cut into `groups` runs, near equal, the longer first, and partials[g] is the gradient
// from run g alone. Their sum in order is the gradient.
struct Conv2dGradKernelPartialsArgs {
  Conv2dGradKernelArgs gradient;  // without grad, w and update
  int64_t groups;
  float* partials;  // (groups, panel_size(kh*kw*c, f)) at partials_stride; padding lanes 0
  int64_t partials_stride;
  bool winograd;  // each element is a sum over Winograd's blocks
};

// A unit of the kernel's gradient by Winograd's way: up to kWinogradInputs inputs times winograd_filters(c) filters.
constexpr int64_t kWinogradInputs = 64;
static constexpr int64_t winograd_filters(int64_t c) { return c <= kWinogradInputs / 2 ? 64 : 32; }
static constexpr int64_t winograd_units(const ConvShape& s) {
  const int64_t filters = winograd_filters(s.c);
  return (s.c + kWinogradInputs - 1) / kWinogradInputs * ((s.f + filters - 1) / filters);
}
// Whether there are enough blocks to make up for the transform of the sums.
constexpr int64_t kWinogradGroupBlocks = 96;
static constexpr bool grad_kernel_suits_winograd(const ConvShape& s) {
  return suits_winograd(s) && s.n * blocks_of_image(s) >= kWinogradGroupBlocks;
}

// A function of the shape alone, so that the result does not depend on the number of threads; 1: no partials, except
// with winograd, where one run is a partial, too.
static constexpr int64_t conv2d_grad_kernel_groups(const ConvShape& s, bool winograd) {
  if (winograd) {
    int64_t groups = winograd_units(s) < 16 ? 16 / winograd_units(s) : 1;
    if (groups > s.n) groups = s.n;
    const int64_t worthwhile = s.n * blocks_of_image(s) / kWinogradGroupBlocks;
    return groups < worthwhile ? groups : worthwhile;
  }
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
