// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), a counter to a 64-bit
// lane. Element i of a value takes word i % 4 of counter {i/4, stream, draw}; see ops/dropout.h.
#pragma once

#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "core/step_state.h"
#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {

typedef uint64_t ULongVec __attribute__((vector_size(4 * kWidth)));
static constexpr int kCounters = kWidth / 2;
static constexpr int kPhiloxWords = 4 * kCounters;

// Products of the lower halves of 64-bit lanes with a 32-bit factor.
WEFT_INLINE ULongVec multiply_low(ULongVec x, uint32_t factor) {
  const ULongVec factors = factor - ULongVec{};
#if defined(__AVX512F__)
  return (ULongVec)_mm512_maskz_mul_epu32(0xff, (__m512i)x, (__m512i)factors);
#elif defined(__AVX2__)
  return (ULongVec)_mm256_mul_epu32((__m256i)x, (__m256i)factors);
#elif defined(__SSE2__)
  return (ULongVec)_mm_mul_epu32((__m128i)x, (__m128i)factors);
#else
  return (x & 0xffffffff) * factors;
#endif
}

// a[0] b[0] a[1] b[1] ...: the lower or upper half of two interleaved vectors.
template <int first, class V, int... lane>
WEFT_INLINE V interleave_half(V a, V b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (first + lane / 2 + lane % 2 * static_cast<int>(sizeof...(lane)))...);
}
template <int lanes, class V>
WEFT_INLINE V interleave_low(V a, V b) {
  return interleave_half<0>(a, b, std::make_integer_sequence<int, lanes>{});
}
template <int lanes, class V>
WEFT_INLINE V interleave_high(V a, V b) {
  return interleave_half<lanes / 2>(a, b, std::make_integer_sequence<int, lanes>{});
}

// The words of kCounters counters from first_counter on, in the order of elements.
struct PhiloxWords {
  UIntVec part[2];
};
WEFT_INLINE PhiloxWords philox(uint64_t first_counter, uint32_t stream, uint32_t draw, uint64_t key) {
  // Each word in the lower half of a 64-bit lane; what gathers in the upper halves is never looked at.
  ULongVec lane;
  WEFT_UNROLL
  for (int i = 0; i < kCounters; i++) lane[i] = static_cast<uint64_t>(i);
  ULongVec c0 = lane + first_counter, c1 = c0 >> 32;
  ULongVec c2 = stream - ULongVec{}, c3 = draw - ULongVec{};
  uint32_t key_0 = static_cast<uint32_t>(key), key_1 = static_cast<uint32_t>(key >> 32);
  WEFT_UNROLL
  for (int round = 0; round < 10; round++) {
    const ULongVec a = multiply_low(c0, 0xD2511F53u), b = multiply_low(c2, 0xCD9E8D57u);
    c0 = (b >> 32) ^ c1 ^ key_0;
    c1 = b;
    c2 = (a >> 32) ^ c3 ^ key_1;
    c3 = a;
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  const ULongVec words_01 = (c0 & 0xffffffff) | (c1 << 32), words_23 = (c2 & 0xffffffff) | (c3 << 32);
  return {{(UIntVec)interleave_low<kCounters>(words_01, words_23),
           (UIntVec)interleave_high<kCounters>(words_01, words_23)}};
}

}  // namespace weft::WEFT_ISA
