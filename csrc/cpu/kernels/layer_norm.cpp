// Layer normalization and its gradient, position by position: one is read two or three times from L1. Sums run in
// sixteen lanes with a fixed tree; the sums over positions that dgamma and dbeta are made of run in groups of
// positions, each with a row of partial results of its own. Tiles: positions, or groups of them.
#include "ops/layer_norm.h"

#include "cpu/kernels/channels.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

constexpr double kNanosecondsPerElement = 0.3;

// f(channel, n) for the chunks of a position; n is the constant 16 for all but the last.
template <class F>
WEFT_INLINE void for_each_chunk(int64_t channels, F f) {
  int64_t c = 0;
  for (; c + kChunk <= channels; c += kChunk) f(c, kChunk);
  if (c < channels) f(c, channels - c);
}

// Where the positions [begin, end) lie: body(position, offset).
template <class Body>
WEFT_INLINE void for_each_position(const ChannelShape& s, int64_t begin, int64_t end, Body body) {
  int64_t row = begin / s.positions, k = begin % s.positions;
  for (int64_t position = begin; position < end; position++) {
    body(position, row * s.stride + k * s.channels);
    if (++k == s.positions) {
      k = 0;
      row++;
    }
  }
}

int layer_norm_tiles(const LayerNormArgs& args, int threads) {
  const ChannelShape& s = args.shape;
  return tiles_for(kNanosecondsPerElement, s.rows * s.positions * (64 + s.channels), threads);
}

void layer_norm_run(const LayerNormArgs& args, int tile, int n_tiles) {
  const ChannelShape& s = args.shape;
  const float channels = static_cast<float>(s.channels);
  const Range positions = split(s.rows * s.positions, 1, tile, n_tiles);
  for_each_position(s, positions.begin, positions.end, [&](int64_t position, int64_t offset) {
    const float* x = args.x + offset;
    float* y = args.y + offset;
    Chunk sum = broadcast_chunk(0.0f), squares = broadcast_chunk(0.0f);
    for_each_chunk(s.channels, [&](int64_t c, int64_t n)
                                   __attribute__((always_inline)) { sum = sum + load_partial_chunk(x + c, n, 0.0f); });
    const float mean = fold(sum, Add{}) / channels;
    for_each_chunk(s.channels, [&](int64_t c, int64_t n) __attribute__((always_inline)) {
      Chunk d = map(load_partial_chunk(x + c, n, 0.0f), [=](Vec v) { return v - mean; });
      if (n < kChunk) d = only_first(d, n);
      squares = map(d, squares, [](Vec v, Vec total) { return multiply_add(v, v, total); });
    });
    const float rstd = 1.0f / __builtin_sqrtf(fold(squares, Add{}) / channels + args.epsilon);
    for_each_chunk(s.channels, [&](int64_t c, int64_t n) __attribute__((always_inline)) {
      const Chunk h = map(load_partial_chunk(x + c, n, 0.0f), [=](Vec v) { return (v - mean) * rstd; });
      store_partial_chunk(y + c, n,
                          map(h, load_chunk(args.gamma + c), load_chunk(args.beta + c),
                              [](Vec v, Vec g, Vec b) { return multiply_add(v, g, b); }));
    });
    args.mean[position] = mean;
    args.rstd[position] = rstd;
  });
}

int layer_norm_grad_tiles(const LayerNormGradArgs& args, int threads) {
  const ChannelShape& s = args.shape;
  const int tiles = tiles_for(2 * kNanosecondsPerElement, s.rows * s.positions * (64 + s.channels), threads);
  return static_cast<int>(smaller(tiles, layer_norm_groups(s)));
}

void layer_norm_grad_run(const LayerNormGradArgs& args, int tile, int n_tiles) {
  const ChannelShape& s = args.shape;
  const int64_t padded = padded_channels(s.channels);
  const float channels = static_cast<float>(s.channels);
  const int n_groups = static_cast<int>(layer_norm_groups(s));
  const Range groups = split(n_groups, 1, tile, n_tiles);
  for (int64_t group = groups.begin; group < groups.end; group++) {
    float* dgamma = args.partial + group * args.partial_stride;
    float* dbeta = dgamma + padded;
    for (int64_t c = 0; c < 2 * padded; c += kChunk) store_chunk(dgamma + c, broadcast_chunk(0.0f));
    const Range positions = split(s.rows * s.positions, 1, static_cast<int>(group), n_groups);
    for_each_position(s, positions.begin, positions.end, [&](int64_t position, int64_t offset) {
      const float mean = args.mean[position], rstd = args.rstd[position];
      const auto normalized = [&](int64_t c, int64_t n) __attribute__((always_inline)) {
        return map(load_partial_chunk(args.x + offset + c, n, 0.0f), [=](Vec v) { return (v - mean) * rstd; });
      };
      const auto gradient = [&](int64_t c, int64_t n) __attribute__((always_inline)) {
        return load_partial_chunk(args.dy + offset + c, n, 0.0f);
      };
      // What stands behind the last element of gamma may be anything.
      const auto scale = [&](int64_t c, int64_t n)
                             __attribute__((always_inline)) { return load_partial_chunk(args.gamma + c, n, 0.0f); };
      const auto add_product = [](Vec a, Vec b, Vec total) { return multiply_add(a, b, total); };
      Chunk sum = broadcast_chunk(0.0f), products = broadcast_chunk(0.0f);
      for_each_chunk(s.channels, [&](int64_t c, int64_t n) __attribute__((always_inline)) {
        const Chunk dy = gradient(c, n), h = normalized(c, n), gamma = scale(c, n);
        sum = map(dy, gamma, sum, add_product);
        products = map(dy, map(h, gamma, Multiply{}), products, add_product);
        store_chunk(dgamma + c, map(dy, h, load_chunk(dgamma + c), add_product));
        store_chunk(dbeta + c, load_chunk(dbeta + c) + dy);
      });
      const float mean_g = fold(sum, Add{}) / channels, mean_product = fold(products, Add{}) / channels;
      for_each_chunk(s.channels, [&](int64_t c, int64_t n) __attribute__((always_inline)) {
        const Chunk g = map(gradient(c, n), scale(c, n),
                            [=](Vec d, Vec gamma) { return multiply_add(d, gamma, broadcast(-mean_g)); });
        const Chunk dx =
            map(normalized(c, n), g, [=](Vec h, Vec v) { return rstd * multiply_add(-h, broadcast(mean_product), v); });
        store_partial_chunk(args.dx + offset + c, n, dx);
      });
    });
  }
}

}  // namespace

void fill_layer_norm(KernelTable& table) {
  table.layer_norm = {layer_norm_tiles, layer_norm_run};
  table.layer_norm_grad = {layer_norm_grad_tiles, layer_norm_grad_run};
}

}  // namespace weft::WEFT_ISA
