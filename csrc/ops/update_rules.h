// The optimizer rules on one vector, and over a run of floats. Products whose rounding could be fused into either of
// two sums are rounded by hand, so that every instruction set with FMA computes the same bits. As in unary_functions.h,
// the includer has said what a Vec is, and how one is loaded, stored and its square root taken.
#pragma once

#include "ops/update.h"

namespace weft::WEFT_ISA {
namespace {

// The numbers of a rule, broadcast once per call.
struct RuleConstants {
  Vec step;    // scalars[0]
  Vec p0, p1;  // as in UpdateSpec
  Vec rate0;   // 1 - p0: what RMSprop's and Adam's first average takes in
  Vec rate1;   // 1 - p1
  Vec epsilon;
};

WEFT_INLINE RuleConstants rule_constants(const UpdateSpec& spec) {
  return {broadcast(spec.scalars[0]), broadcast(spec.p0),        broadcast(spec.p1),
          broadcast(1.0f - spec.p0),  broadcast(1.0f - spec.p1), broadcast(spec.epsilon)};
}

// A variable's storage and its slots, all of one layout. Slots that the rule does not use may be null.
struct Variable {
  float *w, *slot0, *slot1, *slot2;
};

// One vector of a variable, `at` floats in, updated from its gradient g. Formulas: ops/update.h; an
// average rho*v + (1-rho)*x is computed as v + (1-rho)*(x - v).
template <UpdateRule rule>
WEFT_INLINE void apply_rule(const RuleConstants& c, const Variable& variable, int64_t at, Vec g) {
  float* const w = variable.w + at;
  float* const slot0 = variable.slot0 + at;
  if constexpr (rule == UpdateRule::kSgd) {
    store(w, load(w) - c.step * g);
  } else if constexpr (rule == UpdateRule::kMomentum) {
    const Vec momentum = c.p0 * load(slot0) - rounded(c.step * g);
    store(slot0, momentum);
    store(w, load(w) + momentum);
  } else if constexpr (rule == UpdateRule::kNesterov) {
    const Vec descent = rounded(c.step * g);
    const Vec momentum = c.p0 * load(slot0) - descent;
    store(slot0, momentum);
    store(w, load(w) + (c.p0 * momentum - descent));
  } else if constexpr (rule == UpdateRule::kAdam || rule == UpdateRule::kAmsgrad) {
    Vec square = load(variable.slot1 + at);
    square = c.rate1 * (g * g - square) + square;
    store(variable.slot1 + at, square);
    if constexpr (rule == UpdateRule::kAmsgrad) {
      const Vec largest = load(variable.slot2 + at);
      square = square <= largest ? largest : square;  // NaN, once in, stays
      store(variable.slot2 + at, square);
    }
    const Vec denominator = square_root(square) + c.epsilon;
    Vec mean = load(slot0);
    mean = c.rate0 * (g - mean) + mean;
    store(slot0, mean);
    const Vec descent = c.step * mean / denominator;
    store(w, load(w) - descent);
  } else if constexpr (rule == UpdateRule::kAdagrad) {
    const Vec sum = g * g + load(slot0);
    store(slot0, sum);
    const Vec descent = c.step * g / square_root(sum + c.epsilon);
    store(w, load(w) - descent);
  } else {
    Vec square = load(slot0);
    square = c.rate0 * (g * g - square) + square;
    store(slot0, square);
    if constexpr (rule == UpdateRule::kRmspropCentered || rule == UpdateRule::kRmspropCenteredMomentum) {
      Vec mean = load(variable.slot1 + at);
      mean = c.rate0 * (g - mean) + mean;
      store(variable.slot1 + at, mean);
      square = square - mean * mean;
    }
    Vec descent = c.step * g / square_root(square + c.epsilon);
    if constexpr (rule == UpdateRule::kRmspropMomentum || rule == UpdateRule::kRmspropCenteredMomentum) {
      float* const slot = (rule == UpdateRule::kRmspropMomentum ? variable.slot1 : variable.slot2) + at;
      descent = c.p1 * load(slot) + descent;
      store(slot, descent);
    }
    store(w, load(w) - descent);
  }
}

// Whether the gradient or the weights need work before the rule.
WEFT_INLINE bool needs_preparation(const UpdateSpec& spec) {
  return spec.grad_scale || spec.clip_value > 0 || spec.l1 != 0 || spec.l2 != 0 || spec.scalars[1] != 1.0f;
}

// grad *= *grad_scale, clipped, plus the regularizers' gradient; w *= 1 - lr*weight_decay.
// n is a multiple of 16.
WEFT_FUNCTION void prepare_update(const UpdateSpec& spec, float* grad, float* w, int64_t n) {
  const Vec scale = broadcast(spec.grad_scale ? *spec.grad_scale : 1.0f);
  const Vec limit = broadcast(spec.clip_value > 0 ? spec.clip_value : __builtin_inff());
  const Vec l1 = broadcast(spec.l1), twice_l2 = broadcast(2.0f * spec.l2), decay = broadcast(spec.scalars[1]);
  for (int64_t i = 0; i < n; i += kWidth) {
    Vec g = rounded(load(grad + i) * scale), value = load(w + i);
    g = g > limit ? limit : g;
    g = g < -limit ? -limit : g;
    g += value > 0 ? l1 : value < 0 ? -l1 : Vec{};
    g = twice_l2 * value + g;
    store(grad + i, g);
    store(w + i, value * decay);
  }
}

template <UpdateRule rule>
WEFT_FUNCTION void apply_rule_to_run(const UpdateSpec& spec, const Variable& variable, int64_t at, const float* grad,
                                     int64_t n) {
  const RuleConstants constants = rule_constants(spec);
  for (int64_t i = 0; i < n; i += kWidth) apply_rule<rule>(constants, variable, at + i, load(grad + i));
}

// Elements [at, at + n) of a variable updated from their prepared gradient; n is a multiple of 16.
WEFT_FUNCTION void apply_update(const UpdateSpec& spec, float* w, int64_t at, const float* grad, int64_t n) {
  const Variable variable = {w, spec.slot0, spec.slot1, spec.slot2};
  switch (spec.rule) {
    case UpdateRule::kNone:
      return;
#define WEFT_RULE(name)  \
  case UpdateRule::name: \
    return apply_rule_to_run<UpdateRule::name>(spec, variable, at, grad, n);
      WEFT_RULE(kSgd)
      WEFT_RULE(kMomentum)
      WEFT_RULE(kNesterov)
      WEFT_RULE(kRmsprop)
      WEFT_RULE(kRmspropMomentum)
      WEFT_RULE(kRmspropCentered)
      WEFT_RULE(kRmspropCenteredMomentum)
      WEFT_RULE(kAdam)
      WEFT_RULE(kAmsgrad)
      WEFT_RULE(kAdagrad)
#undef WEFT_RULE
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
