// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), kWidth counters side
// by side. Element i of a value takes word i % 4 of counter {i/4, stream, draw}; see ops/dropout.h.
#pragma once

#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "core/step_state.h"
#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {

typedef uint64_t UnsignedLongVec __attribute__((vector_size(4 * kWidth)));

// Products of the even lanes with a 32-bit factor, as 64-bit lanes.
WEFT_INLINE UnsignedLongVec multiply_even(UIntVec x, uint32_t factor) {
#if defined(__AVX512F__)
  return (UnsignedLongVec)_mm512_maskz_mul_epu32(0xff, (__m512i)x, (__m512i)(factor - UIntVec{}));
#elif defined(__AVX2__)
  return (UnsignedLongVec)_mm256_mul_epu32((__m256i)x, (__m256i)(factor - UIntVec{}));
#elif defined(__SSE2__)
  return (UnsignedLongVec)_mm_mul_epu32((__m128i)x, (__m128i)(factor - UIntVec{}));
#else
  return ((UnsignedLongVec)x & 0xffffffff) * static_cast<uint64_t>(factor);
#endif
}

struct WideProduct {
  UIntVec high, low;
};
WEFT_INLINE WideProduct multiply_wide(UIntVec x, uint32_t factor) {
  const UnsignedLongVec even = multiply_even(x, factor);
  const UnsignedLongVec odd = multiply_even((UIntVec)((UnsignedLongVec)x >> 32), factor);
  return {(UIntVec)((even >> 32) | (odd & 0xffffffff00000000)), (UIntVec)((even & 0xffffffff) | (odd << 32))};
}

// The four words of kWidth counters: word[w][lane].
struct PhiloxWords {
  UIntVec word[4];
};
WEFT_INLINE PhiloxWords philox_rounds(UIntVec c0, UIntVec c1, UIntVec c2, UIntVec c3, uint64_t key) {
  uint32_t key_0 = static_cast<uint32_t>(key), key_1 = static_cast<uint32_t>(key >> 32);
  WEFT_UNROLL for (int round = 0; round < 10; round++) {
    const WideProduct a = multiply_wide(c0, 0xD2511F53u), b = multiply_wide(c2, 0xCD9E8D57u);
    c0 = b.high ^ c1 ^ key_0;
    c1 = b.low;
    c2 = a.high ^ c3 ^ key_1;
    c3 = a.low;
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Words of the counters first_counter + {0, 1, ..., kWidth - 1}.
WEFT_INLINE PhiloxWords philox(uint64_t first_counter, uint32_t stream, uint32_t draw, uint64_t seed) {
  UIntVec lane;
  WEFT_UNROLL for (int i = 0; i < kWidth; i++) lane[i] = i;
  const uint32_t first_low = static_cast<uint32_t>(first_counter);
  const UIntVec low = lane + first_low;
  const UIntVec carry = (UIntVec)(low < first_low) & 1u;
  const UIntVec high = carry + static_cast<uint32_t>(first_counter >> 32);
  return philox_rounds(low, high, stream - UIntVec{}, draw - UIntVec{}, seed);
}

// a[0] b[0] a[1] b[1] ...: the lower or upper half of two interleaved vectors.
template <int first, class V, int... lane>
WEFT_INLINE V interleave_half(V a, V b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (first + lane / 2 + lane % 2 * kWidth)...);
}
template <class V>
WEFT_INLINE V interleave_low(V a, V b) {
  return interleave_half<0>(a, b, std::make_integer_sequence<int, kWidth>{});
}
template <class V>
WEFT_INLINE V interleave_high(V a, V b) {
  return interleave_half<kWidth / 2>(a, b, std::make_integer_sequence<int, kWidth>{});
}

// From x[w][lane], values of word w of each counter, to the order of elements: 4*lane + w.
template <class V>
WEFT_INLINE void to_element_order(V (&x)[4]) {
  const V low_02 = interleave_low(x[0], x[2]), high_02 = interleave_high(x[0], x[2]);
  const V low_13 = interleave_low(x[1], x[3]), high_13 = interleave_high(x[1], x[3]);
  x[0] = interleave_low(low_02, low_13);
  x[1] = interleave_high(low_02, low_13);
  x[2] = interleave_low(high_02, high_13);
  x[3] = interleave_high(high_02, high_13);
}

}  // namespace weft::WEFT_ISA
