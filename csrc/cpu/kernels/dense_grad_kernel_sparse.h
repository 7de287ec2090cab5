// dense_grad_kernel where x has many zeros. A unit of work is some columns of x by a group of panels, a row of weights
// for each column, and 64 rows of the batch at a time. The optimizers that occur most update their weights right from
// the sums' registers; others, and gradients that are stored or prepared, go through a buffer.
#pragma once

#include "cpu/kernels/nonzeros.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/vector_math.h"
#include "ops/dense.h"
#include "ops/update_rules.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kUnitColumns = 128, kPassRows = 64, kPackedRows = 128;
// Floats from one panel of waiting sums to the next: a multiple of 4 KiB would put them into the same sets of L1.
constexpr int64_t kSumsPanel = (kUnitColumns + 1) * kPanel;

// Weights and slots of more floats come from memory or a shared cache, and their updates wait for it: fetched early,
// Adam on 2500x2000 gains a sixth. Nearer ones lose 4 % by it.
constexpr int64_t kFarFloats = 1 << 20;
// Here it is the weights alone, so many columns of x ahead: 2500x2000 gains 6 %.
constexpr int64_t kColumnsAhead = 4;

bool sparse_pays(const DenseGradKernelArgs& args) {
  return args.column_bits && pays(count_nonzeros(args.column_bits, args.m, args.k), args.m * args.k);
}

// What a thread's units have in common.
struct SparseGradient {
  const DenseGradKernelArgs& args;
  RuleConstants constants;
  Vec keep[kPanelVecs];  // which lanes of the last panel exist
  float* sums;           // (kSparsePanels, columns of a unit, 16), panels kSumsPanel apart
  const float* dy;       // a group's columns of dy, (m, columns), stride dy_stride: in dy, or copied together
  int64_t dy_stride;
  const float* x;  // x(row, column) = x[row*x_row + column*x_column], from x or from its transpose
  int64_t x_row, x_column;
};

// The gradient of some rows of weights in a group of panels, from rows [m, m + 64) of the batch on top of what is in
// the sums. After the last of them it is applied by `rule`, or left in the sums if that is kNone. kConstantStrides:
// dy has been copied together and x is there as its transpose (5 %).
template <UpdateRule rule, int kPanels, bool kConstantStrides>
__attribute__((noinline)) void add_rows(const SparseGradient& all, int64_t panel, Range columns, int64_t m) {
  const DenseGradKernelArgs& args = all.args;
  const int64_t rows = smaller(kPassRows, args.m - m), bits_stride = round_up(args.k, kPanel);
  const bool first = m == 0, last = m + rows >= args.m, masked = last && (panel + kPanels) * kPanel > args.n;
  const bool far = last && args.w && panel_size(args.k, args.n) > kFarFloats;
  const uint32_t* bits_of = args.column_bits + m / kColumnBits * bits_stride;  // (rows/32, k)
  const int64_t x_row = kConstantStrides ? 1 : all.x_row,
                dy_stride = kConstantStrides ? kPanels * kPanel : all.dy_stride;
  const float* dy = all.dy + m * dy_stride;  // (rows, kPanels, 16)
  float* sums = all.sums;                    // (kPanels, 16) of one column
  for (int64_t k = columns.begin; k < columns.end; k++, sums += kPanel) {
    for (int p = 0; p < kPanels && far; p++)
      __builtin_prefetch(args.w + ((panel + p) * args.k + k + kColumnsAhead) * kPanel, 1);
    uint64_t bits = bits_of[k];
    if (rows > kColumnBits) bits |= static_cast<uint64_t>(bits_of[bits_stride + k]) << kColumnBits;
    Vec acc[kPanels][kPanelVecs];
    WEFT_UNROLL
    for (int p = 0; p < kPanels; p++) WEFT_UNROLL
    for (int v = 0; v < kPanelVecs; v++) acc[p][v] = first ? Vec{} : load(sums + p * kSumsPanel + v * kWidth);
    const float* x = all.x + m * x_row + k * all.x_column;  // (rows) of column k, stride x_row
    multiply_nonzeros<kPanels>(acc, bits, dy, dy_stride, kPanel,
                               [x, x_row](int64_t row)
                                   __attribute__((always_inline)) -> const float& { return x[row * x_row]; });
    if (masked) {
      WEFT_UNROLL
      for (int v = 0; v < kPanelVecs; v++) acc[kPanels - 1][v] = all.keep[v] != 0 ? acc[kPanels - 1][v] : Vec{};
    }
    if (rule == UpdateRule::kNone || !last) {
      WEFT_UNROLL
      for (int p = 0; p < kPanels; p++) WEFT_UNROLL
      for (int v = 0; v < kPanelVecs; v++) store(sums + p * kSumsPanel + v * kWidth, acc[p][v]);
      continue;
    }
    if constexpr (rule != UpdateRule::kNone) {
      const Variable variable = {args.w, args.update.slot0, args.update.slot1, nullptr};
      WEFT_UNROLL
      for (int p = 0; p < kPanels; p++) WEFT_UNROLL
      for (int v = 0; v < kPanelVecs; v++)
        apply_rule<rule>(all.constants, variable, ((panel + p) * args.k + k) * kPanel + v * kWidth, acc[p][v]);
    }
  }
}

template <UpdateRule rule, int kPanels = kSparsePanels>
void run_add_rows(int64_t panels, const SparseGradient& all, int64_t panel, Range columns, int64_t m) {
  if constexpr (kPanels > 1) {
    if (panels < kPanels) return run_add_rows<rule, kPanels - 1>(panels, all, panel, columns, m);
  }
  if constexpr (kPanels + 2 >= kSparsePanels) {  // layers wide enough for x^T seldom have narrower groups
    if (all.x_row == 1 && all.dy_stride == kPanels * kPanel)
      return add_rows<rule, kPanels, true>(all, panel, columns, m);
  }
  add_rows<rule, kPanels, false>(all, panel, columns, m);
}

// Applies, or stores, the gradient that stands in the sums.
void finish_sums(const SparseGradient& all, Range panels, Range columns) {
  const DenseGradKernelArgs& args = all.args;
  const int64_t floats = length(columns) * kPanel;
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    float* grad = all.sums + (panel - panels.begin) * kSumsPanel;  // (columns, 16)
    const int64_t at = (panel * args.k + columns.begin) * kPanel;
    if (args.update.rule == UpdateRule::kNone) {
      for (int64_t i = 0; i < floats; i += kWidth) store(args.grad + at + i, load(grad + i));
    } else {
      if (needs_preparation(args.update)) prepare_update(args.update, grad, args.w + at, floats);
      apply_update(args.update, args.w, at, grad, floats);
    }
  }
}

// Points `all` at the columns of dy that a group of panels needs. Rows of dy stand on as many pages, more than a TLB of
// level 1 holds beside those of x, so they are copied together where the batch is not too long.
void find_dy(SparseGradient& all, Range panels, float* packed) {
  const DenseGradKernelArgs& args = all.args;
  const int64_t columns = length(panels) * kPanel;
  all.dy = args.dy + panels.begin * kPanel, all.dy_stride = args.dy_stride;
  if (args.m > kPackedRows) return;
  for (int64_t row = 0; row < args.m; row++)
    for (int64_t c = 0; c < columns; c += kWidth)
      store(packed + row * columns + c, load(all.dy + row * args.dy_stride + c));
  all.dy = packed, all.dy_stride = columns;
}

template <UpdateRule rule>
void run_units(SparseGradient& all, int tile, int n_tiles) {
  alignas(64) float packed[kPackedRows * kSparsePanels * kPanel];
  int64_t group = -1;
  const DenseGradKernelArgs& args = all.args;
  const int64_t threads = smaller(args.threads, n_tiles);
  const Blocks groups = panel_groups(args.n, threads);
  const int64_t for_threads = groups.count % threads == 0 ? 1 : threads;
  const Blocks blocks = near_equal_blocks(args.k, round_up(ceil_divide(args.k, kUnitColumns), for_threads));
  const int64_t units = groups.count * blocks.count;
  const Range range = split(units, 1, tile, n_tiles);
  BatchPrefetch next_batch = prefetch_of(args.prefetch, range, units);
  for (Walk unit = walk(range, blocks.count); unit.left > 0; advance(unit)) {
    const Range panels = block_at(groups, unit.outer_index), columns = block_at(blocks, unit.inner_index);
    prefetch_some(next_batch);
    if (unit.outer_index != group) find_dy(all, panels, packed), group = unit.outer_index;
    for (int64_t m = 0; m < args.m; m += kPassRows) run_add_rows<rule>(length(panels), all, panels.begin, columns, m);
    if (rule == UpdateRule::kNone) finish_sums(all, panels, columns);
  }
}

void dense_grad_kernel_run_sparse(const DenseGradKernelArgs& args, int tile, int n_tiles) {
  const bool store_only = args.update.rule == UpdateRule::kNone;
  alignas(64) float sums[kSparsePanels * kSumsPanel];
  SparseGradient all = {
      args, store_only ? RuleConstants{} : rule_constants(args.update), {}, sums, nullptr, 0, args.x, args.x_stride, 1};
  if (args.x_columns) all.x = args.x_columns, all.x_row = 1, all.x_column = args.x_columns_stride;
  for (int64_t c = 0; c < kPanel; c++) all.keep[c / kWidth][c % kWidth] = args.n % kPanel == 0 || c < args.n % kPanel;
  if (!store_only && !needs_preparation(args.update)) {
    switch (args.update.rule) {
      case UpdateRule::kSgd:
        return run_units<UpdateRule::kSgd>(all, tile, n_tiles);
      case UpdateRule::kMomentum:
        return run_units<UpdateRule::kMomentum>(all, tile, n_tiles);
      case UpdateRule::kNesterov:
        return run_units<UpdateRule::kNesterov>(all, tile, n_tiles);
      case UpdateRule::kRmsprop:
        return run_units<UpdateRule::kRmsprop>(all, tile, n_tiles);
      case UpdateRule::kAdam:
        return run_units<UpdateRule::kAdam>(all, tile, n_tiles);
      default:
        break;
    }
  }
  run_units<UpdateRule::kNone>(all, tile, n_tiles);
}

}  // namespace
}  // namespace weft::WEFT_ISA
