// dense_grad_input where dy has many zeros. As dense_forward_sparse.h, with W^T for W: 64 columns of W by a group of
// its rows are transposed into L1, where they serve all rows of the batch. A unit of work is some rows of dx by a group
// of its panels.
#pragma once

#include "cpu/kernels/dense_mask.h"
#include "cpu/kernels/nonzeros.h"
#include "cpu/kernels/transpose.h"

namespace weft::WEFT_ISA {
namespace {

// Transposing W costs as much as this many rows of products.
constexpr int64_t kTransposeCost = 5;

bool sparse_pays(const DenseGradInputArgs& args) {
  if (!args.row_bits) return false;
  const int64_t work = count_nonzeros(args.row_bits, args.m, args.n) + kTransposeCost * args.n;
  return pays(work, args.m * args.n);
}

// w (64, panels, 16) = rows of W in some panels of k, by its columns from `column` on; rows that W does not have are 0.
void transpose_weights(const DenseGradInputArgs& args, Range panels, int64_t column, float* w) {
  const auto as_is = [](int64_t, int64_t, Vec x) __attribute__((always_inline)) { return x; };
  const int64_t w_step = length(panels) * kPanel;
  for (int64_t panel = panels.begin; panel < panels.end; panel++, w += kPanel) {
    const int64_t k = panel * kPanel, rows = smaller(kPanel, args.k - k);
    const int64_t end = smaller(args.n, column + kRowBits);
    for (int64_t n = column; n < end; n += kPanel) {
      const float* from = args.w + (n / kPanel * args.k + k) * kPanel;  // (rows, 16)
      alignas(64) float last[kPanel * kPanel];                          // (16, 16)
      if (rows < kPanel) {
        for (int64_t i = 0; i < kPanel * kPanel; i += kWidth)
          store(last + i, i < rows * kPanel ? load(from + i) : Vec{});
        from = last;
      }
      transpose_block(from, kPanel, w + (n - column) * w_step, w_step, kPanel, as_is);
    }
  }
}

// What is transposed after 64 columns of some panels: their next ones, or the first of the next unit's panels.
WEFT_INLINE Ahead next_weights(const DenseGradInputArgs& args, Range panels, Range rows, int64_t column) {
  const int64_t next = column + kRowBits < args.n ? column + kRowBits : 0;
  const int64_t panel = next > 0 || rows.end < args.m ? panels.begin : panels.end;
  const float* w = args.w + next * args.k + panel * kPanel * kPanel;
  return {w, args.k * kPanel, kRowBits / kPanel, length(panels) * kPanel};
}

void dense_grad_input_run_sparse(const DenseGradInputArgs& args, int tile, int n_tiles) {
  alignas(64) float w[kRowBits * kSparsePanels * kPanel];            // (64, panels, 16)
  alignas(64) float sums[kMostSparseRows * kSparsePanels * kPanel];  // (rows, panels, 16)
  const SparseUnits units = sparse_units(args.m, args.k, smaller(args.threads, n_tiles));
  const int64_t words = ceil_divide(args.n, kRowBits);
  const bool relu = args.act.fn == UnaryFn::kRelu, dropout = args.dropout.threshold != 0;
  const bool far = panel_size(args.k, args.n) > kNearFloats;
  WordProduct product = {};
  product.x_stride = args.dy_rows_stride, product.y_stride = args.dx_stride;
  product.scale = dropout ? args.dropout.scale : 1.0f;
  product.w = w, product.sums = sums;
  for (Walk unit = walk(split(units.count(), 1, tile, n_tiles), units.row_blocks.count); unit.left > 0; advance(unit)) {
    const Range panels = block_at(units.groups, unit.outer_index);
    const Range rows = block_at(units.row_blocks, unit.inner_index);
    const int64_t at = rows.begin * args.dx_stride + panels.begin * kPanel;
    product.y = args.dx + at;
    product.saved = relu ? args.saved + at : nullptr;
    for (int64_t word = 0; word < words; word++) {
      if (far) product.ahead = next_weights(args, panels, rows, word * kRowBits);
      transpose_weights(args, panels, word * kRowBits, w);
      product.bits = args.row_bits + word * args.m + rows.begin;
      product.x = args.dy_rows + rows.begin * args.dy_rows_stride + word * kRowBits;
      product.first = word == 0, product.last = word == words - 1;
      run_add_word<true>(length(panels), product, length(rows));
    }
    if (relu || (args.act.fn == UnaryFn::kIdentity && !dropout)) continue;
    for (int64_t row = rows.begin; row < rows.end; row++)
      apply_mask(args, row, panels.begin * kPanel, length(panels) * kPanel);
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
