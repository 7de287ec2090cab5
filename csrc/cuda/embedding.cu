// embedding gathers rows of a table; embedding_grad adds the rows of dy up by their ids. In the latter a block owns a
// few rows of the table and some columns: its warps look through all ids for those of its rows, each warp adds what it
// finds to sums of its own in shared memory, and the sums of the warps are added in order.
#include "cuda/axes.h"
#include "cuda/fold.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct EmbeddingGridArgs {
  EmbeddingArgs embedding;
  Axes<3> axes;  // of y, ids, and the columns of the table
};

__device__ void embedding_body(const EmbeddingGridArgs& args) {
  const EmbeddingArgs& a = args.embedding;
  store_each(args.axes, a.y, [&](const int64_t(&offset)[3]) {
    const int64_t id = a.ids[offset[1]];
    return id >= 0 && id < a.vocabulary ? a.table[id * a.table_stride + offset[2]] : kNaN;
  });
}

void embedding(const EmbeddingArgs& args) {
  const int64_t shape[] = {args.rows, args.per_row, args.features};
  const int64_t y[] = {args.y_stride, args.features, 1}, ids[] = {args.ids_stride, 1, 0}, columns[] = {0, 0, 1};
  const EmbeddingGridArgs grid = {args, merged_axes<3>(3, shape, {y, ids, columns})};
  launch<EmbeddingGridArgs, embedding_body>(blocks_for(grid.axes.count), grid);
}

constexpr int kWarps = kThreads / kWarp;
constexpr int kOwned = 64;        // rows of the table that a block has at most
constexpr int64_t kOwners = 128;  // blocks that share the table at least, if it has as many rows
constexpr int kTogether = 8;      // rows of dy that a warp loads together
constexpr int kAhead = 4;         // ids that a lane loads together

struct EmbeddingGradGridArgs {
  EmbeddingGradArgs grad;
  Divisor per_row;
  int owned;       // rows of a block
  Divisor owners;  // blocks that share the table: row v belongs to block v % owners, which spreads frequent ids
};

struct GradSums {
  float of_warp[kWarps][kOwned][kWarp];
};

// Adds the rows of dy that the lanes in `votes` have found, in the order of the lanes. `from` is where a lane's row of
// dy begins, `owned` the number of its sum.
__device__ __forceinline__ void add_found(unsigned votes, const float* from, int owned, bool exists, int lane,
                                          float (&sums)[kOwned][kWarp]) {
  while (votes != 0) {
    float value[kTogether];
    int to[kTogether], count = 0;
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      const int found = votes != 0 ? __ffs(static_cast<int>(votes)) - 1 : 0;
      const float* row = reinterpret_cast<const float*>(__shfl_sync(~0u, reinterpret_cast<uint64_t>(from), found));
      to[k] = __shfl_sync(~0u, owned, found);
      value[k] = votes != 0 && exists ? row[lane] : 0.0f;
      count += votes != 0;
      votes &= votes - 1;
    }
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      if (k < count) sums[to[k]][lane] += value[k];
    }
  }
}

__device__ void embedding_grad_body(const EmbeddingGradGridArgs& args) {
  const EmbeddingGradArgs& a = args.grad;
  GradSums& s = shared<GradSums>();
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t first_column = int64_t{blockIdx.y} * kWarp;
  const bool exists = first_column + lane < a.features;
  for (int owned = 0; owned < args.owned; owned++) s.of_warp[warp][owned][lane] = 0.0f;

  const int64_t count = a.rows * a.per_row;
  for (int64_t first = int64_t{warp} * kAhead * kWarp; first < count; first += kWarps * kAhead * kWarp) {
    int32_t id[kAhead];
    const float* from[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; k++) {
      const int64_t i = first + k * kWarp + lane;
      const int64_t row = divide(i, args.per_row), place = i - row * a.per_row;
      id[k] = i < count ? a.ids[row * a.ids_stride + place] : -1;
      from[k] = a.dy + row * a.dy_stride + place * a.features + first_column;
    }
#pragma unroll
    for (int k = 0; k < kAhead; k++) {
      const bool known = id[k] >= 0 && id[k] < a.vocabulary;
      const uint32_t row = known ? static_cast<uint32_t>(id[k]) : 0, owned = args.owners.quotient(row);
      const bool mine = known && row - owned * args.owners.divisor == blockIdx.x;
      add_found(__ballot_sync(~0u, mine), from[k], static_cast<int>(owned), exists, lane, s.of_warp[warp]);
    }
  }
  __syncthreads();
  for (int owned = warp; owned < args.owned; owned += kWarps) {
    const int64_t row = int64_t{owned} * args.owners.divisor + blockIdx.x;
    if (row >= a.vocabulary || !exists) continue;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; w++) sum += s.of_warp[w][owned][lane];
    a.grad[row * a.grad_stride + first_column + lane] = sum;
  }
}

void embedding_grad(const EmbeddingGradArgs& args) {
  if (args.vocabulary == 0) return;
  const int64_t enough = args.vocabulary < kOwners ? args.vocabulary : kOwners;
  const int64_t owners = args.vocabulary > enough * kOwned ? ceil_divide(args.vocabulary, kOwned) : enough;
  const EmbeddingGradGridArgs grid = {args, divisor_of(args.per_row > 0 ? args.per_row : 1),
                                      static_cast<int>(ceil_divide(args.vocabulary, owners)), divisor_of(owners)};
  const dim3 blocks(static_cast<unsigned>(owners), static_cast<unsigned>(ceil_divide(args.features, kWarp)));
  launch<EmbeddingGradGridArgs, embedding_grad_body>(blocks, grid, sizeof(GradSums));
}

}  // namespace

void fill_embedding(KernelTable& table) {
  table.embedding = kernel_of<EmbeddingArgs, embedding>();
  table.embedding_grad = kernel_of<EmbeddingGradArgs, embedding_grad>();
}

}  // namespace weft::cuda
