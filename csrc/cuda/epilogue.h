// What follows a product, on four neighbouring elements of its result while they are in registers.
#pragma once

#include "cuda/lane.h"
#include "cuda/philox.h"
#include "cuda/quad.h"
#include "ops/unary_functions.h"

namespace weft::cuda {

// All functions but the commonest, as calls: inlined they would fill the registers of every kernel that has an
// epilogue.
static __device__ __attribute__((noinline)) float any_unary(const UnarySpec& spec, float x) {
  float y = x;
  with_function(spec, [&]<class Function>(Function) { y = Function::value(x, constants_of(spec)); });
  return y;
}
static __device__ __attribute__((noinline)) float any_unary_grad(const UnarySpec& spec, float dy, float saved) {
  float dx = dy;
  with_function(spec, [&]<class Function>(Function) { dx = Function::grad(dy, saved, constants_of(spec)); });
  return dx;
}

WEFT_INLINE float4 unary_quad(const UnarySpec& spec, float4 x) {
  if (spec.fn == UnaryFn::kIdentity) return x;
  if (spec.fn == UnaryFn::kRelu) {
    return make_float4(at_least(x.x, 0.0f), at_least(x.y, 0.0f), at_least(x.z, 0.0f), at_least(x.w, 0.0f));
  }
  return make_float4(any_unary(spec, x.x), any_unary(spec, x.y), any_unary(spec, x.z), any_unary(spec, x.w));
}

// dy * fn'(saved).
WEFT_INLINE float4 unary_grad_quad(const UnarySpec& spec, float4 dy, float4 saved) {
  if (spec.fn == UnaryFn::kIdentity) return dy;
  return make_float4(any_unary_grad(spec, dy.x, saved.x), any_unary_grad(spec, dy.y, saved.y),
                     any_unary_grad(spec, dy.z, saved.z), any_unary_grad(spec, dy.w, saved.w));
}

// The dropout of a value with rows of row_size; column may be any.
WEFT_INLINE float4 dropout_quad(const DropoutSpec& spec, int64_t row, int64_t row_size, int64_t column, float4 x) {
  const DropoutMask mask(spec, row_size);
  if (column % 4 == 0) return mask.apply(row, column, x);
  return make_float4(mask.apply(row, column, x.x), mask.apply(row, column + 1, x.y), mask.apply(row, column + 2, x.z),
                     mask.apply(row, column + 3, x.w));
}

// The gradient through act from what was stored, which is act's value times the dropout's scale where it was kept.
WEFT_INLINE float4 stored_grad_quad(const UnarySpec& act, const DropoutSpec& dropout, float4 dy, float4 stored) {
  if (dropout.threshold) {
    const float scale = dropout.scale;
    stored = make_float4(stored.x / scale, stored.y / scale, stored.z / scale, stored.w / scale);
  }
  return unary_grad_quad(act, dy, stored);
}

WEFT_INLINE float4 operator+(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

WEFT_INLINE float4 load_float4(const float* p) { return *reinterpret_cast<const float4*>(p); }
WEFT_INLINE void store_float4(float* p, float4 x) { *reinterpret_cast<float4*>(p) = x; }

}  // namespace weft::cuda
