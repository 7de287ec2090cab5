// Optimizer updates: elementwise rules over a variable, its gradient and its slots. A rule runs on its
// own over arrays, or inside the epilogue of the kernel that makes the gradient.
#pragma once

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"

namespace weft {

enum class UpdateRule : uint8_t {
  kNone,                     // no update: the gradient itself is stored
  kSgd,                      // w -= lr*g
  kMomentum,                 // m = mu*m - lr*g;  w += m
  kNesterov,                 // m = mu*m - lr*g;  w += mu*m - lr*g
  kRmsprop,                  // v = rho*v + (1-rho)*g^2;  w -= lr*g / sqrt(v + eps)
  kRmspropMomentum,          // as kRmsprop, m = mu*m + lr*g / sqrt(v + eps);  w -= m
  kRmspropCentered,          // v as above, a = rho*a + (1-rho)*g;  w -= lr*g / sqrt(v - a^2 + eps)
  kRmspropCenteredMomentum,  // slots v, a, m
  kAdam,                     // m += (1-b1)*(g-m);  v += (1-b2)*(g^2-v);  w -= step*m / (sqrt(v) + eps)
  kAmsgrad,                  // as kAdam with h = max(h, v) in the denominator
  kAdagrad,                  // a += g^2;  w -= lr*g / sqrt(a + eps)
};

// What a rule needs besides the arrays. Before the rule: g *= *grad_scale (if given), then clipped to
// +-clip_value (if > 0), then g += l1*sign(w) + 2*l2*w, and w *= scalars[1].
struct UpdateSpec {
  UpdateRule rule;
  const float*
      scalars;  // (2): step size (lr, for Adam with bias correction), 1 - lr*weight_decay; null when rule is kNone
  const float* grad_scale;  // (1) or null
  float p0, p1, epsilon;    // momentum or rho or beta_1; momentum (RMSprop) or beta_2
  float clip_value, l1, l2;
  float* slot0;  // as the variable: m (SGD, Adam), v (RMSprop), accumulator (Adagrad)
  float* slot1;  // v (Adam), then a, m of RMSprop in the order given above
  float* slot2;
};

// One variable updated from a stored gradient. `size` counts the whole storage, padding included.
struct UpdateArgs {
  float* w;           // (size)
  const float* grad;  // (size)
  int64_t size;
  UpdateSpec spec;
};

// scalars = {step size, 1 - lr*weight_decay} of this step from state->learning_rate and state->iteration.
// Adam: step = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t), t = iteration + 1, computed in double.
struct UpdateScalarsArgs {
  const StepState* state;
  float* scalars;  // (2)
  UpdateRule rule;
  float beta_1, beta_2, weight_decay;
};

}  // namespace weft
