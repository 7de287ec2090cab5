// dense_forward: y = dropout(act(x W + bias)). x rows are the broadcast operand, W's panels the vector
// operand, and nothing is packed. A unit of work is a block of up to 14 rows times a pair of panels; the
// blocks of one pair follow each other, so its weights (K x 32) come from L2. A thread's tile is a
// contiguous share of the units: tile i meets the same weights here and in dense_grad_kernel.

#include "cpu/kernels/dense_forward_sparse.h"
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"

namespace weft::WEFT_ISA {
namespace {

// The reduced axis is cut where a block of x rows and a pair of panels would not stay in L2 (1 MiB or
// more on current cores); y carries the partial sums from one piece to the next.
constexpr int64_t kL2Floats = 160 * 1024, kLongestSteps = 2048, kShortestSteps = 512;

WEFT_INLINE int64_t steps_per_pass(const DenseForwardArgs& args) {
  const int64_t fitting = larger(kShortestSteps, smaller(kLongestSteps, kL2Floats / (args.m + kTileColumns)));
  return ceil_divide(args.k, larger(1, ceil_divide(args.k, fitting)));
}

WEFT_INLINE int64_t panel_pairs(const DenseForwardArgs& args) { return ceil_divide(args.n, kTileColumns); }

int dense_forward_tiles(const DenseForwardArgs& args, int threads) {
  const int64_t units = panel_pairs(args) * ceil_divide(args.m, kTileRows);
  return suitable_tiles(args.m * args.k * round_up(args.n, kPanel), units, threads);
}

// y = dropout(act(tile)) for the given rows and columns of y; the tile has already applied relu.
void apply_epilogue(const DenseForwardArgs& args, float* tile, Range rows, int64_t column, int64_t columns) {
  if (!is_inline(args.act.fn)) unary_apply(args.act, tile, tile, (rows.end - rows.begin) * columns);
  for (int64_t row = rows.begin; row < rows.end; row++, tile += columns) {
    float* y = args.y + row * args.y_stride + column;  // (columns)
    if (args.dropout.threshold != 0) {
      dropout_apply(args.dropout, tile, y, row * round_up(args.n, kPanel) + column, columns);
    } else {
      for (int64_t c = 0; c < columns; c += kWidth) store(y + c, load(tile + c));
    }
  }
}

void dense_forward_run(const DenseForwardArgs& args, int tile, int n_tiles) {
  if (sparse_pays(args)) return dense_forward_run_sparse(args, tile, n_tiles);
  const Blocks row_blocks = near_equal_blocks(args.m, ceil_divide(args.m, kTileRows));
  const Range units = split(panel_pairs(args) * row_blocks.count, 1, tile, n_tiles);
  const int64_t panels = ceil_divide(args.n, kPanel);
  const int64_t pass = steps_per_pass(args);
  const bool epilogue = !is_inline(args.act.fn) || args.dropout.threshold != 0;
  BatchPrefetch next_batch = prefetch_of(args.prefetch, units, panel_pairs(args) * row_blocks.count);
  alignas(64) float strip[kTileRows * kTileColumns];  // (rows, columns) of a tile on its way to the epilogue

  for (int64_t k = 0; k < args.k; k += pass) {
    const bool first = k == 0, last = k + pass >= args.k;
    for (Walk unit = walk(units, row_blocks.count); unit.left > 0; advance(unit)) {
      if (first) prefetch_some(next_batch);
      const int64_t panel = unit.outer_index * kTilePanels;
      const int64_t column = panel * kPanel;
      const int64_t n_panels = smaller(kTilePanels, panels - panel);
      const Range rows = block_at(row_blocks, unit.inner_index);
      TileArgs t = {};
      t.steps = smaller(pass, args.k - k);
      t.a = args.x + rows.begin * args.x_stride + k;
      t.a_stride = args.x_stride;
      t.b = args.w + (panel * args.k + k) * kPanel;
      t.b_panel = args.k * kPanel;
      float* y = args.y + rows.begin * args.y_stride + column;
      t.start = !first ? y : args.bias ? args.bias + column : nullptr;
      t.start_stride = first ? 0 : args.y_stride;
      t.out = last && epilogue ? strip : y;
      t.out_stride = last && epilogue ? n_panels * kPanel : args.y_stride;
      t.relu = last && args.act.fn == UnaryFn::kRelu;
      run_panels<ASource::kRows>(static_cast<int>(n_panels), static_cast<int>(rows.end - rows.begin), t);
      if (last && epilogue) apply_epilogue(args, strip, rows, column, n_panels * kPanel);
    }
  }
}

}  // namespace

void fill_dense_forward(KernelTable& table) { table.dense_forward = {dense_forward_tiles, dense_forward_run}; }

}  // namespace weft::WEFT_ISA
