// Softmax and log softmax with their gradients, and softmax with cross-entropy: loss and gradient of a row in
// one pass. A row of up to 16 classes stays in registers; longer rows are read two or three times from L1.
// Tiles: rows. Sums run in sixteen lanes with a fixed tree.
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/softmax.h"

namespace weft::WEFT_ISA {
namespace {

// f(column, n) for the chunks of a row; n is the constant 16 for all but the last.
template <class F>
WEFT_INLINE void for_each_chunk(int64_t row_size, F f) {
  int64_t column = 0;
  for (; column + kChunk <= row_size; column += kChunk) f(column, kChunk);
  if (column < row_size) f(column, row_size - column);
}

// Where a row has physical padding its last chunk is stored whole.
WEFT_INLINE void store_row_chunk(float* row, int64_t column, int64_t n, int64_t stride, Chunk x) {
  if (n >= kChunk || column + kChunk <= stride) return store_chunk(row + column, x);
  store_partial_chunk(row + column, n, x);
}

// Ignores NaN, which comes back with exp(x - maximum).
WEFT_INLINE float row_maximum(const float* x, int64_t row_size) {
  Chunk largest = broadcast_chunk(-kInfinity);
  for_each_chunk(row_size, [&](int64_t column, int64_t n) {
    largest = map(load_partial_chunk(x + column, n, -kInfinity), largest, QuickMaximum{});
  });
  return fold(largest, QuickMaximum{});
}

WEFT_INLINE Chunk exp_shifted(Chunk x, float shift) {
  return map(x, [=](Vec v) { return exp(v - shift); });
}

int softmax_tiles(const SoftmaxArgs& args, int threads) {
  return tiles_for(0.6 * static_cast<double>(args.rows * round_up(args.row_size, kChunk)), threads);
}

void softmax_row(const SoftmaxArgs& args, const float* x, float* y) {
  const float shift = row_maximum(x, args.row_size);
  Chunk lanes = broadcast_chunk(0.0f);
  for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
    const Chunk e = exp_shifted(load_partial_chunk(x + column, n, -kInfinity), shift);
    lanes = lanes + e;
    if (!args.log) store_row_chunk(y, column, n, args.y_stride, e);
  });
  const float sum = fold(lanes, Add{});
  if (args.log) {
    const Vec log_sum = log(broadcast(sum));
    for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
      const Chunk z = load_partial_chunk(x + column, n, 0.0f);
      store_row_chunk(y, column, n, args.y_stride, map(z, [=](Vec v) { return (v - shift) - log_sum; }));
    });
  } else {
    const float inverse = 1.0f / sum;
    for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
      const Chunk e = load_partial_chunk(y + column, n, 0.0f);
      store_row_chunk(y, column, n, args.y_stride, map(e, [=](Vec v) { return v * inverse; }));
    });
  }
}

// At most 16 classes.
WEFT_INLINE void softmax_short_row(const SoftmaxArgs& args, const float* x, float* y) {
  const Chunk z = load_partial_chunk(x, args.row_size, -kInfinity);
  const float shift = fold(z, QuickMaximum{});
  const Chunk e = exp_shifted(z, shift);
  const float sum = fold(e, Add{});
  if (args.log) {
    const Vec log_sum = log(broadcast(sum));
    store_row_chunk(y, 0, args.row_size, args.y_stride, map(z, [=](Vec v) { return (v - shift) - log_sum; }));
  } else {
    const float inverse = 1.0f / sum;
    store_row_chunk(y, 0, args.row_size, args.y_stride, map(e, [=](Vec v) { return v * inverse; }));
  }
}

void softmax_run(const SoftmaxArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float* x = args.x + r * args.x_stride;
    float* y = args.y + r * args.y_stride;
    if (args.row_size <= kChunk) {
      softmax_short_row(args, x, y);
    } else {
      softmax_row(args, x, y);
    }
  }
}

int softmax_grad_tiles(const SoftmaxGradArgs& args, int threads) {
  return tiles_for(0.6 * static_cast<double>(args.rows * round_up(args.row_size, kChunk)), threads);
}

void softmax_grad_run(const SoftmaxGradArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float* dy = args.dy + r * args.dy_stride;
    const float* y = args.y + r * args.y_stride;
    float* dx = args.dx + r * args.dx_stride;
    Chunk lanes = broadcast_chunk(0.0f);
    for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
      const Chunk d = load_partial_chunk(dy + column, n, 0.0f);
      if (args.log) {
        lanes = lanes + d;
      } else {
        const Chunk value = load_partial_chunk(y + column, n, 0.0f);
        lanes = map(lanes, d, value, [](Vec sum, Vec a, Vec b) { return a * b + sum; });
      }
    });
    const float sum = fold(lanes, Add{});
    for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
      const Chunk d = load_partial_chunk(dy + column, n, 0.0f);
      const Chunk value = load_partial_chunk(y + column, n, 0.0f);
      const Chunk g = args.log ? map(d, value, [=](Vec a, Vec b) { return a - exp(b) * sum; })
                               : map(d, value, [=](Vec a, Vec b) { return b * (a - sum); });
      store_row_chunk(dx, column, n, args.dx_stride, g);
    });
  }
}

// How the true distribution t of a row is given.
enum class Truth { kLabels, kSmoothedLabels, kTargets };

// t for 16 classes from `column`: of the label, or of the row of targets.
template <Truth truth>
WEFT_INLINE Chunk truth_chunk(const SoftmaxCrossEntropyArgs& args, int64_t row, int64_t column, int64_t n) {
  const float share = args.smoothing / static_cast<float>(args.row_size);
  const float rest = 1.0f - args.smoothing;
  if constexpr (truth == Truth::kTargets) {
    const Chunk t = load_partial_chunk(args.targets + row * args.targets_stride + column, n, 0.0f);
    return map(t, [=](Vec v) { return v * rest + share; });
  }
  const IntVec label = broadcast_int(args.labels[row]);
  Chunk t;
  WEFT_UNROLL for (int j = 0; j < kParts; j++) {
    const IntVec hit = lane_index(static_cast<int>(column) + j * kWidth) == label;
    t.part[j] = truth == Truth::kLabels ? (Vec)(hit & (IntVec)broadcast(1.0f))
                                        : select(hit, broadcast(rest + share), broadcast(share));
  }
  return t;
}

// What a row's loss is made of: log(exp_sum) * truth_sum - expected, expected = sum of t*(x - maximum).
struct RowLoss {
  float exp_sum, truth_sum, expected;
};

// t * (x - maximum), 0 where t is 0 (even if x is -inf) and behind the row.
WEFT_INLINE Chunk expected_terms(Chunk t, Chunk x, float shift, int64_t n) {
  const IntChunk index = chunk_index(0);
  const int32_t count = static_cast<int32_t>(n);
  WEFT_UNROLL for (int j = 0; j < kParts; j++) {
    const IntVec counts = (t.part[j] != 0.0f) & (index.part[j] < count);
    t.part[j] = select(counts, t.part[j] * (x.part[j] - shift), Vec{});
  }
  return t;
}
WEFT_INLINE Chunk only_first(Chunk t, int64_t n) {
  const IntChunk index = chunk_index(0);
  const int32_t count = static_cast<int32_t>(n);
  return map(t, index, [=](Vec v, IntVec i) { return (Vec)((i < count) & (IntVec)v); });
}

WEFT_INLINE Chunk gradient(Chunk e, Chunk t, float scale, float dloss) {
  return map(e, t, [=](Vec a, Vec b) { return (a * scale - b) * dloss; });
}

// At most 16 classes.
template <Truth truth>
WEFT_INLINE RowLoss short_row(const SoftmaxCrossEntropyArgs& args, int64_t row) {
  const int64_t n = args.row_size;
  const float* x = args.x + row * args.x_stride;
  const Chunk z = load_partial_chunk(x, n, -kInfinity);
  const float shift = fold(z, QuickMaximum{});
  const Chunk e = exp_shifted(z, shift);
  RowLoss loss = {fold(e, Add{}), 1.0f, 0.0f};
  const Chunk t = truth_chunk<truth>(args, row, 0, n);
  if constexpr (truth == Truth::kLabels) {
    loss.expected = x[args.labels[row]] - shift;
  } else {
    loss.expected = fold(expected_terms(t, z, shift, n), Add{});
    if (truth == Truth::kTargets) loss.truth_sum = fold(only_first(t, n), Add{});
  }
  if (args.dx) {
    const float scale = 1.0f / loss.exp_sum * loss.truth_sum;
    store_row_chunk(args.dx + row * args.dx_stride, 0, n, args.dx_stride, gradient(e, t, scale, args.dloss[row]));
  }
  return loss;
}

// dx, if there is one, holds the exponentials in between.
template <Truth truth>
RowLoss long_row(const SoftmaxCrossEntropyArgs& args, int64_t row) {
  const float* x = args.x + row * args.x_stride;
  float* dx = args.dx ? args.dx + row * args.dx_stride : nullptr;
  const float shift = row_maximum(x, args.row_size);
  RowLoss loss = {0.0f, 1.0f, truth == Truth::kLabels ? x[args.labels[row]] - shift : 0.0f};
  Chunk exp_lanes = broadcast_chunk(0.0f), expected_lanes = exp_lanes, truth_lanes = exp_lanes;
  for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
    const Chunk z = load_partial_chunk(x + column, n, -kInfinity);
    if constexpr (truth != Truth::kLabels) {
      const Chunk t = truth_chunk<truth>(args, row, column, n);
      expected_lanes = expected_lanes + expected_terms(t, z, shift, n);
      if (truth == Truth::kTargets) truth_lanes = truth_lanes + only_first(t, n);
    }
    const Chunk e = exp_shifted(z, shift);
    exp_lanes = exp_lanes + e;
    if (dx) store_row_chunk(dx, column, n, args.dx_stride, e);
  });
  loss.exp_sum = fold(exp_lanes, Add{});
  if (truth != Truth::kLabels) loss.expected = fold(expected_lanes, Add{});
  if (truth == Truth::kTargets) loss.truth_sum = fold(truth_lanes, Add{});
  if (dx) {
    const float scale = 1.0f / loss.exp_sum * loss.truth_sum, dloss = args.dloss[row];
    for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
      const Chunk e = load_partial_chunk(dx + column, n, 0.0f);
      const Chunk t = truth_chunk<truth>(args, row, column, n);
      store_row_chunk(dx, column, n, args.dx_stride, gradient(e, t, scale, dloss));
    });
  }
  return loss;
}

// Several tiles may find this at a time; all of them write the same.
WEFT_INLINE void check_losses(const float* loss, int64_t n, StepState* state) {
  for (int64_t i = 0; i < n; i++) {
    if (!(__builtin_fabsf(loss[i]) <= __FLT_MAX__)) __atomic_store_n(&state->abort_step, 1u, __ATOMIC_RELAXED);
  }
}

// Rows go in groups of 16, so that one vector logarithm serves them all.
template <Truth truth, bool is_short>
void cross_entropy_rows(const SoftmaxCrossEntropyArgs& args, Range rows) {
  for (int64_t first = rows.begin; first < rows.end; first += kChunk) {
    const int64_t n = rows.end - first < kChunk ? rows.end - first : kChunk;
    float exp_sum[kChunk], truth_sum[kChunk], expected[kChunk];
    for (int64_t i = 0; i < n; i++) {
      const int64_t row = first + i;
      RowLoss loss = {1.0f, 1.0f, kNaN};
      const bool valid = truth == Truth::kTargets || (args.labels[row] >= 0 && args.labels[row] < args.row_size);
      if (valid) {
        loss = is_short ? short_row<truth>(args, row) : long_row<truth>(args, row);
      } else if (args.dx) {
        for (int64_t c = 0; c < args.row_size; c++) args.dx[row * args.dx_stride + c] = 0.0f;
      }
      exp_sum[i] = loss.exp_sum;
      truth_sum[i] = loss.truth_sum;
      expected[i] = loss.expected;
    }
    if (!args.loss) continue;
    const Chunk log_sum = map(load_partial_chunk(exp_sum, n, 1.0f), [](Vec v) { return log(v); });
    store_partial_chunk(args.loss + first, n,
                        map(log_sum, load_partial_chunk(truth_sum, n, 1.0f), load_partial_chunk(expected, n, 0.0f),
                            [](Vec a, Vec b, Vec c) { return a * b - c; }));
    if (args.state) check_losses(args.loss + first, n, args.state);
  }
}

int cross_entropy_tiles(const SoftmaxCrossEntropyArgs& args, int threads) {
  return tiles_for(0.6 * static_cast<double>(args.rows * round_up(args.row_size, kChunk)), threads);
}

template <Truth truth>
void cross_entropy_run_with(const SoftmaxCrossEntropyArgs& args, Range rows) {
  if (args.row_size <= kChunk) return cross_entropy_rows<truth, true>(args, rows);
  cross_entropy_rows<truth, false>(args, rows);
}

void cross_entropy_run(const SoftmaxCrossEntropyArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  if (!args.labels) return cross_entropy_run_with<Truth::kTargets>(args, rows);
  if (args.smoothing != 0.0f) return cross_entropy_run_with<Truth::kSmoothedLabels>(args, rows);
  cross_entropy_run_with<Truth::kLabels>(args, rows);
}

}  // namespace

void fill_softmax(KernelTable& table) {
  table.softmax = {softmax_tiles, softmax_run};
  table.softmax_grad = {softmax_grad_tiles, softmax_grad_run};
  table.softmax_cross_entropy = {cross_entropy_tiles, cross_entropy_run};
}

}  // namespace weft::WEFT_ISA
