// Softmax and log softmax with their gradients, and softmax with cross-entropy: loss and gradient of a row in
// one pass. A row of up to 16 classes stays in registers; longer rows are read two or three times from L1.
// Tiles: rows. Sums run in sixteen lanes with a fixed tree.
#include "ops/softmax.h"

#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

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

// Up to 16 rows of up to 16 classes, step by step for all of them: a single row is one long chain of
// dependent instructions, and rows one after the other take up to 1.5 times as long.
struct ShortRows {
  float e[kChunk][kChunk];  // exp(x - shift), 0 behind the row
  float shift[kChunk], sum[kChunk], inverse[kChunk];

  void compute(const float* x, int64_t x_stride, int64_t row_size, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
      shift[i] = fold(load_partial_chunk(x + i * x_stride, row_size, -kInfinity), QuickMaximum{});
    }
    for (int64_t i = 0; i < n; i++) {
      store_chunk(e[i], exp_shifted(load_partial_chunk(x + i * x_stride, row_size, -kInfinity), shift[i]));
    }
    for (int64_t i = 0; i < n; i++) sum[i] = fold(load_chunk(e[i]), Add{});
    for (int64_t i = n; i < kChunk; i++) sum[i] = 1.0f;
    store_chunk(inverse, map(load_chunk(sum), [](Vec v) { return 1.0f / v; }));
  }
};

int softmax_tiles(const SoftmaxArgs& args, int threads) {
  return tiles_for(0.6, args.rows * round_up(args.row_size, kChunk), threads);
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

void softmax_short_rows(const SoftmaxArgs& args, int64_t first, int64_t n) {
  const float* x = args.x + first * args.x_stride;
  float* y = args.y + first * args.y_stride;
  ShortRows rows;
  rows.compute(x, args.x_stride, args.row_size, n);
  if (args.log) {
    float log_sum[kChunk];
    store_chunk(log_sum, map(load_chunk(rows.sum), [](Vec v) { return log(v); }));
    for (int64_t i = 0; i < n; i++) {
      const Chunk z = load_partial_chunk(x + i * args.x_stride, args.row_size, 0.0f);
      const Chunk value = map(z, [&](Vec v) { return (v - rows.shift[i]) - log_sum[i]; });
      store_row_chunk(y + i * args.y_stride, 0, args.row_size, args.y_stride, value);
    }
  } else {
    for (int64_t i = 0; i < n; i++) {
      const Chunk value = map(load_chunk(rows.e[i]), [&](Vec v) { return v * rows.inverse[i]; });
      store_row_chunk(y + i * args.y_stride, 0, args.row_size, args.y_stride, value);
    }
  }
}

void softmax_run(const SoftmaxArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  if (args.row_size <= kChunk) {
    for (int64_t r = rows.begin; r < rows.end; r += kChunk) {
      softmax_short_rows(args, r, rows.end - r < kChunk ? rows.end - r : kChunk);
    }
    return;
  }
  for (int64_t r = rows.begin; r < rows.end; r++) {
    softmax_row(args, args.x + r * args.x_stride, args.y + r * args.y_stride);
  }
}

int softmax_grad_tiles(const SoftmaxGradArgs& args, int threads) {
  return tiles_for(0.6, args.rows * round_up(args.row_size, kChunk), threads);
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
        lanes = map(lanes, d, value, [](Vec sum, Vec a, Vec b) { return multiply_add(a, b, sum); });
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
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) {
    const IntVec hit = lane_index(static_cast<int>(column) + j * kWidth) == label;
    t.part[j] = truth == Truth::kLabels ? (Vec)(hit & (IntVec)broadcast(1.0f))
                                        : select(hit, broadcast(rest + share), broadcast(share));
  }
  return t;
}

// What the losses of up to 16 rows are made of: log(sum) * truth_sum - expected, where expected is the sum of
// t*(x - maximum). One vector logarithm serves them all.
struct LossParts {
  float sum[kChunk], truth_sum[kChunk], expected[kChunk];
};

// t * (x - maximum), 0 where t is 0 (even if x is -inf) and behind the row.
WEFT_INLINE Chunk expected_terms(Chunk t, Chunk x, float shift, int64_t n) {
  const IntChunk index = chunk_index(0);
  const int32_t count = static_cast<int32_t>(n);
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) {
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
  return map(e, t, [=](Vec a, Vec b) { return multiply_add(a, broadcast(scale), -b) * dloss; });
}

WEFT_INLINE bool is_valid_label(const SoftmaxCrossEntropyArgs& args, int64_t row) {
  return args.labels[row] >= 0 && args.labels[row] < args.row_size;
}

// n <= 16 rows of at most 16 classes.
template <Truth truth>
void short_rows(const SoftmaxCrossEntropyArgs& args, int64_t first, int64_t n, LossParts& parts) {
  ShortRows rows;
  rows.compute(args.x + first * args.x_stride, args.x_stride, args.row_size, n);
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = first + i;
    const float* x = args.x + row * args.x_stride;
    parts.sum[i] = rows.sum[i];
    parts.truth_sum[i] = 1.0f;
    if constexpr (truth == Truth::kLabels) {
      parts.expected[i] = is_valid_label(args, row) ? x[args.labels[row]] - rows.shift[i] : 0.0f;
    } else {
      const Chunk t = truth_chunk<truth>(args, row, 0, args.row_size);
      const Chunk z = load_partial_chunk(x, args.row_size, 0.0f);
      parts.expected[i] = fold(expected_terms(t, z, rows.shift[i], args.row_size), Add{});
      if (truth == Truth::kTargets) parts.truth_sum[i] = fold(only_first(t, args.row_size), Add{});
    }
  }
  if (!args.dx) return;
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = first + i;
    const Chunk t = truth_chunk<truth>(args, row, 0, args.row_size);
    const float scale = rows.inverse[i] * parts.truth_sum[i];
    store_row_chunk(args.dx + row * args.dx_stride, 0, args.row_size, args.dx_stride,
                    gradient(load_chunk(rows.e[i]), t, scale, args.dloss[row]));
  }
}

// One row of any length, part i of the losses; dx, if there is one, holds the exponentials in between.
template <Truth truth>
void long_row(const SoftmaxCrossEntropyArgs& args, int64_t row, int64_t i, LossParts& parts) {
  const float* x = args.x + row * args.x_stride;
  float* dx = args.dx ? args.dx + row * args.dx_stride : nullptr;
  const float shift = row_maximum(x, args.row_size);
  const float label_score = truth == Truth::kLabels && is_valid_label(args, row) ? x[args.labels[row]] : 0.0f;
  Chunk sum = broadcast_chunk(0.0f), expected = sum, truth_sum = sum;
  for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
    const Chunk z = load_partial_chunk(x + column, n, -kInfinity);
    if constexpr (truth != Truth::kLabels) {
      const Chunk t = truth_chunk<truth>(args, row, column, n);
      expected = expected + expected_terms(t, z, shift, n);
      if (truth == Truth::kTargets) truth_sum = truth_sum + only_first(t, n);
    }
    const Chunk e = exp_shifted(z, shift);
    sum = sum + e;
    if (dx) store_row_chunk(dx, column, n, args.dx_stride, e);
  });
  parts.sum[i] = fold(sum, Add{});
  parts.expected[i] = truth == Truth::kLabels ? label_score - shift : fold(expected, Add{});
  parts.truth_sum[i] = truth == Truth::kTargets ? fold(truth_sum, Add{}) : 1.0f;
  if (!dx) return;
  const float scale = 1.0f / parts.sum[i] * parts.truth_sum[i], dloss = args.dloss[row];
  for_each_chunk(args.row_size, [&](int64_t column, int64_t n) {
    const Chunk e = load_partial_chunk(dx + column, n, 0.0f);
    const Chunk t = truth_chunk<truth>(args, row, column, n);
    store_row_chunk(dx, column, n, args.dx_stride, gradient(e, t, scale, dloss));
  });
}

// Several tiles may find this at a time; all of them write the same.
WEFT_INLINE void check_losses(const float* loss, int64_t n, StepState* state) {
  for (int64_t i = 0; i < n; i++) {
    if (!(__builtin_fabsf(loss[i]) <= __FLT_MAX__)) __atomic_store_n(&state->abort_step, 1u, __ATOMIC_RELAXED);
  }
}

template <Truth truth>
void cross_entropy_rows(const SoftmaxCrossEntropyArgs& args, Range rows) {
  for (int64_t first = rows.begin; first < rows.end; first += kChunk) {
    const int64_t n = rows.end - first < kChunk ? rows.end - first : kChunk;
    LossParts parts;
    if (args.row_size <= kChunk) {
      short_rows<truth>(args, first, n, parts);
    } else {
      for (int64_t i = 0; i < n; i++) long_row<truth>(args, first + i, i, parts);
    }
    for (int64_t i = 0; i < n && truth != Truth::kTargets; i++) {
      const int64_t row = first + i;
      if (is_valid_label(args, row)) continue;
      parts.expected[i] = kNaN;
      for (int64_t c = 0; c < args.row_size && args.dx; c++) args.dx[row * args.dx_stride + c] = 0.0f;
    }
    if (!args.loss) continue;
    const Chunk log_sum = map(load_partial_chunk(parts.sum, n, 1.0f), [](Vec v) { return log(v); });
    const Chunk truth_sum = load_partial_chunk(parts.truth_sum, n, 1.0f);
    const Chunk expected = load_partial_chunk(parts.expected, n, 0.0f);
    store_partial_chunk(args.loss + first, n,
                        map(log_sum, truth_sum, expected, [](Vec a, Vec b, Vec c) { return a * b - c; }));
    if (args.state) check_losses(args.loss + first, n, args.state);
  }
}

int cross_entropy_tiles(const SoftmaxCrossEntropyArgs& args, int threads) {
  return tiles_for(0.6, args.rows * round_up(args.row_size, kChunk), threads);
}

void cross_entropy_run(const SoftmaxCrossEntropyArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  if (!args.labels) return cross_entropy_rows<Truth::kTargets>(args, rows);
  if (args.smoothing != 0.0f) return cross_entropy_rows<Truth::kSmoothedLabels>(args, rows);
  cross_entropy_rows<Truth::kLabels>(args, rows);
}

}  // namespace

void fill_softmax(KernelTable& table) {
  table.softmax = {softmax_tiles, softmax_run};
  table.softmax_grad = {softmax_grad_tiles, softmax_grad_run};
  table.softmax_cross_entropy = {cross_entropy_tiles, cross_entropy_run};
}

}  // namespace weft::WEFT_ISA
