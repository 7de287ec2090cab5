// The lane of a GPU's thread: a Vec of the formulas in ops/ (unary_functions.h, binary_functions.h, update_rules.h) is
// one float here, and its elementary functions are CUDA's own.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#define WEFT_ISA cuda
#define WEFT_INLINE static __device__ __forceinline__
// A function that calls what it is given, on the host or in a kernel.
#define WEFT_DISPATCH static __host__ __device__ __forceinline__
#define WEFT_CALLS_HOST_OR_DEVICE _Pragma("nv_exec_check_disable")
#define WEFT_INLINE_MEMBER __device__ __forceinline__
#define WEFT_FUNCTION [[maybe_unused]] static __device__

namespace weft::cuda {

static constexpr int kWidth = 1;
using Vec = float;
using IntVec = bool;

static constexpr float kInfinity = __builtin_inff();
static constexpr float kNaN = __builtin_nanf("");
static constexpr float kFloatMax = 3.402823466e38f;
static constexpr float kLn2 = 0.693147180559945f;

WEFT_INLINE Vec load(const float* p) { return *p; }
WEFT_INLINE void store(float* p, Vec x) { *p = x; }
WEFT_INLINE Vec broadcast(float x) { return x; }
WEFT_INLINE Vec select(IntVec mask, Vec a, Vec b) { return mask ? a : b; }
WEFT_INLINE Vec one_if(IntVec mask) { return mask ? 1.0f : 0.0f; }
WEFT_INLINE Vec absolute(Vec x) { return ::fabsf(x); }
WEFT_INLINE Vec at_most(Vec x, float limit) { return x > limit ? limit : x; }  // these two leave NaN alone
WEFT_INLINE Vec at_least(Vec x, float limit) { return x < limit ? limit : x; }
WEFT_INLINE Vec square_root(Vec x) { return ::sqrtf(x); }
// A product passed through here is rounded.
WEFT_INLINE Vec rounded(Vec x) { return __fmul_rn(x, 1.0f); }

WEFT_INLINE Vec round_half_even(Vec x) { return ::rintf(x); }
WEFT_INLINE Vec floor(Vec x) { return ::floorf(x); }
WEFT_INLINE Vec ceil(Vec x) { return ::ceilf(x); }
WEFT_INLINE Vec exp(Vec x) { return ::expf(x); }
WEFT_INLINE Vec expm1(Vec x) { return ::expm1f(x); }
WEFT_INLINE Vec log(Vec x) { return ::logf(x); }
WEFT_INLINE Vec log1p(Vec x) { return ::log1pf(x); }
WEFT_INLINE Vec sigmoid(Vec x) { return 1.0f / (::expf(-x) + 1.0f); }
WEFT_INLINE Vec softplus(Vec x) { return at_least(x, 0.0f) + ::log1pf(::expf(-::fabsf(x))); }
WEFT_INLINE Vec tanh(Vec x) { return ::tanhf(x); }
WEFT_INLINE Vec erf(Vec x) { return ::erff(x); }
WEFT_INLINE Vec sin(Vec x) { return ::sinf(x); }
WEFT_INLINE Vec cos(Vec x) { return ::cosf(x); }
WEFT_INLINE Vec pow(Vec x, Vec y) { return ::powf(x, y); }

}  // namespace weft::cuda
