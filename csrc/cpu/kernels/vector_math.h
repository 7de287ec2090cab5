// Elementary functions on one vector: exp, log, tanh, erf, sin, pow and what follows from them, within
// 1 to 5 ulp, right for infinities, NaN, zeros and overflow. Coefficients: "Cephes" is S. Moshier's
// Cephes library (expf.c, logf.c, sinf.c), "Eigen" its generic packet math. Every a*b + c below is one
// FMA where there is one, on each instruction set alike, so AVX2 and AVX-512 give the same bits.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {

static constexpr float kInfinity = __builtin_inff();
static constexpr float kNaN = __builtin_nanf("");
static constexpr float kFloatMax = 3.402823466e38f;
static constexpr float kLn2 = 0.693147180559945f;

// a*b + c, fused wherever there is an FMA. Plain expressions are fused by the compiler too; this is for those
// that it might not: chains of sums (tuning flags of newer compilers) and terms that it could mask instead.
WEFT_INLINE Vec multiply_add(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

WEFT_INLINE Vec select(IntVec mask, Vec a, Vec b) { return mask ? a : b; }
WEFT_INLINE Vec one_if(IntVec mask) { return (Vec)(mask & (IntVec)broadcast(1.0f)); }
WEFT_INLINE Vec absolute(Vec x) { return (Vec)((IntVec)x & 0x7fffffff); }
WEFT_INLINE Vec copy_sign(Vec magnitude, Vec sign) {
  return (Vec)(((IntVec)magnitude & 0x7fffffff) | ((IntVec)sign & INT32_MIN));
}
// x > limit ? limit : x and x < limit ? limit : x, which leave NaN alone. So do the instructions, which
// return their second operand if either is NaN (gcc 12 would compare and blend).
WEFT_INLINE Vec at_most(Vec x, Vec limit) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_min_ps(0xffff, (__m512)limit, (__m512)x);
#elif defined(__AVX2__)
  return (Vec)_mm256_min_ps((__m256)limit, (__m256)x);
#elif defined(__SSE2__)
  return (Vec)_mm_min_ps((__m128)limit, (__m128)x);
#else
  return select(x > limit, limit, x);
#endif
}
WEFT_INLINE Vec at_least(Vec x, Vec limit) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_max_ps(0xffff, (__m512)limit, (__m512)x);
#elif defined(__AVX2__)
  return (Vec)_mm256_max_ps((__m256)limit, (__m256)x);
#elif defined(__SSE2__)
  return (Vec)_mm_max_ps((__m128)limit, (__m128)x);
#else
  return select(x < limit, limit, x);
#endif
}
WEFT_INLINE Vec at_most(Vec x, float limit) { return at_most(x, broadcast(limit)); }
WEFT_INLINE Vec at_least(Vec x, float limit) { return at_least(x, broadcast(limit)); }

WEFT_INLINE Vec square_root(Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__AVX2__)
  return (Vec)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (Vec)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
  return (Vec)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < kWidth; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

// x, but the compiler does not see where it comes from: a product passed through here is rounded.
WEFT_INLINE Vec rounded(Vec x) {
#if defined(__x86_64__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

WEFT_INLINE bool any(IntVec mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)mask) != 0;
#else
  int32_t bits = 0;
  for (int i = 0; i < kWidth; i++) bits |= mask[i];
  return bits != 0;
#endif
}

// Round to the nearest integer, ties to even: adding 2^23 leaves no room for a fraction.
WEFT_INLINE Vec round_half_even(Vec x) {
  const Vec magnitude = absolute(x);
  const Vec rounded = (magnitude + 0x1p23f) - 0x1p23f;
  return select(magnitude < 0x1p23f, copy_sign(rounded, x), x);
}
WEFT_INLINE Vec floor(Vec x) {
  const Vec r = round_half_even(x);
  return select(r > x, r - 1.0f, r);
}
WEFT_INLINE Vec ceil(Vec x) {
  const Vec r = round_half_even(x);
  return select(r < x, copy_sign(r + 1.0f, x), r);
}

// x = k*ln2 + r with |r| <= ln2/2: Cody-Waite in two parts, and exp(r) - 1 (Cephes).
struct ExpParts {
  IntVec k;
  Vec r;  // exp(r) - 1
};
WEFT_INLINE ExpParts exp_parts(Vec x) {
  const float kMagic = 0x1.8p23f;  // x + kMagic holds round(x) in its lowest bits
  const Vec shifted = x * 1.44269504088896341f + kMagic;
  const Vec k = shifted - kMagic;
  Vec r = x - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {(IntVec)shifted - 0x4b400000, p * (r * r) + r};
}
WEFT_INLINE Vec power_of_two(IntVec k) { return (Vec)((k + 127) << 23); }

WEFT_INLINE Vec exp(Vec x) {
  // Beyond these limits the result is inf or 0 in any case; within them k fits the scaling below.
  const ExpParts e = exp_parts(at_least(at_most(x, 89.0f), -104.0f));
  const Vec y = e.r + 1.0f;
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_scalef_ps(0xffff, (__m512)y, (__m512) __builtin_convertvector(e.k, Vec));
#else  // in two steps, so that neither factor overflows and a denormal result is rounded once
  const IntVec half = e.k >> 1;
  return y * power_of_two(half) * power_of_two(e.k - half);
#endif
}

WEFT_INLINE Vec expm1(Vec x) {
  const ExpParts e = exp_parts(at_least(at_most(x, 89.0f), -20.0f));
  const Vec half_scale = power_of_two(e.k - 1);  // half of 2^k, which itself may overflow
  return (half_scale * e.r + (half_scale - 0.5f)) * 2.0f;
}

// x = 2^exponent * (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), for finite x > 0.
struct LogParts {
  Vec exponent, f;
};
WEFT_INLINE LogParts log_parts(Vec x) {
  const IntVec denormal = x < 0x1p-126f;
  const UIntVec bits = (UIntVec)select(denormal, x * 0x1p23f, x);
  const IntVec exponent = (IntVec)(bits - 0x3f3504f3u) >> 23;  // the bits of sqrt(1/2)
  const Vec mantissa = (Vec)(bits - ((UIntVec)exponent << 23));
  return {__builtin_convertvector(exponent - (denormal & 23), Vec), mantissa - 1.0f};
}
WEFT_INLINE Vec log_of_parts(LogParts l) {
  const Vec f = l.f, square = f * f;
  Vec p = f * 7.0376836292e-2f - 1.1514610310e-1f;  // Cephes
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  p = p * f - 0.5f;
  const Vec sum = p * square + f;
  const Vec low = l.exponent * -2.12194440e-4f + sum;  // ln2 in two parts
  return l.exponent * 0.693359375f + low;
}
WEFT_INLINE Vec log(Vec x) {
  const Vec finite = log_of_parts(log_parts(x));
  const Vec at_edge = select(x == 0.0f, broadcast(-kInfinity), broadcast(kNaN));
  return select(x > 0.0f, select(x < kInfinity, finite, x), at_edge);
}
// log(1 + x) with the rounding error of 1 + x put back.
WEFT_INLINE Vec log1p(Vec x) {
  const Vec u = x + 1.0f;
  const Vec corrected = log(u) + (x - (u - 1.0f)) / u;
  return select((x > -1.0f) & (x < kInfinity), select(u == 1.0f, x, corrected), log(u));
}

WEFT_INLINE Vec sigmoid(Vec x) { return 1.0f / (exp(-x) + 1.0f); }
// log(1 + e) for 0 <= e <= 1: 1 + e or its half is in the range of log_parts, without rounding it.
WEFT_INLINE Vec log1p_of_unit(Vec e) {
  const IntVec large = e > 0.414213562f;
  return log_of_parts({select(large, broadcast(1.0f), Vec{}), select(large, (e - 1.0f) * 0.5f, e)});
}
WEFT_INLINE Vec softplus(Vec x) { return at_least(x, 0.0f) + log1p_of_unit(exp(-absolute(x))); }

WEFT_INLINE Vec tanh(Vec x) {  // Eigen: rational 13/6, saturated where the result rounds to 1
  const Vec a = at_least(at_most(x, 7.90531110763549805f), -7.90531110763549805f);
  const Vec s = a * a;
  Vec p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * s + -8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  Vec q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  const Vec ratio = a * (p / q);
  return select(absolute(x) < 4e-4f, x, ratio);
}

WEFT_INLINE Vec erf(Vec x) {  // N. Juffa's erff: odd polynomial near 0, 1 - exp(polynomial) beyond
  const Vec t = absolute(x), s = x * x;
  Vec u = s * -5.96761703e-4f + 4.99119423e-3f;
  u = u * s - 2.67681349e-2f;
  u = u * s + 1.12819925e-1f;
  u = u * s - 3.76125336e-1f;
  u = u * s + 1.28379166e-1f;
  const Vec near_zero = u * x + x;
  const Vec v = t * -3.88396438e-3f + 2.42546219e-2f;
  Vec w = t * -1.72853470e-5f + 3.83197126e-4f;
  w = w * s + v;
  w = w * t - 1.06777877e-1f;
  w = w * t - 6.34846687e-1f;
  w = w * t - 1.28717512e-1f;
  w = w * t - t;
  return select(t > 0.927734375f, copy_sign(1.0f - exp(w), x), near_zero);
}

// sin and cos on [-pi/4, pi/4] (Cephes).
WEFT_INLINE Vec sin_polynomial(Vec r, Vec square) {
  Vec p = square * -1.9515295891e-4f + 8.3321608736e-3f;
  p = p * square - 1.6666654611e-1f;
  return p * (square * r) + r;
}
WEFT_INLINE Vec cos_polynomial(Vec square) {
  Vec p = square * 2.443315711809948e-5f - 1.388731625493765e-3f;
  p = p * square + 4.166664568298827e-2f;
  const Vec tail = 1.0f - square * 0.5f;
  return p * (square * square) + tail;
}
// sin(r + quadrant*pi/2)
WEFT_INLINE Vec sin_of_quadrant(Vec r, IntVec quadrant) {
  const Vec square = r * r;
  const Vec y = select((quadrant & 1) == 0, sin_polynomial(r, square), cos_polynomial(square));
  return (Vec)((IntVec)y ^ ((quadrant & 2) << 30));
}

// Too large for the reduction below in float32; rare, so the C library may do it.
static __attribute__((noinline)) float sin_of_large(float x, int quadrant) {
  const double wide = x;
  return static_cast<float>(quadrant ? __builtin_cos(wide) : __builtin_sin(wide));
}
// sin(x + quadrant*pi/2) for quadrant 0 or 1.
WEFT_INLINE Vec sin_shifted(Vec x, int quadrant) {
  const float kMagic = 0x1.8p23f;
  const Vec shifted = x * 0.636619772367581f + kMagic;
  const Vec n = shifted - kMagic;
  Vec r = x - n * 1.5703125f;  // pi/2 in three parts; the product with n < 2^13 is exact
  r = r - n * 4.837512969970703125e-4f;
  r = r - n * 7.54978995489188216e-8f;
  Vec y = sin_of_quadrant(r, (IntVec)shifted + quadrant);
  const IntVec large = absolute(x) > 8192.0f;
  if (__builtin_expect(any(large), 0)) {
    for (int i = 0; i < kWidth; i++) {
      if (large[i]) y[i] = sin_of_large(x[i], quadrant);
    }
  }
  return y;
}
WEFT_INLINE Vec sin(Vec x) { return sin_shifted(x, 0); }
WEFT_INLINE Vec cos(Vec x) { return sin_shifted(x, 1); }

// Doubles of half as many lanes, for pow: y*log2(x) needs more digits than a float has.
typedef float HalfVec __attribute__((vector_size(2 * kWidth)));
typedef double DoubleVec __attribute__((vector_size(4 * kWidth)));
typedef int64_t LongVec __attribute__((vector_size(4 * kWidth)));

// 2^(y*(exponent + log2(1 + f)))
WEFT_INLINE HalfVec pow_half(HalfVec exponent, HalfVec f, HalfVec y) {
  const DoubleVec d = __builtin_convertvector(f, DoubleVec);
  const DoubleVec s = d / (d + 2.0), q = s * s;  // log(1 + f) = 2 atanh(s), |s| < 0.172
  DoubleVec p = q * (1.0 / 15) + 1.0 / 13;
  p = p * q + 1.0 / 11;
  p = p * q + 1.0 / 9;
  p = p * q + 1.0 / 7;
  p = p * q + 1.0 / 5;
  p = p * q + 1.0 / 3;
  p = p * q + 1.0;
  const double kTwoOverLn2 = 2.8853900817779268;
  const DoubleVec log2 = s * kTwoOverLn2 * p + __builtin_convertvector(exponent, DoubleVec);
  DoubleVec t = __builtin_convertvector(y, DoubleVec) * log2;
  t = t > 200.0 ? DoubleVec{} + 200.0 : t;
  t = t < -200.0 ? DoubleVec{} - 200.0 : t;
  const double kMagic = 0x1.8p52;
  const DoubleVec shifted = t + kMagic;
  const DoubleVec r = (t - (shifted - kMagic)) * 0.69314718055994531;
  DoubleVec e = r * (1.0 / 362880) + 1.0 / 40320;  // the series of exp, |r| < 0.347
  e = e * r + 1.0 / 5040;
  e = e * r + 1.0 / 720;
  e = e * r + 1.0 / 120;
  e = e * r + 1.0 / 24;
  e = e * r + 1.0 / 6;
  e = e * r + 0.5;
  e = e * r + 1.0;
  e = e * r + 1.0;
  const DoubleVec scaled = (DoubleVec)((LongVec)e + ((LongVec)shifted << 52));
  return __builtin_convertvector(t != t ? t : scaled, HalfVec);
}
#if defined(__AVX512F__)
#define WEFT_LOW_HALF 0, 1, 2, 3, 4, 5, 6, 7
#define WEFT_HIGH_HALF 8, 9, 10, 11, 12, 13, 14, 15
#elif defined(__AVX2__)
#define WEFT_LOW_HALF 0, 1, 2, 3
#define WEFT_HIGH_HALF 4, 5, 6, 7
#else
#define WEFT_LOW_HALF 0, 1
#define WEFT_HIGH_HALF 2, 3
#endif
WEFT_INLINE HalfVec low_half(Vec x) { return __builtin_shufflevector(x, x, WEFT_LOW_HALF); }
WEFT_INLINE HalfVec high_half(Vec x) { return __builtin_shufflevector(x, x, WEFT_HIGH_HALF); }
WEFT_INLINE Vec join_halves(HalfVec a, HalfVec b) {
  return __builtin_shufflevector(a, b, WEFT_LOW_HALF, WEFT_HIGH_HALF);
}
#undef WEFT_LOW_HALF
#undef WEFT_HIGH_HALF

WEFT_INLINE Vec pow(Vec x, Vec y) {  // special cases as in C99
  const Vec magnitude = absolute(x);
  LogParts l = log_parts(magnitude);
  l.exponent = select(magnitude == 0.0f, broadcast(-kInfinity), l.exponent);
  l.exponent = select(magnitude < kInfinity, l.exponent, magnitude);  // infinity or NaN
  const Vec power = join_halves(pow_half(low_half(l.exponent), low_half(l.f), low_half(y)),
                                pow_half(high_half(l.exponent), high_half(l.f), high_half(y)));
  const Vec half = y * 0.5f;
  const IntVec whole = floor(y) == y;
  const IntVec odd = whole & (floor(half) != half);
  Vec z = select((magnitude == 1.0f) & (y == y), broadcast(1.0f), power);
  z = (Vec)((IntVec)z ^ ((IntVec)x & odd & INT32_MIN));
  z = select((x < 0.0f) & (x > -kInfinity) & ~whole, broadcast(kNaN), z);
  return select((x == 1.0f) | (y == 0.0f), broadcast(1.0f), z);
}

}  // namespace weft::WEFT_ISA
