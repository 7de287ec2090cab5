// dense_forward where x has many zeros. A unit of work is some rows of y by a group of panels; 64 steps at a time, the
// sums waiting in y meanwhile. The terms of a sum are added in the order of the dense way, less those that are 0.
#pragma once

#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/nonzeros.h"
#include "cpu/kernels/prefetch.h"
#include "ops/dense.h"

namespace weft::WEFT_ISA {
namespace {

// Rows of a unit: enough to make use of a group's weights in L1. Neighbours in one thread's share join.
constexpr int64_t kUnitRows = 32, kMostRows = 128;

bool leaves_out_zeros(const DenseForwardArgs& args) {
  if (!args.nonzeros) return false;
  const int64_t words = args.m * ceil_divide(args.k, kRowBits);
  int64_t nonzeros = 0;
  for (int64_t i = 0; i < words; i++) nonzeros += __builtin_popcountll(args.nonzeros[i]);
  return pays(nonzeros, args.m * args.k, ceil_divide(args.n, kPanel));
}

// y[rows, panels of a group] += the steps of one word of x's bits.
template <int kPanels>
__attribute__((noinline)) void add_word(const DenseForwardArgs& args, int64_t panel, Range rows, int64_t word) {
  const int64_t words = ceil_divide(args.k, kRowBits), w_panel = args.k * kPanel;
  const bool first = word == 0, relu = word == words - 1 && args.act.fn == UnaryFn::kRelu;
  const float* w = args.w + panel * w_panel + word * kRowBits * kPanel;  // (kPanels, 64, 16)
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const uint64_t bits = args.nonzeros[row * words + word];
    if (bits == 0 && !first && !relu) continue;
    const float* x = args.x + row * args.x_stride + word * kRowBits;  // (64)
    float* y = args.y + row * args.y_stride + panel * kPanel;         // (kPanels, 16)
    const float* start = first ? args.bias ? args.bias + panel * kPanel : nullptr : y;
    Vec acc[kPanels][kPanelVecs];
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) acc[p][v] = start ? load(start + p * kPanel + v * kWidth) : Vec{};
    multiply_nonzeros<kPanels>(acc, bits, w, kPanel, w_panel,
                               [&](int64_t step) __attribute__((always_inline)) { return x[step]; });
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) {
      if (relu) acc[p][v] = acc[p][v] < 0 ? Vec{} : acc[p][v];
      store(y + p * kPanel + v * kWidth, acc[p][v]);
    }
  }
}

template <int kPanels = kSparsePanels>
void run_add_word(int64_t panels, const DenseForwardArgs& args, int64_t panel, Range rows, int64_t word) {
  if constexpr (kPanels > 1) {
    if (panels < kPanels) return run_add_word<kPanels - 1>(panels, args, panel, rows, word);
  }
  add_word<kPanels>(args, panel, rows, word);
}

// What is left of the epilogue where the sums stand in y already.
void finish_rows(const DenseForwardArgs& args, Range panels, Range rows) {
  const int64_t column = panels.begin * kPanel, columns = length(panels) * kPanel;
  const bool act = args.act.fn != UnaryFn::kIdentity && args.act.fn != UnaryFn::kRelu;
  for (int64_t row = rows.begin; row < rows.end && (act || args.dropout.threshold != 0); row++) {
    float* y = args.y + row * args.y_stride + column;  // (columns)
    if (act) unary_apply(args.act, y, y, columns);
    if (args.dropout.threshold != 0)
      dropout_apply(args.dropout, y, y, row * round_up(args.n, kPanel) + column, columns);
  }
}

void dense_forward_run_sparse(const DenseForwardArgs& args, int tile, int n_tiles) {
  const Blocks groups = panel_groups(args.n), row_blocks = near_equal_blocks(args.m, ceil_divide(args.m, kUnitRows));
  const int64_t units = groups.count * row_blocks.count;
  const Range range = split(units, 1, tile, n_tiles);
  BatchPrefetch next_batch = prefetch_of(args.prefetch, range, units);
  for (int64_t unit = range.begin; unit < range.end;) {
    const Range panels = block_at(groups, unit / row_blocks.count);
    const int64_t block = unit % row_blocks.count;
    const int64_t joined =
        smaller(kMostRows / kUnitRows, smaller(row_blocks.count - block, range.end - unit));
    const Range rows = {block_at(row_blocks, block).begin, block_at(row_blocks, block + joined - 1).end};
    for (int64_t i = 0; i < joined; i++) prefetch_some(next_batch);
    for (int64_t word = 0; word < ceil_divide(args.k, kRowBits); word++)
      run_add_word(length(panels), args, panels.begin, rows, word);
    finish_rows(args, panels, rows);
    unit += joined;
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
