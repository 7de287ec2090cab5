// dense_grad_kernel: x^T dy in panels, or the optimizer's update of the weights with it. A register tile is
// up to 14 rows of a pair of panels; columns of x are the broadcast operand, rows of dy the vector operand.
// The update of a tile runs inside the loop of the next one, a row every few steps, so that its divisions,
// square roots and cache misses hide behind the FMAs. A unit of work is one register tile, in the order of
// the panels; a thread's tile is a contiguous share of the units: the same weights as in dense_forward,
// each owned by one thread.

#include "cpu/kernels/dense_grad_kernel_sparse.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/vector_math.h"
#include "ops/update_rules.h"

namespace weft::WEFT_ISA {
namespace {

// Longer batches run in passes, over groups of tiles whose sums wait meanwhile: a pass of dy for one pair of panels
// (16 KiB) then serves all tiles of the group from L1 or L2. 3584 rows of an LSTM take 10 % less time so than in passes
// of 512 over groups of 8.
constexpr int64_t kStepsPerPass = 128;
constexpr int64_t kGroupTiles = 10;
// Rows of a batch up to which updates are interleaved, in one pass, and columns of x are packed.
constexpr int64_t kLongestInterleaved = 512;
constexpr int kTileFloats = kTileRows * kTileColumns;

// AVX2's second shape: as many sums as 6x16, but 7 loads for each step instead of 8, which up to so many steps is 1 to
// 2 % faster and at 128 up to 1 % slower. Each thread must have whole pairs of panels: a single one would leave 6
// chains of FMAs, too few for their latency, and a pair that two threads share would move weights between them.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr TileShape kFlatTile = {3, 2};
#else
constexpr TileShape kFlatTile = kTile;
#endif
constexpr int64_t kLongestFlat = 64;
static_assert(kFlatTile.rows * kFlatTile.panels <= kTileRows * kTilePanels);  // in kTileFloats

WEFT_INLINE bool flat_pays(const DenseGradKernelArgs& args) {
  return args.m <= kLongestFlat && ceil_divide(args.n, kPanel) % (kFlatTile.panels * args.threads) == 0;
}
WEFT_INLINE TileShape shape_of(const DenseGradKernelArgs& args) { return flat_pays(args) ? kFlatTile : kTile; }

// The columns of x that a few tiles need are copied together once for all panels, because a column touches
// as many pages as the batch has rows (84 % of peak on AVX2 without). AVX2 needs them (16 KiB) and a pass of dy (8) in
// L1; AVX-512, with half the loads for each multiply-add, gains more from longer runs (28 and 16).
constexpr int64_t kPackedFloats = kWidth == 16 ? 7168 : 4096;
constexpr int64_t kLongestColumns = kLongestInterleaved * kTileRows;
constexpr int64_t kPackedBuffer = kPackedFloats > kLongestColumns ? kPackedFloats : kLongestColumns;

// Interleaving a rule that takes roots pays where the tile leaves registers for it: with 32 registers Adam at
// batch 32 runs at 71 % of peak instead of 62 %, with 16 (AVX2) at 57 % instead of 60 %.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool kInterleaveRoots = true;
#else
constexpr bool kInterleaveRoots = false;
#endif

// Fewer rows than this occur only where K is smaller still; their updates are not interleaved.
constexpr int least_rows(TileShape shape) { return (shape.rows + 1) / 2; }

WEFT_INLINE int64_t row_blocks(const DenseGradKernelArgs& args, TileShape shape) {
  return ceil_divide(args.k, shape.rows);
}
WEFT_INLINE int64_t unit_count(const DenseGradKernelArgs& args, TileShape shape) {
  return ceil_divide(args.n, shape.panels * kPanel) * row_blocks(args, shape);
}

int dense_grad_kernel_tiles(const DenseGradKernelArgs& args, int threads) {
  return suitable_tiles(args.m * args.k * round_up(args.n, kPanel), unit_count(args, shape_of(args)), threads);
}

// Columns [begin, end) of x for all rows of the batch: where they stand, in x or copied together.
struct Columns {
  const float* x;  // (m, end - begin), stride `stride`
  int64_t stride, begin;
};

// Copies up to kPackedBuffer floats.
Columns pack_columns(const DenseGradKernelArgs& args, Range columns, float* packed) {
  const int64_t width = columns.end - columns.begin;
  const float* x = args.x + columns.begin;
  float* out = packed;
  for (int64_t row = 0; row < args.m; row++, x += args.x_stride, out += width) {
    int64_t c = 0;
    for (; c + kWidth <= width; c += kWidth) store(out + c, load(x + c));
    if (c < width && width >= kWidth)
      store(out + width - kWidth, load(x + width - kWidth));
    else
      for (; c < width; c++) out[c] = x[c];
  }
  return {packed, width, columns.begin};
}

// Register tiles of the result that share their panels and follow each other along K.
struct Run {
  int64_t panel, panels;  // the first one, and how many
  Blocks blocks;          // of K, one for each tile of these panels
  Range tiles;            // among the blocks
};

// One or more of them as one piece.
struct Piece {
  int64_t panel, panels;
  Range rows;  // of K
  int64_t at;  // where it begins in the weights' panels
};
WEFT_INLINE Piece piece_of(const DenseGradKernelArgs& args, const Run& run, Range tiles) {
  const Range rows = {block_at(run.blocks, tiles.begin).begin, block_at(run.blocks, tiles.end - 1).end};
  return {run.panel, run.panels, rows, (run.panel * args.k + rows.begin) * kPanel};
}
WEFT_INLINE int64_t height(const Piece& piece) { return piece.rows.end - piece.rows.begin; }

// What the tiles of a run have in common, for `steps` rows of the batch from row m on.
WEFT_INLINE TileArgs run_args(const DenseGradKernelArgs& args, const Run& run, const Columns& x, int64_t m,
                              int64_t steps) {
  TileArgs t = {};
  t.steps = steps;
  t.a_stride = x.stride;
  t.b = args.dy + m * args.dy_stride + run.panel * kPanel;
  t.b_step = args.dy_stride;
  t.start_stride = kPanel;
  return t;
}

// dy may hold anything beyond its last column; the gradient there is 0. sums: panels of panel_stride floats.
WEFT_INLINE void clear_padding(const DenseGradKernelArgs& args, const Piece& piece, float* sums, int64_t panel_stride) {
  const int64_t columns = args.n - (piece.panel + piece.panels - 1) * kPanel;  // of the last panel
  if (columns >= kPanel) return;
  float* last = sums + (piece.panels - 1) * panel_stride;
  for (int64_t i = 0; i < height(piece); i++)
    for (int64_t c = columns; c < kPanel; c++) last[i * kPanel + c] = 0;
}

// Makes raw sums the gradient that the rule expects.
WEFT_INLINE void finish_gradient(const DenseGradKernelArgs& args, const Piece& piece, bool prepare, float* sums,
                                 int64_t panel_stride) {
  clear_padding(args, piece, sums, panel_stride);
  for (int64_t p = 0; prepare && p < piece.panels; p++)
    prepare_update(args.update, sums + p * panel_stride, args.w + piece.at + p * args.k * kPanel,
                   height(piece) * kPanel);
}

// The update of a piece, with its finished gradient.
void update_piece(const DenseGradKernelArgs& args, const Piece& piece, const float* grad, int64_t panel_stride) {
  for (int64_t p = 0; p < piece.panels; p++)
    apply_update(args.update, args.w, piece.at + p * args.k * kPanel, grad + p * panel_stride, height(piece) * kPanel);
}

// Calls visit(run, x) for runs of up to kGroupTiles tiles, all tiles of `range` once. Groups of row blocks are the
// outer loop, so that packed columns serve all panels.
template <TileShape kShape, class Visit>
WEFT_INLINE void for_each_run(const DenseGradKernelArgs& args, Range range, Visit visit) {
  if (range.begin >= range.end) return;
  const int64_t panels = ceil_divide(args.n, kPanel);
  const Blocks blocks = near_equal_blocks(args.k, row_blocks(args, kShape));
  const int64_t first = range.begin / blocks.count, last = (range.end - 1) / blocks.count;  // pairs of panels
  const int64_t first_block = range.begin % blocks.count, end_block = (range.end - 1) % blocks.count + 1;

  alignas(64) float packed[kPackedBuffer];
  const bool pack = last - first >= 2 && args.m * args.k > kPackedFloats && args.m <= kLongestInterleaved;
  const int64_t fitting = larger(1, kPackedFloats / (larger(1, args.m) * kShape.rows));
  const int64_t group = pack ? smaller(kGroupTiles, fitting) : kGroupTiles;
  const Blocks groups = near_equal_blocks(blocks.count, ceil_divide(blocks.count, group));
  for (int64_t g = 0; g < groups.count; g++) {
    const auto [begin, end] = block_at(groups, g);
    Columns x = {args.x, args.x_stride, 0};
    if (pack) x = pack_columns(args, {block_at(blocks, begin).begin, block_at(blocks, end - 1).end}, packed);
    for (int64_t pair = first; pair <= last; pair++) {
      const int64_t block = larger(begin, pair == first ? first_block : 0);
      const int64_t stop = smaller(end, pair == last ? end_block : blocks.count);
      const int64_t panel = pair * kShape.panels;
      if (block < stop) visit(Run{panel, smaller(kShape.panels, panels - panel), blocks, {block, stop}}, x);
    }
  }
}

// Fetches what the update of a piece will read, while its sums are computed.
WEFT_INLINE void prefetch_piece(const DenseGradKernelArgs& args, const Piece& piece) {
  const float* arrays[4] = {args.w, args.update.slot0, args.update.slot1, args.update.slot2};
  for (int a = 0; a < 4 && arrays[a]; a++)
    for (int64_t p = 0; p < piece.panels; p++)
      for (int64_t row = 0; row < height(piece); row++)
        __builtin_prefetch(arrays[a] + piece.at + (p * args.k + row) * kPanel, 1);
}

// Fetches columns [begin, end) of some rows.
WEFT_INLINE void prefetch_rows(const float* x, int64_t stride, Range rows, int64_t begin, int64_t end) {
  for (int64_t row = rows.begin; row < rows.end; row++)
    for (int64_t c = begin / kPanel * kPanel; c < end; c += kPanel) __builtin_prefetch(x + row * stride + c, 0, 2);
}

// While tile i of `count` is computed: its part of the rows of x and dy that the next pass reads, from row m on. Pays
// from so many tiles on: 2048 rows of 256x1024 gain 4 %, while two tiles (3584 rows of 28x512) would lose 7.
constexpr int64_t kPrefetchingTiles = 4;
WEFT_INLINE void prefetch_pass(const DenseGradKernelArgs& args, const Piece& whole, int64_t i, int64_t count,
                               const Columns& x, int64_t m) {
  const int64_t rows = smaller(kStepsPerPass, args.m - m);
  if (rows <= 0 || count < kPrefetchingTiles) return;
  const Range part = {m + rows * i / count, m + rows * (i + 1) / count};
  if (x.x == args.x) prefetch_rows(x.x, x.stride, part, whole.rows.begin, whole.rows.end);
  prefetch_rows(args.dy, args.dy_stride, part, whole.panel * kPanel, (whole.panel + whole.panels) * kPanel);
}

// Any rule, any length of the batch, also storing the gradient itself.
template <TileShape kShape>
void run_in_passes(const DenseGradKernelArgs& args, Range range) {
  alignas(64) float sums[kGroupTiles * kTileFloats];  // (panels, rows of a run, 16)
  const bool store_only = args.update.rule == UpdateRule::kNone;
  const bool prepare = !store_only && needs_preparation(args.update);
  const bool far = !store_only && panel_size(args.k, args.n) > kFarFloats;
  const bool one_by_one = far || args.m > kStepsPerPass;  // to prefetch between tiles
  BatchPrefetch next_batch = prefetch_of(args.prefetch, range, unit_count(args, kShape));
  for_each_run<kShape>(args, range, [&](const Run& run, const Columns& x) {
    const Piece whole = piece_of(args, run, run.tiles);
    float* out = store_only ? args.grad + whole.at : sums;
    const int64_t out_panel = store_only ? args.k * kPanel : height(whole) * kPanel;
    const int64_t count = run.tiles.end - run.tiles.begin;
    for (int64_t m = 0; m < args.m; m += kStepsPerPass) {
      TileArgs t = run_args(args, run, x, m, smaller(kStepsPerPass, args.m - m));
      t.out_panel = out_panel;
      for (int64_t i = run.tiles.begin, tiles = 1; i < run.tiles.end; i += tiles) {
        const Piece piece = piece_of(args, run, {i, i + 1});
        tiles = one_by_one ? 1 : blocks_alike(run.blocks, i, run.tiles.end);
        t.a = x.x + m * x.stride + (piece.rows.begin - x.begin);
        t.out = out + (piece.rows.begin - whole.rows.begin) * kPanel;
        t.start = m == 0 ? nullptr : t.out;
        if (one_by_one) prefetch_pass(args, whole, i - run.tiles.begin, count, x, m + kStepsPerPass);
        if (far && m + kStepsPerPass >= args.m) prefetch_piece(args, piece);
        run_panels<ASource::kColumns, kShape>(static_cast<int>(run.panels), static_cast<int>(height(piece)), t, tiles);
      }
    }
    for (int64_t i = 0; i < count; i++) prefetch_some(next_batch);
    finish_gradient(args, whole, prepare, out, out_panel);
    if (!store_only) update_piece(args, whole, out, out_panel);
  });
}

// A tile whose update is still to be made, a row of each panel at a time.
struct PendingUpdate {
  RuleConstants constants;
  Variable variable;   // at the tile's first row
  const float* grad;   // (panels, rows, 16)
  int64_t grad_panel;  // rows * 16
  int64_t panel;       // floats of a panel of the variable
  int64_t rows;        // 0: nothing is pending
  int64_t ahead;       // floats from here to the tile being computed, whose weights are needed next
};

// Updates 16 floats of each panel, and prefetches the same floats of the next tile.
template <UpdateRule rule, int kPanels>
WEFT_INLINE void update_row(const PendingUpdate& pending, const Variable& variable, int64_t row) {
  WEFT_UNROLL
  for (int p = 0; p < kPanels; p++) {
    const int64_t next = pending.ahead + row * kPanel + p * pending.panel;
    __builtin_prefetch(variable.w + next, 1);
    if constexpr (rule != UpdateRule::kSgd) __builtin_prefetch(variable.slot0 + next, 1);
    if constexpr (rule == UpdateRule::kAdam) __builtin_prefetch(variable.slot1 + next, 1);
    WEFT_UNROLL
    for (int c = 0; c < kPanel; c += kWidth)
      apply_rule<rule>(pending.constants, variable, row * kPanel + p * pending.panel + c,
                       load(pending.grad + row * kPanel + p * pending.grad_panel + c));
  }
}

template <UpdateRule rule, int kPanels>
void finish_pending(PendingUpdate& pending) {
  for (int64_t row = 0; row < pending.rows; row++) update_row<rule, kPanels>(pending, pending.variable, row);
  pending.rows = 0;
}

template <UpdateRule rule, int kRows, int kPanels>
__attribute__((noinline)) void tile_with_update(const TileArgs& args, const PendingUpdate& pending) {
  Vec acc[kRows][kPanels * kPanelVecs] = {};
  const float *a = args.a, *b = args.b;
  const Variable variable = pending.variable;
  const int64_t rows = pending.rows;
  int64_t steps = args.steps;
  const int64_t period = rows > 0 ? larger(1, steps / rows) : steps;
  for (int64_t row = 0; steps > 0 || row < rows; row++) {
    const int64_t now = row < rows ? smaller(period, steps) : steps;
    multiply<ASource::kColumns>(acc, args, a, b, now);
    steps -= now;
    if (row < rows) update_row<rule, kPanels>(pending, variable, row);
  }
  store_tile<ASource::kColumns>(acc, args);
}

template <UpdateRule rule, TileShape kShape, int kRows = kShape.rows>
void run_tile_with_update(int rows, const TileArgs& args, const PendingUpdate& pending) {
  if constexpr (kRows > least_rows(kShape)) {
    if (rows < kRows) return run_tile_with_update<rule, kShape, kRows - 1>(rows, args, pending);
  }
  tile_with_update<rule, kRows, kShape.panels>(args, pending);
}

// Slots that the rule does not have stay null (their pointers move, but nothing is read).
WEFT_INLINE float* slot_at(float* slot, int64_t at) { return slot ? slot + at : nullptr; }

template <UpdateRule rule, TileShape kShape>
void run_interleaved(const DenseGradKernelArgs& args, Range range) {
  alignas(64) float tiles[2][kTileFloats];  // one being computed, one being applied
  int next = 0;
  int64_t at = 0;
  const bool prepare = needs_preparation(args.update);
  PendingUpdate pending;
  pending.constants = rule_constants(args.update);
  pending.panel = args.k * kPanel;
  pending.grad = tiles[0];
  pending.grad_panel = pending.rows = 0;
  pending.variable = {nullptr, nullptr, nullptr, nullptr};
  BatchPrefetch next_batch = prefetch_of(args.prefetch, range, unit_count(args, kShape));
  for_each_run<kShape>(args, range, [&](const Run& run, const Columns& x) {
    TileArgs t = run_args(args, run, x, 0, args.m);
    for (int64_t i = run.tiles.begin; i < run.tiles.end; i++, next ^= 1) {
      const Piece piece = piece_of(args, run, {i, i + 1});
      const int64_t rows = height(piece);
      float* tile = tiles[next];
      prefetch_some(next_batch);
      t.a = x.x + (piece.rows.begin - x.begin);
      t.out = tile;
      t.out_panel = rows * kPanel;
      if (run.panels == kShape.panels && rows >= least_rows(kShape)) {
        pending.ahead = piece.at - at;
        at = piece.at;
        run_tile_with_update<rule, kShape>(static_cast<int>(rows), t, pending);
        finish_gradient(args, piece, prepare, tile, t.out_panel);
        pending.grad = tile;
        pending.grad_panel = t.out_panel;
        pending.variable = {args.w + at, slot_at(args.update.slot0, at), slot_at(args.update.slot1, at), nullptr};
        pending.rows = rows;
      } else {
        finish_pending<rule, kShape.panels>(pending);
        run_panels<ASource::kColumns, kShape>(static_cast<int>(run.panels), static_cast<int>(rows), t);
        finish_gradient(args, piece, prepare, tile, t.out_panel);
        update_piece(args, piece, tile, t.out_panel);
      }
    }
  });
  finish_pending<rule, kShape.panels>(pending);
}

template <TileShape kShape>
void run_with_tiles(const DenseGradKernelArgs& args, int tile, int n_tiles) {
  const Range range = split(unit_count(args, kShape), 1, tile, n_tiles);
  if (args.m <= kLongestInterleaved) {
    switch (args.update.rule) {
      case UpdateRule::kSgd:
        return run_interleaved<UpdateRule::kSgd, kShape>(args, range);
      case UpdateRule::kMomentum:
        return run_interleaved<UpdateRule::kMomentum, kShape>(args, range);
      case UpdateRule::kNesterov:
        return run_interleaved<UpdateRule::kNesterov, kShape>(args, range);
      default:
        break;
    }
    if constexpr (kInterleaveRoots) {
      if (args.update.rule == UpdateRule::kRmsprop) return run_interleaved<UpdateRule::kRmsprop, kShape>(args, range);
      if (args.update.rule == UpdateRule::kAdam) return run_interleaved<UpdateRule::kAdam, kShape>(args, range);
    }
  }
  run_in_passes<kShape>(args, range);
}

void dense_grad_kernel_run(const DenseGradKernelArgs& args, int tile, int n_tiles) {
  if (sparse_pays(args)) return dense_grad_kernel_run_sparse(args, tile, n_tiles);
  if (flat_pays(args)) return run_with_tiles<kFlatTile>(args, tile, n_tiles);
  run_with_tiles<kTile>(args, tile, n_tiles);
}

}  // namespace

void fill_dense_grad_kernel(KernelTable& table) {
  table.dense_grad_kernel = {dense_grad_kernel_tiles, dense_grad_kernel_run};
}

}  // namespace weft::WEFT_ISA
