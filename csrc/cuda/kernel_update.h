// The end of a kernel gradient: the gradient is stored in panels, or the optimizer's rule uses it up at once.
#pragma once

#include "cuda/lane.h"
#include "ops/update_rules.h"

namespace weft::cuda {

// The rule on `n` elements of a variable from `at` on; the gradient is used up.
WEFT_FUNCTION void update_elements(const UpdateSpec& spec, float* w, int64_t at, float* grad, int64_t n) {
  if (needs_preparation(spec)) prepare_update(spec, grad, w + at, n);
  apply_update(spec, w, at, grad, n);
}

struct KernelGradEpilogue {
  static constexpr int rows_per_item = 1;
  float* grad;  // panels (n/16, k, 16) of each split, or null with a rule
  float* w;     // as grad
  int64_t k;
  UpdateSpec update;
  int64_t split_stride = 0;  // from one split's gradient to the next one's

  __device__ void store4(int64_t row, int64_t column, const float* c, int) const {
    const int64_t at = column / kPanel * kPanel * k + row * kPanel + column % kPanel;
    if (update.rule == UpdateRule::kNone) {
      *reinterpret_cast<float4*>(grad + blockIdx.z * split_stride + at) = *reinterpret_cast<const float4*>(c);
      return;
    }
    float elements[4] = {c[0], c[1], c[2], c[3]};
    update_elements(update, w, at, elements, 4);
  }
};

}  // namespace weft::cuda
