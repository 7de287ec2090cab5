// Sixteen logical lanes on every instruction set: 16 / kWidth vectors side by side. Reductions run over
// chunks and end in one fixed tree, so their result does not depend on the width of a vector.
// Also the partial loads and stores for the last elements of a row.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {

static constexpr int kChunk = kPanel;
static constexpr int kParts = kChunk / kWidth;

template <class V>
struct Lanes {
  V part[kParts];
};
using Chunk = Lanes<Vec>;
using IntChunk = Lanes<IntVec>;

// {0, 1, 2, ...} plus `first`.
WEFT_INLINE IntVec lane_index(int first) {
  IntVec x;
  WEFT_UNROLL
  for (int i = 0; i < kWidth; i++) x[i] = i;
  return x + first;
}
WEFT_INLINE IntVec broadcast_int(int32_t x) { return x - IntVec{}; }

WEFT_INLINE Chunk load_chunk(const float* p) {
  Chunk c;
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) c.part[j] = load(p + j * kWidth);
  return c;
}
WEFT_INLINE void store_chunk(float* p, Chunk c) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) store(p + j * kWidth, c.part[j]);
}
WEFT_INLINE Chunk broadcast_chunk(float x) {
  Chunk c;
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) c.part[j] = broadcast(x);
  return c;
}
WEFT_INLINE IntChunk chunk_index(int first) {
  IntChunk c;
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) c.part[j] = lane_index(first + j * kWidth);
  return c;
}

// f applied to every part of one, two or three chunks.
template <class V, class F>
WEFT_INLINE Lanes<V> map(Lanes<V> a, F f) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) a.part[j] = f(a.part[j]);
  return a;
}
template <class V, class U, class F>
WEFT_INLINE Lanes<V> map(Lanes<V> a, Lanes<U> b, F f) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) a.part[j] = f(a.part[j], b.part[j]);
  return a;
}
template <class V, class U, class T, class F>
WEFT_INLINE Lanes<V> map(Lanes<V> a, Lanes<U> b, Lanes<T> c, F f) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) a.part[j] = f(a.part[j], b.part[j], c.part[j]);
  return a;
}
WEFT_INLINE Chunk operator+(Chunk a, Chunk b) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) a.part[j] = a.part[j] + b.part[j];
  return a;
}

// The sixteen lanes combined: lane i with i + 8, then i + 4, i + 2, i + 1. `op` takes vectors of any width.
template <class V, class Op>
WEFT_INLINE auto fold(Lanes<V> x, Op op) {
#if defined(__AVX512F__)
  const V v = x.part[0];
  const auto eight = op(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                        __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
#elif defined(__AVX2__)
  const V eight = op(x.part[0], x.part[1]);
#endif
#if defined(__AVX2__)
  const auto four =
      op(__builtin_shufflevector(eight, eight, 0, 1, 2, 3), __builtin_shufflevector(eight, eight, 4, 5, 6, 7));
#else
  const V four = op(op(x.part[0], x.part[2]), op(x.part[1], x.part[3]));
#endif
  const auto two = op(four, __builtin_shufflevector(four, four, 2, 3, 0, 1));
  const auto one = op(two, __builtin_shufflevector(two, two, 1, 0, 3, 2));
  return one[0];
}

namespace {

struct Add {
  template <class V>
  __attribute__((always_inline)) V operator()(V a, V b) const {
    return a + b;
  }
};
struct Multiply {
  template <class V>
  __attribute__((always_inline)) V operator()(V a, V b) const {
    return a * b;
  }
};
// One instruction, but ignores NaN in `a`: only where NaN survives on another way.
struct QuickMaximum {
  template <class V>
  __attribute__((always_inline)) V operator()(V a, V b) const {
#if defined(__AVX512F__)
    if constexpr (sizeof(V) == 64) return (V)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#endif
#if defined(__AVX2__)
    if constexpr (sizeof(V) == 32) return (V)_mm256_max_ps((__m256)a, (__m256)b);
#endif
#if defined(__SSE2__)
    if constexpr (sizeof(V) == 16) return (V)_mm_max_ps((__m128)a, (__m128)b);
#endif
    return a > b ? a : b;
  }
};
struct Maximum {  // NaN if either is NaN
  template <class V>
  __attribute__((always_inline)) V operator()(V a, V b) const {
    return ((a > b) | (a != a)) ? a : b;
  }
};
struct Minimum {
  template <class V>
  __attribute__((always_inline)) V operator()(V a, V b) const {
    return ((a < b) | (a != a)) ? a : b;
  }
};

}  // namespace

// Copies n < 16 elements; pieces of fixed size, because a call of memcpy costs more than they do.
template <class T>
WEFT_INLINE void copy_few(T* y, const T* x, int64_t n) {
  if (n & 8) {
    __builtin_memcpy(y, x, 8 * sizeof(T));
    x += 8;
    y += 8;
  }
  if (n & 4) {
    __builtin_memcpy(y, x, 4 * sizeof(T));
    x += 4;
    y += 4;
  }
  if (n & 2) {
    __builtin_memcpy(y, x, 2 * sizeof(T));
    x += 2;
    y += 2;
  }
  if (n & 1) *y = *x;
}

// The first n elements (n < 0 counts as 0), `fill` in the lanes behind them; reads nothing behind them.
WEFT_INLINE Vec load_partial(const float* p, int64_t n, float fill) {
  if (n >= kWidth) return load(p);
#if defined(__AVX512F__)
  const __mmask16 mask = static_cast<__mmask16>(n > 0 ? (1u << n) - 1 : 0);
  return (Vec)_mm512_mask_loadu_ps((__m512)broadcast(fill), mask, p);
#elif defined(__AVX2__)
  const IntVec mask = lane_index(0) < static_cast<int>(n);
  return mask ? (Vec)_mm256_maskload_ps(p, (__m256i)mask) : broadcast(fill);
#else
  float x[kChunk];
  store(x, broadcast(fill));
  if (n > 0) copy_few(x, p, n);
  return load(x);
#endif
}
WEFT_INLINE Chunk load_partial_chunk(const float* p, int64_t n, float fill) {
  Chunk c;
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) c.part[j] = load_partial(p + j * kWidth, n - j * kWidth, fill);
  return c;
}

// Stores the first n elements; writes nothing behind them.
WEFT_INLINE void store_partial_chunk(float* p, int64_t n, Chunk c) {
  if (n >= kChunk) return store_chunk(p, c);
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(n > 0 ? (1u << n) - 1 : 0), (__m512)c.part[0]);
#else  // vmaskmovps stores are microcode on Zen
  float buffer[kChunk];
  store_chunk(buffer, c);
  if (n > 0) copy_few(p, buffer, n);
#endif
}

}  // namespace weft::WEFT_ISA
