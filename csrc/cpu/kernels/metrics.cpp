// What an epoch adds up, the check that a loss is finite, in-top-k and one-hot.
// accumulate and check_finite are one tile, in row order; the others split rows.
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

int accumulate_tiles(const AccumulateArgs&, int) { return 1; }

void accumulate_run(const AccumulateArgs& args, int tile, int) {
  if (tile != 0) return;
  double sum = 0.0, weight_sum = 0.0;
  if (args.weights) {
    for (int64_t i = 0; i < args.size; i++) {
      // Exact in double, so it does not matter whether this becomes an FMA.
      sum += static_cast<double>(args.values[i]) * static_cast<double>(args.weights[i]);
      weight_sum += static_cast<double>(args.weights[i]);
    }
  } else {
    for (int64_t i = 0; i < args.size; i++) sum += static_cast<double>(args.values[i]);
    weight_sum = static_cast<double>(args.size);
  }
  args.state->sums[args.slot] += sum;
  args.state->sums[args.slot + 1] += weight_sum;
}

int check_finite_tiles(const CheckFiniteArgs&, int) { return 1; }

void check_finite_run(const CheckFiniteArgs& args, int tile, int) {
  if (tile != 0) return;
  if (!(__builtin_fabsf(*args.loss) <= kFloatMax)) args.state->abort_step = 1;
}

int in_top_k_tiles(const InTopKArgs& args, int threads) {
  return tiles_for(0.3, args.rows * (args.row_size + 30), threads);
}

void in_top_k_run(const InTopKArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float* scores = args.scores + r * args.scores_stride;
    const int32_t label = args.labels[r];
    args.y[r] = 0.0f;
    if (label < 0 || label >= args.row_size) continue;
    const Vec own = broadcast(scores[label]);
    if (!(__builtin_fabsf(scores[label]) <= kFloatMax)) continue;
    IntChunk count = map(chunk_index(0), [](IntVec i) { return i ^ i; });
    for (int64_t column = 0; column < args.row_size; column += kChunk) {
      const Chunk x = load_partial_chunk(scores + column, args.row_size - column, -kInfinity);
      count = map(count, x, [=](IntVec n, Vec v) { return n - (v > own); });  // true is -1
    }
    args.y[r] = fold(count, Add{}) < args.k ? 1.0f : 0.0f;
  }
}

int one_hot_tiles(const OneHotArgs& args, int threads) {
  return tiles_for(0.15, args.rows * (args.depth + 30), threads);
}

void one_hot_run(const OneHotArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    float* y = args.y + r * args.y_stride;
    for (int64_t column = 0; column < args.depth; column += kChunk) {
      store_partial_chunk(y + column, args.depth - column, broadcast_chunk(0.0f));
    }
    const int32_t label = args.labels[r];
    if (label >= 0 && label < args.depth) y[label] = 1.0f;
  }
}

}  // namespace

void fill_metrics(KernelTable& table) {
  table.accumulate = {accumulate_tiles, accumulate_run};
  table.check_finite = {check_finite_tiles, check_finite_run};
  table.in_top_k = {in_top_k_tiles, in_top_k_run};
  table.one_hot = {one_hot_tiles, one_hot_run};
}

}  // namespace weft::WEFT_ISA
