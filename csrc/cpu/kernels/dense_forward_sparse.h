// dense_forward where x has many zeros. A unit of work is some rows of y by a group of panels; 64 steps at a time, the
// sums waiting in a buffer meanwhile. The terms of a sum are added in the order of the dense way, without the zeros.
#pragma once

#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/nonzeros.h"
#include "cpu/kernels/prefetch.h"
#include "ops/dense.h"

namespace weft::WEFT_ISA {
namespace {

// Functions that are applied to the sums before they are stored.
bool is_inline(UnaryFn fn) { return fn == UnaryFn::kIdentity || fn == UnaryFn::kRelu; }

bool sparse_pays(const DenseForwardArgs& args) {
  return args.row_bits && pays(count_nonzeros(args.row_bits, args.m, args.k), args.m * args.k);
}

// Some rows of y in a group of panels, up to relu.
void multiply_rows(const DenseForwardArgs& args, Range panels, Range rows) {
  const int64_t words = ceil_divide(args.k, kRowBits), column = panels.begin * kPanel;
  WordProduct product = {};
  alignas(64) float sums[kMostSparseRows * kSparsePanels * kPanel];
  product.sums = sums;
  product.x_stride = args.x_stride, product.y_stride = args.y_stride, product.w_panel = args.k * kPanel;
  product.y = args.y + rows.begin * args.y_stride + column;
  product.bias = args.bias ? args.bias + column : nullptr;
  product.relu = args.act.fn == UnaryFn::kRelu;
  if (panel_size(args.k, args.n) > kNearFloats) product.ahead = {nullptr, product.w_panel, length(panels), kRowBits};
  for (int64_t word = 0; word < words; word++) {
    product.bits = args.row_bits + word * args.m + rows.begin;
    product.x = args.x + rows.begin * args.x_stride + word * kRowBits;
    product.w = args.w + (panels.begin * args.k + word * kRowBits) * kPanel;
    product.first = word == 0, product.last = word == words - 1;
    const int64_t next_panel = rows.end < args.m ? panels.begin : panels.end;  // of the next unit
    product.ahead.at = product.last ? args.w + next_panel * args.k * kPanel : product.w + kRowBits * kPanel;
    run_add_word<false>(length(panels), product, length(rows));
  }
}

// What is left of the epilogue where the sums stand in y already.
void finish_rows(const DenseForwardArgs& args, Range panels, Range rows) {
  const int64_t column = panels.begin * kPanel, columns = length(panels) * kPanel;
  const bool act = !is_inline(args.act.fn);
  for (int64_t row = rows.begin; row < rows.end && (act || args.dropout.threshold != 0); row++) {
    float* y = args.y + row * args.y_stride + column;  // (columns)
    if (act) unary_apply(args.act, y, y, columns);
    if (args.dropout.threshold != 0)
      dropout_apply(args.dropout, y, y, row * round_up(args.n, kPanel) + column, columns);
  }
}

void dense_forward_run_sparse(const DenseForwardArgs& args, int tile, int n_tiles) {
  const bool in_every_cache = args.w_stays && panel_size(args.k, args.n) <= kNearFloats;
  const SparseUnits units = sparse_units(args.m, args.n, smaller(args.threads, n_tiles), in_every_cache);
  const Range range = split(units.count(), 1, tile, n_tiles);
  BatchPrefetch next_batch = prefetch_of(args.prefetch, range, units.count());
  for (Walk unit = walk(range, units.row_blocks.count); unit.left > 0; advance(unit)) {
    const Range panels = block_at(units.groups, unit.outer_index);
    const Range rows = block_at(units.row_blocks, unit.inner_index);
    prefetch_some(next_batch);
    multiply_rows(args, panels, rows);
    finish_rows(args, panels, rows);
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
