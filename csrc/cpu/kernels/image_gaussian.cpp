// gaussian_filter over the last two axes of (N, planes, H, W). Both passes are products with a banded matrix,
// B[k][j] = weight of |j - k|, whose rows are read from one table: rows * B, then B * what came of it.
// Each element is one chain of FMAs over k; entries outside of the band are zeros.
// Tiles: planes.
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/image.h"

namespace weft::WEFT_ISA {
namespace {

// A block of the product that stays in registers: kRows rows of kBlock columns.
static constexpr int kRows = 4;
#if defined(__AVX512F__)
static constexpr int kBlockChunks = 2;
#else
static constexpr int kBlockChunks = 1;
#endif
static constexpr int kBlock = kBlockChunks * kChunk;

// The weights of the distances -kReach to kReach around `centre`, 0 beyond the radius.
static constexpr int kReach = kMaxFilterRadius + kBlock;
struct WeightTable {
  float at[2 * kReach + 1];
};
WEFT_INLINE const float* fill_weights(WeightTable& table, const GaussianFilterArgs& args, float scale) {
  const int reach = args.radius + kBlock;
  float* centre = table.at + kReach;
  for (int d = 0; d <= reach; d++) centre[d] = centre[-d] = d <= args.radius ? args.weights[d] * scale : 0.0f;
  return centre;
}

struct Block {
  Chunk at[kRows][kBlockChunks];
};
// Sum over k of a[row][k * a_step] * b[k * b_step + column].
WEFT_INLINE Block product(const float* const* a, int64_t a_step, const float* b, int64_t b_step, int64_t count) {
  Block sum = {};
  for (int64_t k = 0; k < count; k++) {
    Chunk column[kBlockChunks];
    WEFT_UNROLL
    for (int j = 0; j < kBlockChunks; j++) column[j] = load_chunk(b + k * b_step + j * kChunk);
    WEFT_UNROLL
    for (int row = 0; row < kRows; row++) {
      const Vec factor = broadcast(a[row][k * a_step]);
      WEFT_UNROLL
      for (int j = 0; j < kBlockChunks; j++) {
        sum.at[row][j] = map(column[j], sum.at[row][j], [&](Vec x, Vec s) { return multiply_add(factor, x, s); });
      }
    }
  }
  return sum;
}

// The indices of `size` within the radius of [first, first + count).
WEFT_INLINE Range within_reach(int64_t first, int64_t count, int64_t radius, int64_t size) {
  const int64_t begin = first - radius, end = first + count + radius;
  return {begin > 0 ? begin : 0, end < size ? end : size};
}

// y (h, w_padded) = x (h, w) filtered along its rows.
void filter_rows(const GaussianFilterArgs& args, const float* centre, const float* x, float* y) {
  for (int64_t j = 0; j < args.w; j += kBlock) {
    const Range k = within_reach(j, kBlock, args.radius, args.w);
    for (int64_t i = 0; i < args.h; i += kRows) {
      const float* a[kRows];
      for (int64_t row = 0; row < kRows; row++) a[row] = x + (i + row < args.h ? i + row : i) * args.w + k.begin;
      const Block sum = product(a, 1, centre + j - k.begin, -1, k.end - k.begin);
      for (int64_t row = 0; row < kRows && i + row < args.h; row++) {
        WEFT_UNROLL
        for (int b = 0; b < kBlockChunks; b++) {
          store_chunk(y + (i + row) * args.w_padded + j + b * kChunk, sum.at[row][b]);
        }
      }
    }
  }
}

// y (h, w) = x (h, w_padded) filtered along its columns.
void filter_columns(const GaussianFilterArgs& args, const float* centre, const float* x, float* y) {
  for (int64_t i = 0; i < args.h; i += kRows) {
    const Range k = within_reach(i, kRows, args.radius, args.h);
    const float* a[kRows];
    for (int64_t row = 0; row < kRows; row++) a[row] = centre + (i + row - k.begin);
    for (int64_t j = 0; j < args.w; j += kBlock) {
      const Block sum = product(a, -1, x + k.begin * args.w_padded + j, args.w_padded, k.end - k.begin);
      for (int64_t row = 0; row < kRows && i + row < args.h; row++) {
        WEFT_UNROLL
        for (int b = 0; b < kBlockChunks; b++) {
          const int64_t column = j + b * kChunk;
          store_partial_chunk(y + (i + row) * args.w + column, args.w - column, sum.at[row][b]);
        }
      }
    }
  }
}

int gaussian_filter_tiles(const GaussianFilterArgs& args, int threads) {
  const int64_t taps = args.w + args.h < 4 * args.radius + 2 ? args.w + args.h : 4 * args.radius + 2;
  const int tiles = tiles_for(static_cast<double>(taps) / 40, args.n * args.planes * args.h * args.w, threads);
  return tiles < args.scratch_planes ? tiles : static_cast<int>(args.scratch_planes > 0 ? args.scratch_planes : 1);
}

void gaussian_filter_run(const GaussianFilterArgs& args, int tile, int n_tiles) {
  WeightTable along_rows, along_columns;
  const float* row_weights = fill_weights(along_rows, args, 1.0f);
  const float* column_weights = fill_weights(along_columns, args, args.scale);
  float* scratch = args.scratch + tile * args.scratch_stride;
  const Range planes = split(args.n * args.planes, 1, tile, n_tiles);
  for (int64_t p = planes.begin; p < planes.end; p++) {
    const int64_t row = p / args.planes, offset = p % args.planes * args.h * args.w;
    filter_rows(args, row_weights, args.x + row * args.x_stride + offset, scratch);
    filter_columns(args, column_weights, scratch, args.y + row * args.y_stride + offset);
  }
}

}  // namespace

void fill_image_gaussian(KernelTable& table) { table.gaussian_filter = {gaussian_filter_tiles, gaussian_filter_run}; }

}  // namespace weft::WEFT_ISA
