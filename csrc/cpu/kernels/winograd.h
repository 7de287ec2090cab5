// The three transforms of Winograd's F(2x2, 3x3), each on a vector of channels at a time, see ops/conv2d.h:
//
//   B^T = 1  0 -1  0     G =  1   0   0     A^T = 1  1  1  0
//         0  1  1  0         1/2 1/2 1/2          0  1 -1  1
//         0 -1  1  0         1/2-1/2 1/2
//         0 -1  0  1          0   0   1
//
// The last row of B^T and the last column of A^T have the other sign than in the paper, which spares the gradient a
// negation. Additions and exact halves in a fixed order: the same bits on every instruction set.
#pragma once

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {
namespace {

// Elements of a transformed block.
constexpr int kWinogradPlanes = 16;

// B^T of one column or row.
WEFT_INLINE void input_lines(Vec d0, Vec d1, Vec d2, Vec d3, Vec& v0, Vec& v1, Vec& v2, Vec& v3) {
  v0 = d0 - d2;
  v1 = d1 + d2;
  v2 = d2 - d1;
  v3 = d3 - d1;
}

// `blocks` neighbours of one vector of channels: x (4, 2*blocks + 2, ...) at strides `row` and `pixel`, to the planes
// v (16, blocks, ...) at strides `plane` and `pitch`.
WEFT_INLINE void transform_inputs(const float* x, int64_t row, int64_t pixel, int64_t blocks, float* v, int64_t plane,
                                  int64_t pitch) {
  const auto column = [&](const float* at, Vec(&t)[4][4], int j) __attribute__((always_inline)) {
    input_lines(load(at), load(at + row), load(at + 2 * row), load(at + 3 * row), t[0][j], t[1][j], t[2][j], t[3][j]);
  };
  Vec t[4][4];  // B^T d
  column(x, t, 0);
  column(x + pixel, t, 1);
  for (int64_t b = 0; b < blocks; b++, v += pitch) {
    x += 2 * pixel;
    column(x, t, 2);
    column(x + pixel, t, 3);
    WEFT_UNROLL
    for (int i = 0; i < 4; i++) {
      Vec line[4];
      input_lines(t[i][0], t[i][1], t[i][2], t[i][3], line[0], line[1], line[2], line[3]);
      WEFT_UNROLL
      for (int j = 0; j < 4; j++) store(v + (4 * i + j) * plane, line[j]);
      t[i][0] = t[i][2], t[i][1] = t[i][3];  // of the next block
    }
  }
}

// The 2x2 outputs of one block for a vector of filters: A^T m A, m (16) at stride `plane`.
WEFT_INLINE void transform_products(const float* m, int64_t plane, Vec (&y)[2][2]) {
  Vec s[4][2];
  WEFT_UNROLL
  for (int i = 0; i < 4; i++) {
    const float* line = m + 4 * i * plane;
    const Vec m1 = load(line + plane), m2 = load(line + 2 * plane);
    s[i][0] = load(line) + (m1 + m2);
    s[i][1] = (m1 - m2) + load(line + 3 * plane);
  }
  WEFT_UNROLL
  for (int j = 0; j < 2; j++) {
    y[0][j] = s[0][j] + (s[1][j] + s[2][j]);
    y[1][j] = (s[1][j] - s[2][j]) + s[3][j];
  }
}

// The transpose of transform_products: A dy A^T of one vector of filters, dy (2, 2) at strides `row` and `pixel`.
WEFT_INLINE void transform_gradient(const float* dy, int64_t row, int64_t pixel, float* d, int64_t plane) {
  Vec t[4][2];
  WEFT_UNROLL
  for (int j = 0; j < 2; j++) {
    const Vec above = load(dy + j * pixel), below = load(dy + row + j * pixel);
    t[0][j] = above, t[1][j] = above + below, t[2][j] = above - below, t[3][j] = below;
  }
  WEFT_UNROLL
  for (int i = 0; i < 4; i++) {
    float* line = d + 4 * i * plane;
    store(line, t[i][0]);
    store(line + plane, t[i][0] + t[i][1]);
    store(line + 2 * plane, t[i][0] - t[i][1]);
    store(line + 3 * plane, t[i][1]);
  }
}

// G of one column or row of the kernel.
WEFT_INLINE void kernel_lines(Vec g0, Vec g1, Vec g2, Vec& u0, Vec& u1, Vec& u2, Vec& u3) {
  const Vec outer = 0.5f * (g0 + g2), inner = 0.5f * g1;
  u0 = g0;
  u1 = outer + inner;
  u2 = outer - inner;
  u3 = g2;
}

// G g G^T of one vector of filters: g (9) at stride `tap`, u (16) at stride `plane`; flipped: g turned by 180 degrees.
template <bool kFlipped>
WEFT_INLINE void transform_kernel(const float* g, int64_t tap, float* u, int64_t plane) {
  Vec t[4][3];
  WEFT_UNROLL
  for (int j = 0; j < 3; j++) {
    const auto at = [&](int i) __attribute__((always_inline)) {
      const int k = 3 * i + j;
      return load(g + (kFlipped ? 8 - k : k) * tap);
    };
    kernel_lines(at(0), at(1), at(2), t[0][j], t[1][j], t[2][j], t[3][j]);
  }
  WEFT_UNROLL
  for (int i = 0; i < 4; i++) {
    Vec line[4];
    kernel_lines(t[i][0], t[i][1], t[i][2], line[0], line[1], line[2], line[3]);
    WEFT_UNROLL
    for (int j = 0; j < 4; j++) store(u + (4 * i + j) * plane, line[j]);
  }
}

// G^T of one column or row of the sums.
WEFT_INLINE void sum_lines(Vec u0, Vec u1, Vec u2, Vec u3, Vec& g0, Vec& g1, Vec& g2) {
  const Vec half = 0.5f * (u1 + u2);
  g0 = u0 + half;
  g1 = 0.5f * (u1 - u2);
  g2 = half + u3;
}

// The transpose of transform_kernel: g = G^T u G of one vector of filters.
WEFT_INLINE void transform_sums(const float* u, int64_t plane, Vec (&g)[3][3]) {
  Vec t[3][4];
  WEFT_UNROLL
  for (int j = 0; j < 4; j++) {
    const float* at = u + j * plane;
    sum_lines(load(at), load(at + 4 * plane), load(at + 8 * plane), load(at + 12 * plane), t[0][j], t[1][j], t[2][j]);
  }
  WEFT_UNROLL
  for (int i = 0; i < 3; i++) sum_lines(t[i][0], t[i][1], t[i][2], t[i][3], g[i][0], g[i][1], g[i][2]);
}

}  // namespace
}  // namespace weft::WEFT_ISA
