// Softmax over the last axis, and softmax with cross-entropy and its gradient in one pass over a row.
#pragma once

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"

namespace weft {

// y = softmax(x), or log softmax.
struct SoftmaxArgs {
  const float* x;  // (rows, row_size), stride x_stride
  float* y;        // (rows, row_size), stride y_stride; may be x
  int64_t rows, row_size, x_stride, y_stride;
  bool log;
};

// dx from dy and the softmax's value: y*(dy - sum(dy*y)), or dy - exp(y)*sum(dy) for log softmax.
struct SoftmaxGradArgs {
  const float* dy;  // (rows, row_size)
  const float* y;   // (rows, row_size)
  float* dx;        // (rows, row_size)
  int64_t rows, row_size, dy_stride, y_stride, dx_stride;
  bool log;
};

// loss[r] = -sum_c t_c log softmax(x)_c, t one-hot from `labels` or given as `targets`, smoothed:
// t*(1-smoothing) + smoothing/row_size. dx[r] = (softmax(x)*sum(t) - t) * dloss[r].
struct SoftmaxCrossEntropyArgs {
  const float* x;         // (rows, row_size) logits, stride x_stride
  const int32_t* labels;  // (rows), or null; a label outside [0, row_size) gives a NaN loss and a zero gradient
  const float* targets;   // (rows, row_size), stride targets_stride, or null
  float* loss;            // (rows), or null
  const float* dloss;     // (rows), or null when dx is
  float* dx;              // (rows, row_size), stride dx_stride, or null
  int64_t rows, row_size, x_stride, targets_stride, dx_stride;
  float smoothing;
  StepState* state;  // or null; abort_step is set if a loss is not finite
};

}  // namespace weft
