// What the sparse ways of the dense kernels have in common: one row (or column) of x at a time, whose
// nonzeros' bits name the steps of a product. A group of panels is as many as there are registers for one row of sums;
// 64 steps of a group (28 KiB) stay in L1 for all rows. They stream the vector operand through the load ports, one load
// for each FMA, so that a product with nothing left out would take a fifth longer than in tiles of many rows.
#pragma once

#include "cpu/kernels/tiling.h"
#include "ops/nonzeros.h"

namespace weft::WEFT_ISA {
namespace {

// Panels of a group, as many as there are registers for a row of their sums, and the share of nonzeros, in percent, up
// to which the sparse ways are faster. Load ports keep up with the FMAs on x86; on AArch64 they are fewer (a guess, not
// measured).
#if defined(__AVX512F__)
constexpr int kSparsePanels = 7, kMostPercent = 70;
#elif defined(__AVX2__)
constexpr int kSparsePanels = 6, kMostPercent = 65;
#elif defined(__aarch64__)
constexpr int kSparsePanels = 6, kMostPercent = 45;
#else
constexpr int kSparsePanels = 3, kMostPercent = 60;
#endif
WEFT_INLINE bool pays(int64_t nonzeros, int64_t elements) { return nonzeros * 100 <= elements * kMostPercent; }

// Rows of the batch that a group of panels takes before the next one: as many as make use of its weights in L1, but few
// enough for their sums to stay in L2, and not too few.
constexpr int64_t kMostSparseRows = 128, kLeastSparseRows = 8;

// Groups of panels, at most kSparsePanels each: as few as there can be, but like shares for the tiles of each thread
// or, if groups would become too narrow, for all threads. The tiles of a thread follow each other, so that a group's
// weights are read and updated by one thread: handed from core to core they can take longer than the product.
WEFT_INLINE Blocks panel_groups(int64_t n, int64_t threads) {
  const int64_t panels = ceil_divide(n, kPanel), groups = ceil_divide(panels, kSparsePanels);
  const int64_t for_tiles = round_up(groups, kTilesPerThread * threads), for_threads = round_up(groups, threads);
  if (threads > 1 && for_tiles * 6 <= panels) return near_equal_blocks(panels, for_tiles);
  if (for_threads * 2 <= panels) return near_equal_blocks(panels, for_threads);
  return near_equal_blocks(panels, groups);
}

// How a product of m rows with n columns is cut into units, row blocks of one group being neighbours. A group is cut
// along the batch only where threads would have unlike shares, because each unit fetches the group's weights anew.
// Weights that nobody changes, and L2 holds, may lie in every core's L2: then groups are as wide as can be.
struct SparseUnits {
  Blocks groups, row_blocks;
  int64_t count() const { return groups.count * row_blocks.count; }
};
WEFT_INLINE SparseUnits sparse_units(int64_t m, int64_t n, int64_t threads, bool in_every_cache = false) {
  const Blocks groups = panel_groups(n, in_every_cache && m >= threads * kLeastSparseRows ? 1 : threads);
  const int64_t for_threads = groups.count % threads == 0 ? 1 : smaller(threads, ceil_divide(m, kLeastSparseRows));
  return {groups, near_equal_blocks(m, larger(for_threads, ceil_divide(m, kMostSparseRows)))};
}

// x in every lane, by way of an integer register: on Zen 4 an integer's load does not take a turn of the ports that
// load vectors, and these set the pace of the products (7 %).
WEFT_INLINE Vec broadcast_past_vector_loads(const float& x) {
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(x));
  asm("" : "+r"(bits));  // or the compiler makes it the broadcast from memory again
  return (Vec)(bits - IntVec{});
}

// acc (kPanels, 16) += x(step)*b(step) for the steps that `bits` names, in their order. b(step, column) =
// b[step*b_step + column/16*b_panel + column%16].
template <int kPanels, class Element>
WEFT_INLINE void multiply_nonzeros(Vec (&acc)[kPanels][kPanelVecs], uint64_t bits, const float* b, int64_t b_step,
                                   int64_t b_panel, Element x_at) {
  for (; bits != 0; bits &= bits - 1) {
    const int64_t step = __builtin_ctzll(bits);
    const Vec element = broadcast_past_vector_loads(x_at(step));
    const float* row = b + step * b_step;
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) acc[p][v] = element * load(row + p * b_panel + v * kWidth) + acc[p][v];
  }
}

// Weights that the next product reads: blocks of as many cache lines, `stride` floats apart. Rows leave
// out some of the lines that they pass, which hardware prefetchers take for no pattern at all.
struct Ahead {
  const float* at;
  int64_t stride, blocks, lines;  // 0 lines: nothing to fetch
};

// Up to so many floats, the L2 of a core, fetching weights early costs more than it spares (4 % of 500x500).
constexpr int64_t kNearFloats = 1 << 18;

// Fetches part i of `count` into L2.
WEFT_INLINE void prefetch_part(const Ahead& ahead, int64_t i, int64_t count) {
  for (int64_t line = i; line < ahead.lines; line += count)
    for (int64_t b = 0; b < ahead.blocks; b++) __builtin_prefetch(ahead.at + line * kPanel + b * ahead.stride, 0, 2);
}

// A product of sparse rows with 64 rows of weights in panels: sums += x w for one word of each row's bits; with the
// last word they become y.
struct WordProduct {
  const uint64_t* bits;  // (rows), one word each
  const float* x;        // (rows, 64), stride x_stride
  const float* w;        // (kPanels, 64, 16), panels w_panel floats apart, or (64, kPanels, 16)
  float* y;              // (rows, kPanels, 16), stride y_stride
  float* sums;           // (rows, kPanels, 16): where they wait for the next word, closer together than in y
  int64_t x_stride, w_panel, y_stride;
  bool first, last;   // whether sums start from `bias`; whether what follows is applied to them, and they go to y
  const float* bias;  // (kPanels, 16), or null for zeros
  bool relu;
  const float* saved;  // (rows, kPanels, 16), stride y_stride, or null: y = saved <= 0 ? 0 : y*scale
  float scale;
  Ahead ahead;
};

// kTogether: w is (64, kPanels, 16), which spares the adding up of addresses.
template <int kPanels, bool kTogether>
__attribute__((noinline)) void add_word(const WordProduct& product, int64_t rows) {
  const int64_t w_step = kTogether ? kPanels * kPanel : kPanel, w_panel = kTogether ? kPanel : product.w_panel;
  const Vec scale = broadcast(product.scale);
  const bool changes = product.last && (product.relu || product.saved);
  for (int64_t row = 0; row < rows; row++) {
    prefetch_part(product.ahead, row, rows);
    const uint64_t bits = product.bits[row];
    if (bits == 0 && !product.first && !product.last) continue;
    const float* x = product.x + row * product.x_stride;
    float* sums = product.sums + row * kPanels * kPanel;
    const float* start = product.first ? product.bias : sums;
    float* out = product.last ? product.y + row * product.y_stride : sums;
    Vec acc[kPanels][kPanelVecs];
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) acc[p][v] = start ? load(start + p * kPanel + v * kWidth) : Vec{};
    multiply_nonzeros<kPanels>(acc, bits, product.w, w_step, w_panel,
                               [x](int64_t step) __attribute__((always_inline)) -> const float& { return x[step]; });
    if (changes && product.relu) {
      WEFT_UNROLL
      for (int p = 0; p < kPanels; p++) WEFT_UNROLL
      for (int v = 0; v < kPanelVecs; v++) acc[p][v] = acc[p][v] < 0 ? Vec{} : acc[p][v];
    } else if (changes) {
      const float* saved = product.saved + row * product.y_stride;
      WEFT_UNROLL
      for (int p = 0; p < kPanels; p++) WEFT_UNROLL
      for (int v = 0; v < kPanelVecs; v++)
        acc[p][v] = load(saved + p * kPanel + v * kWidth) <= 0 ? Vec{} : acc[p][v] * scale;
    }
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) store(out + p * kPanel + v * kWidth, acc[p][v]);
  }
}

// Calls it for a group of `panels` panels.
template <bool kTogether, int kPanels = kSparsePanels>
void run_add_word(int64_t panels, const WordProduct& product, int64_t rows) {
  if constexpr (kPanels > 1) {
    if (panels < kPanels) return run_add_word<kTogether, kPanels - 1>(panels, product, rows);
  }
  add_word<kPanels, kTogether>(product, rows);
}

// The number of nonzeros of x (m, k).
WEFT_INLINE int64_t count_nonzeros(const uint64_t* row_bits, int64_t m, int64_t k) {
  const int64_t words = ceil_divide(k, kRowBits);
  int64_t count = 0;
  for (int64_t i = 0; i < words; i++) count += static_cast<int64_t>(row_bits[words * m + i]);
  return count;
}
WEFT_INLINE int64_t count_nonzeros(const uint32_t* column_bits, int64_t m, int64_t k) {
  const uint32_t* counts = column_bits + ceil_divide(m, kColumnBits) * round_up(k, kPanel);
  int64_t count = 0;
  for (int64_t i = 0; i < ceil_divide(k, kRowBits); i++) count += counts[i];
  return count;
}

}  // namespace
}  // namespace weft::WEFT_ISA
