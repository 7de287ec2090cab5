// Transposes of one 16x16 block in registers.
#pragma once

#include "cpu/kernels/vec.h"

#if !defined(__clang__) && defined(__GNUC__) && __GNUC__ < 12
#error "needs __builtin_shufflevector: gcc 12 or clang"
#endif

namespace weft::WEFT_ISA {
namespace {

// Rows are interleaved in pairs, then pairs of pairs, and then 128-bit lanes change places: log2(kWidth)
// rounds of one shuffle a row.
#define WEFT_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

// r[i][j] <-> r[j][i], kWidth rows of kWidth.
WEFT_INLINE void transpose_square(Vec (&r)[kWidth]) {
  Vec t[kWidth];
#if defined(__AVX512F__)
  WEFT_UNROLL
  for (int i = 0; i < 16; i += 2) {
    t[i] = WEFT_SHUFFLE(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    t[i + 1] = WEFT_SHUFFLE(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
  WEFT_UNROLL
  for (int i = 0; i < 16; i += 4) {
    WEFT_UNROLL
    for (int h = 0; h < 2; h++) {
      const Vec a = t[i + h], b = t[i + 2 + h];
      r[i + 2 * h] = WEFT_SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      r[i + 2 * h + 1] = WEFT_SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  }
  // Now r[4g + q] holds, in its four 128-bit lanes, columns q, 4+q, 8+q, 12+q of the rows 4g .. 4g+3.
  WEFT_UNROLL
  for (int q = 0; q < 4; q++) {
    const Vec e = r[q], f = r[q + 4], g = r[q + 8], h = r[q + 12];
    const Vec a = WEFT_SHUFFLE(e, f, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    const Vec b = WEFT_SHUFFLE(e, f, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    const Vec c = WEFT_SHUFFLE(g, h, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    const Vec d = WEFT_SHUFFLE(g, h, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    t[q] = WEFT_SHUFFLE(a, c, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    t[q + 4] = WEFT_SHUFFLE(b, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    t[q + 8] = WEFT_SHUFFLE(a, c, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    t[q + 12] = WEFT_SHUFFLE(b, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  WEFT_UNROLL
  for (int i = 0; i < 16; i++) r[i] = t[i];
#elif defined(__AVX2__)
  WEFT_UNROLL
  for (int i = 0; i < 8; i += 2) {
    t[i] = WEFT_SHUFFLE(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = WEFT_SHUFFLE(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  WEFT_UNROLL
  for (int i = 0; i < 8; i += 4) {
    WEFT_UNROLL
    for (int h = 0; h < 2; h++) {
      r[i + 2 * h] = WEFT_SHUFFLE(t[i + h], t[i + 2 + h], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + 2 * h + 1] = WEFT_SHUFFLE(t[i + h], t[i + 2 + h], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  WEFT_UNROLL
  for (int q = 0; q < 4; q++) {
    t[q] = WEFT_SHUFFLE(r[q], r[q + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[q + 4] = WEFT_SHUFFLE(r[q], r[q + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  WEFT_UNROLL
  for (int i = 0; i < 8; i++) r[i] = t[i];
#else
  t[0] = WEFT_SHUFFLE(r[0], r[1], 0, 4, 1, 5);
  t[1] = WEFT_SHUFFLE(r[0], r[1], 2, 6, 3, 7);
  t[2] = WEFT_SHUFFLE(r[2], r[3], 0, 4, 1, 5);
  t[3] = WEFT_SHUFFLE(r[2], r[3], 2, 6, 3, 7);
  r[0] = WEFT_SHUFFLE(t[0], t[2], 0, 1, 4, 5);
  r[1] = WEFT_SHUFFLE(t[0], t[2], 2, 3, 6, 7);
  r[2] = WEFT_SHUFFLE(t[1], t[3], 0, 1, 4, 5);
  r[3] = WEFT_SHUFFLE(t[1], t[3], 2, 3, 6, 7);
#endif
}
#undef WEFT_SHUFFLE

// y = x^T of one 16x16 block, of which `rows` rows are written:
// y[r*y_stride + c] = use(r, c, x[c*x_stride + r]), where `use` takes and gives a Vec of the
// columns c .. c+kWidth-1.
template <class Use>
WEFT_INLINE void transpose_block(const float* x, int64_t x_stride, float* y, int64_t y_stride, int64_t rows, Use use) {
  for (int64_t r = 0; r < rows; r += kWidth) {
    const int64_t count = rows - r < kWidth ? rows - r : kWidth;
    for (int64_t c = 0; c < kPanel; c += kWidth) {
      Vec v[kWidth];
      WEFT_UNROLL
      for (int i = 0; i < kWidth; i++) v[i] = load(x + (c + i) * x_stride + r);
      transpose_square(v);
      if (count == kWidth) {
        WEFT_UNROLL
        for (int i = 0; i < kWidth; i++) store(y + (r + i) * y_stride + c, use(r + i, c, v[i]));
      } else {
        WEFT_UNROLL
        for (int i = 0; i < kWidth; i++)
          if (i < count) store(y + (r + i) * y_stride + c, use(r + i, c, v[i]));
      }
    }
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
