// What the sparse ways of dense_forward and dense_grad_kernel have in common: one row (or column) of x at a time, whose
// nonzeros' bits name the steps of a product. A group of panels is as many as there are registers for one row of sums;
// 64 steps of a group (24 KiB) stay in L1 for all rows. Both stream the vector operand through the load ports, one load
// for each FMA, so that a product with nothing left out would take a fifth longer than in tiles of many rows.
#pragma once

#include "cpu/kernels/tiling.h"
#include "ops/nonzeros.h"

namespace weft::WEFT_ISA {
namespace {

// Panels of a group, as many as there are registers for a row of their sums, and the share of nonzeros, in percent, up
// to which the sparse ways are faster: 512 bits come through the load ports at the rate of the FMAs, two times 256 at
// half of it.
#if defined(__AVX512F__)
constexpr int kSparsePanels = 7, kMostNonzeros = 70;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kSparsePanels = 6, kMostNonzeros = 40;
#else
constexpr int kSparsePanels = 3, kMostNonzeros = 40;
#endif
// Fewer panels than this would wait for the latency of the FMAs.
constexpr int64_t kLeastSparsePanels = 4;

WEFT_INLINE bool pays(int64_t nonzeros, int64_t elements, int64_t panels) {
  return panels >= kLeastSparsePanels && nonzeros * 100 <= elements * kMostNonzeros;
}

WEFT_INLINE Blocks panel_groups(int64_t n) {
  const int64_t panels = ceil_divide(n, kPanel);
  return near_equal_blocks(panels, ceil_divide(panels, kSparsePanels));
}

// acc (kPanels, 16) += x(step)*b(step) for the steps that `bits` names, in their order. b(step, column) =
// b[step*b_step + column/16*b_panel + column%16].
template <int kPanels, class Element>
WEFT_INLINE void multiply_nonzeros(Vec (&acc)[kPanels][kPanelVecs], uint64_t bits, const float* b, int64_t b_step,
                                   int64_t b_panel, Element x_at) {
  for (; bits != 0; bits &= bits - 1) {
    const int64_t step = __builtin_ctzll(bits);
    const Vec element = broadcast(x_at(step));
    const float* row = b + step * b_step;
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) acc[p][v] = element * load(row + p * b_panel + v * kWidth) + acc[p][v];
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
