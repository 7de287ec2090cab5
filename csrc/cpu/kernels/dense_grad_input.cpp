// dense_grad_input: dx = (dy W^T) * dropout mask * act'(saved), without a transposed copy of W. A register
// tile computes a piece of dx^T: rows of the panels are the broadcast operand, dy^T the vector operand. Up
// to 112 rows of dx^T gather in a strip, are transposed back 16x16 in registers and written to dx with the mask
// applied. A unit of work is one strip for one block of the batch; the blocks of the batch follow each other, so a
// strip's weights come from L2, and the last of them fetches what is read next. A thread's tile is a contiguous
// share of the units.

#include "cpu/kernels/dense_grad_input_sparse.h"
#include "cpu/kernels/dense_mask.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/transpose.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kStripRows = kMostMasked;  // 8 full tiles on AVX-512
constexpr int kStripFloats = kStripRows * kTileColumns;
// Longer sums are computed in stretches of so many steps (a quarter MiB of a strip's weights) for up to 128 rows of the
// batch, whose sums wait in a strip each: weights then pass from a shared cache to L2 once, and dy^T once for a strip.
// 128x2500x2000 on AVX2: 81 % of the FMA peak instead of 75 in strips of 32 rows, each of which takes all of dy^T.
constexpr int64_t kStretch = 512, kBlocksTogether = 128 / kTileColumns;
// Steps after which the sums return to the strip: a pass of dy^T then stays in L1 (16 KiB) for all tiles of
// the strip. AVX-512 needs half the bytes a cycle and takes them from L2.
constexpr int64_t kStepsPerPass = kWidth == 16 ? kStretch : 256;

// How dx^T is cut: strips of 16-row groups along k, blocks along the batch.
struct Grid {
  int64_t groups, strips, blocks;
};

WEFT_INLINE int64_t batch_blocks(int64_t m) {
  // A rest of 17 to 24 columns runs as 16 + 8, see batch_block_at.
  const int64_t rest = m % kTileColumns;
  return m / kTileColumns + (rest > 0) + (rest > kPanel && rest <= kPanel + kNarrow);
}

WEFT_INLINE Grid grid_of(const DenseGradInputArgs& args, int n_tiles) {
  Grid grid;
  grid.groups = ceil_divide(args.k, kPanel);
  grid.blocks = batch_blocks(args.m);
  const int64_t for_cache = ceil_divide(grid.groups * kPanel, kStripRows);
  const int64_t for_threads = n_tiles == 1 ? 1 : ceil_divide(3 * int64_t{n_tiles}, larger(1, grid.blocks));
  grid.strips = smaller(grid.groups, larger(for_cache, smaller(for_threads, ceil_divide(grid.groups, 2))));
  return grid;
}

// Columns [begin, begin + width) of dx^T, of which `count` exist.
struct BatchBlock {
  int64_t begin, count;
  int width;  // kTileColumns, kPanel or kNarrow
};
WEFT_INLINE BatchBlock batch_block_at(int64_t m, int64_t block) {
  int64_t begin = block * kTileColumns;
  if (begin >= m) begin = m / kTileColumns * kTileColumns + kPanel;  // the 8 of 16 + 8
  const int64_t left = m - begin;
  if (left <= kNarrow) return {begin, left, kNarrow};
  if (left <= kPanel + kNarrow) return {begin, smaller(left, kPanel), kPanel};
  return {begin, smaller(left, kTileColumns), kTileColumns};
}

int dense_grad_input_tiles(const DenseGradInputArgs& args, int threads) {
  const int64_t units = ceil_divide(args.k, 2 * kPanel) * batch_blocks(args.m);
  return suitable_tiles(args.m * args.k * round_up(args.n, kPanel), units, threads);
}

// Writes a finished strip (columns k.begin .. k.end of dx) for one block of the batch.
void store_strip(const DenseGradInputArgs& args, const float* strip, Range k, BatchBlock block) {
  const bool relu = args.act.fn == UnaryFn::kRelu, dropout = args.dropout.threshold != 0;
  // What relu and dropout let through is what the stored value is positive for: no mask is drawn again.
  const Vec scale = broadcast(dropout ? args.dropout.scale : 1.0f);
  for (int64_t c = k.begin; c < k.end; c += kPanel) {
    for (int64_t r = 0; r < block.count; r += kPanel) {
      const float* x = strip + (c - k.begin) * kTileColumns + r;  // (16, kTileColumns)
      const int64_t at = (block.begin + r) * args.dx_stride + c;
      const int64_t rows = smaller(kPanel, block.count - r);
      if (relu) {
        const float* saved = args.saved + at;
        transpose_block(x, kTileColumns, args.dx + at, args.dx_stride, rows,
                        [&](int64_t i, int64_t j, Vec dx) __attribute__((always_inline)) {
                          return load(saved + i * args.dx_stride + j) <= 0 ? Vec{} : dx * scale;
                        });
      } else {
        transpose_block(x, kTileColumns, args.dx + at, args.dx_stride, rows,
                        [](int64_t, int64_t, Vec dx) __attribute__((always_inline)) { return dx; });
      }
    }
  }
  if (relu || (args.act.fn == UnaryFn::kIdentity && !dropout)) return;
  for (int64_t r = 0; r < block.count; r++) apply_mask(args, block.begin + r, k.begin, k.end - k.begin);
}

// Where, for all blocks of a group that share a stretch of a strip's weights.
struct Place {
  Range k, stretch;
  bool next_strip;  // whether the next strip follows after the last stretch, and not the same for other blocks
};

// How far ahead weights are fetched: two panels, or, by the last block of the group, what is read in their place next.
WEFT_INLINE int64_t fetch_distance(const DenseGradInputArgs& args, const Place& at, bool last_block) {
  if (!last_block) return 2 * args.k * kPanel;
  if (at.stretch.end < args.n) return kStretch * args.k;
  return (at.next_strip ? (at.k.end - at.k.begin) * kPanel : 0) - at.stretch.begin * args.k;
}

// dx^T there for one block of the batch, into the strip, on top of the stretches before.
void compute_strip(const DenseGradInputArgs& args, float* strip, const Place& at, BatchBlock block, bool last_block) {
  const Range k = at.k, stretch = at.stretch;
  constexpr auto kSource = ASource::kPanelRows;
  constexpr int kNarrowVecs = kNarrow * sizeof(float) / sizeof(NarrowVec);
  const int most = block.width == kNarrow ? kNarrowRows : kTileRows;
  const Blocks row_blocks = near_equal_blocks(k.end - k.begin, ceil_divide(k.end - k.begin, most));
  for (int64_t n = stretch.begin; n < stretch.end; n += kStepsPerPass) {
    TileArgs t = {};
    for (int64_t b = 0, tiles = 1; b < row_blocks.count; b += tiles) {
      const Range rows = block_at(row_blocks, b);
      const int count = static_cast<int>(rows.end - rows.begin);
      tiles = blocks_alike(row_blocks, b, row_blocks.count);
      t.steps = smaller(kStepsPerPass, stretch.end - n);
      t.a = args.w + n * args.k + (k.begin + rows.begin) * kPanel;
      t.a_stride = args.k * kPanel;
      t.a_ahead = fetch_distance(args, at, last_block);
      t.b = args.dy + n * args.dy_stride + block.begin;
      t.b_step = args.dy_stride;
      t.out = strip + rows.begin * kTileColumns;
      t.start = n == 0 ? nullptr : t.out;
      t.start_stride = kTileColumns;
      if (block.width == kNarrow)
        run_tile<kSource, NarrowVec, kNarrowRows, kNarrowVecs>(count, t, tiles);
      else
        run_panels<kSource>(block.width / kPanel, count, t, tiles);
    }
  }
}

void dense_grad_input_run(const DenseGradInputArgs& args, int tile, int n_tiles) {
  if (sparse_pays(args)) return dense_grad_input_run_sparse(args, tile, n_tiles);
  const Grid grid = grid_of(args, n_tiles);
  const Range units = split(grid.strips * grid.blocks, 1, tile, n_tiles);
  const Blocks strips = near_equal_blocks(grid.groups, grid.strips);
  // (blocks, k of the strip, columns of the block), cleared because its padding is read: what lies beyond k reaches
  // dx's padding, what lies beyond a narrow block's columns nothing.
  alignas(64) float sums[kBlocksTogether * kStripFloats];
  const int64_t together = args.n > kStretch ? smaller(kBlocksTogether, grid.blocks) : 1;
  for (int64_t i = 0; i < together * kStripFloats; i += kWidth) store(sums + i, Vec{});

  for (Walk unit = walk(units, grid.blocks); unit.left > 0;) {
    const int64_t first = unit.inner_index, end = first + smaller(together, smaller(unit.left, grid.blocks - first));
    const Range groups = block_at(strips, unit.outer_index);
    const Range padded = {groups.begin * kPanel, groups.end * kPanel}, k = {padded.begin, smaller(padded.end, args.k)};
    // The blocks that share a stretch: these, or, one after the other, all of the batch.
    const Range sharing = together > 1 ? Range{first, end} : Range{0, grid.blocks};
    for (int64_t n = 0; n < args.n; n += kStretch) {
      const Place at = {k, {n, smaller(args.n, n + kStretch)}, sharing.end == grid.blocks};
      for (int64_t b = first; b < end; b++) {
        const bool last = b + 1 == sharing.end && b > sharing.begin;
        compute_strip(args, sums + (b - first) * kStripFloats, at, batch_block_at(args.m, b), last);
      }
    }
    for (int64_t b = first; b < end; b++, advance(unit))
      store_strip(args, sums + (b - first) * kStripFloats, padded, batch_block_at(args.m, b));
  }
}

}  // namespace

void fill_dense_grad_input(KernelTable& table) {
  table.dense_grad_input = {dense_grad_input_tiles, dense_grad_input_run};
  table.transposes_dy = true;
}

}  // namespace weft::WEFT_ISA
