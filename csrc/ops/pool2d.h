// Max- and average-pooling over images in NHWC, with any window, stride and padding.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

struct PoolShape {
  int64_t n, h, w, c;          // input
  int64_t oh, ow;              // output
  int64_t window_h, window_w;  //
  int64_t stride_y, stride_x;  //
  int64_t top, left;           // rows and columns of padding before the image
};

// y = the largest element of each window, NaN if it has one; padding never is. The place of the first largest is
// py * window_w + px within its window.
struct MaxPool2dArgs {
  PoolShape shape;
  const float* x;   // (n, h, w, c), image stride x_stride
  float* y;         // (n, oh, ow, c), image stride y_stride
  uint8_t* argmax;  // (n, oh, ow, c), image stride argmax_stride; null where no one asks
  int64_t x_stride, y_stride, argmax_stride;
};

// dx = dy where x was the largest, summed over the windows it was in, else 0.
struct MaxPool2dGradArgs {
  PoolShape shape;
  const float* dy;        // (n, oh, ow, c), image stride dy_stride
  const uint8_t* argmax;  // (n, oh, ow, c), image stride argmax_stride
  float* dx;              // (n, h, w, c), image stride dx_stride
  int64_t dy_stride, argmax_stride, dx_stride;
};

// y = the mean of each window, over what lies within the image.
struct AvgPool2dArgs {
  PoolShape shape;
  const float* x;  // (n, h, w, c), image stride x_stride
  float* y;        // (n, oh, ow, c), image stride y_stride
  int64_t x_stride, y_stride;
};

// dx = the sum over the windows of each element of dy / (elements of that window).
struct AvgPool2dGradArgs {
  PoolShape shape;
  const float* dy;  // (n, oh, ow, c), image stride dy_stride
  float* dx;        // (n, h, w, c), image stride dx_stride
  int64_t dy_stride, dx_stride;
};

}  // namespace weft
