// Places of maxima: one byte each in memory, an int32 lane each in registers.
#pragma once

#include "cpu/kernels/chunk.h"

namespace weft::WEFT_ISA {

// kWidth places.
WEFT_INLINE IntVec load_place_vec(const uint8_t* p) {
#if defined(__AVX512F__)
  return (IntVec)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__AVX2__)
  return (IntVec)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#elif defined(__SSE4_1__)
  int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return (IntVec)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
#else
  IntVec v;
  for (int i = 0; i < kWidth; i++) v[i] = p[i];
  return v;
#endif
}

WEFT_INLINE void store_place_vec(uint8_t* p, IntVec v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
#elif defined(__AVX2__)
  const __m256i x = (__m256i)v;
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
#elif defined(__SSE2__)
  const __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
  const int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  __builtin_memcpy(p, &four, sizeof(four));
#else
  for (int i = 0; i < kWidth; i++) p[i] = static_cast<uint8_t>(v[i]);
#endif
}

WEFT_INLINE IntChunk load_places(const uint8_t* p) {
  IntChunk c;
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) c.part[j] = load_place_vec(p + j * kWidth);
  return c;
}
WEFT_INLINE void store_places(uint8_t* p, IntChunk c) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) store_place_vec(p + j * kWidth, c.part[j]);
}

// The first n < 16 places; nothing behind them is read or written.
WEFT_INLINE IntChunk load_few_places(const uint8_t* p, int64_t n) {
  uint8_t buffer[kChunk] = {};
  copy_few(buffer, p, n);
  return load_places(buffer);
}
WEFT_INLINE void store_few_places(uint8_t* p, int64_t n, IntChunk c) {
  uint8_t buffer[kChunk];
  store_places(buffer, c);
  copy_few(p, buffer, n);
}

}  // namespace weft::WEFT_ISA
