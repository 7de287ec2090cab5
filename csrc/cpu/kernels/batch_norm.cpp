// Batch normalization and its gradient. Sums over positions: each group of positions into a row of partial results,
// with the deviations taken from the mean of the group's first pieces, so that a large mean costs no digits; then the
// groups in order (Chan et al., "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
// Tiles: groups by blocks of channels; chunks of channels for the combination; pieces for what works element by
// element, see channels.h.
#include "ops/batch_norm.h"

#include "cpu/kernels/channels.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

constexpr double kNanosecondsPerElement = 0.1;  // of one array that comes from memory

WEFT_INLINE int64_t elements_of(const ChannelShape& s) { return s.rows * s.positions * s.channels; }
WEFT_INLINE int64_t positions_of(const ChannelShape& s) { return s.rows * s.positions; }

int moments_tiles(const ChannelMomentsArgs& args, int threads) {
  const int64_t units = channel_blocks(args.shape) * channel_groups(args.shape);
  const int tiles = tiles_for(kNanosecondsPerElement, elements_of(args.shape), threads);
  return static_cast<int>(smaller(tiles, units));
}

// Sums of x - pivot and of its square over the pieces [begin, end), added up for each channel.
void add_deviations(const float* x, const Pieces& p, int64_t begin, int64_t end, const float* pivot, float* sum,
                    float* squares) {
  clear(sum);
  clear(squares);
  add_up(p, begin, end, sum, squares,
         [&](int64_t offset, int64_t n, int64_t lane, Chunk& a, Chunk& b) __attribute__((always_inline)) {
           Chunk d = map(load_partial_chunk(x + offset, n, 0.0f), load_chunk(pivot + lane),
                         [](Vec v, Vec m) { return v - m; });
           if (n < kChunk) d = only_first(d, n);
           a = a + d;
           b = map(d, b, [](Vec v, Vec total) { return multiply_add(v, v, total); });
         });
  gather(p, sum);
  gather(p, squares);
}

void moments_of_group(const ChannelMomentsArgs& args, const Pieces& p, int64_t group, Range pieces) {
  alignas(64) float pivot[kLanes], sum[kLanes], squares[kLanes];
  const int64_t first = positions_before(p, pieces.begin);
  const int64_t some = smaller(pieces.end, pieces.begin + larger(8, 4096 / p.width));
  clear(pivot);
  add_deviations(args.x, p, pieces.begin, some, pivot, sum, squares);
  const float some_positions = static_cast<float>(positions_before(p, some) - first);
  fill_lanes(p, pivot, [&](int64_t c) {
    return map(load_chunk(sum + c - p.channel), [=](Vec v) { return v / some_positions; });
  });
  add_deviations(args.x, p, pieces.begin, pieces.end, pivot, sum, squares);
  const float n = static_cast<float>(positions_before(p, pieces.end) - first);
  float* mean = args.partial + group * args.partial_stride + p.channel;
  float* deviations = mean + padded_channels(args.shape.channels);
  for (int64_t c = 0; c < p.channels; c += kChunk) {
    const Chunk s = load_chunk(sum + c);
    store_chunk(mean + c, map(s, load_chunk(pivot + c), [=](Vec v, Vec m) { return m + v / n; }));
    store_chunk(deviations + c, map(s, load_chunk(squares + c),
                                    [=](Vec v, Vec q) { return at_least(multiply_add(-v, v / n, q), 0.0f); }));
  }
}

// body(pieces, group, range of pieces) for the groups of a tile.
template <class Body>
WEFT_INLINE void for_each_group(const ChannelShape& s, int tile, int n_tiles, Body body) {
  const int groups = static_cast<int>(channel_groups(s));
  const Range units = split(channel_blocks(s) * groups, 1, tile, n_tiles);
  for (int64_t unit = units.begin; unit < units.end; unit++) {
    const Pieces p = pieces_of(s, unit / groups);
    const int group = static_cast<int>(unit % groups);
    body(p, group, split(piece_count(p), 1, group, groups));
  }
}

void moments_run(const ChannelMomentsArgs& args, int tile, int n_tiles) {
  for_each_group(args.shape, tile, n_tiles,
                 [&](const Pieces& p, int64_t group, Range pieces) { moments_of_group(args, p, group, pieces); });
}

int combine_tiles(const CombineMomentsArgs& args, int threads) {
  return tiles_for(1.0, args.shape.channels * channel_groups(args.shape), threads);
}

void combine_run(const CombineMomentsArgs& args, int tile, int n_tiles) {
  const int groups = static_cast<int>(channel_groups(args.shape));
  const Pieces p = pieces_of(args.shape, 0);  // groups have the same positions in every block
  const int64_t padded = padded_channels(args.shape.channels);
  const float all = static_cast<float>(positions_of(args.shape));
  const auto positions = [&](int group) {
    const Range pieces = split(piece_count(p), 1, group, groups);
    return static_cast<float>(positions_before(p, pieces.end) - positions_before(p, pieces.begin));
  };
  const Range channels = split(args.shape.channels, kChunk, tile, n_tiles);
  for (int64_t c = channels.begin; c < channels.end; c += kChunk) {
    const auto of_group = [&](int group) { return load_chunk(args.partial + group * args.partial_stride + c); };
    const Chunk origin = of_group(0);
    Chunk shift = broadcast_chunk(0.0f), deviations = broadcast_chunk(0.0f);
    for (int g = 1; g < groups; g++) {
      const float share = positions(g) / all;
      shift = map(shift, of_group(g), origin,
                  [=](Vec s, Vec m, Vec o) { return multiply_add(broadcast(share), m - o, s); });
    }
    const Chunk mean = map(origin, shift, [](Vec o, Vec s) { return o + s; });
    for (int g = 0; g < groups; g++) {
      const float n = positions(g);
      // Differences of the origin are exact where those of the mean, which has been rounded, are not.
      const Chunk away = map(of_group(g), origin, shift, [](Vec m, Vec o, Vec s) { return (m - o) - s; });
      deviations = map(deviations, load_chunk(args.partial + g * args.partial_stride + padded + c), away,
                       [=](Vec d, Vec q, Vec a) { return d + multiply_add(n * a, a, q); });
    }
    const Chunk variance = map(deviations, [=](Vec d) { return d / all; });
    store_chunk(args.mean + c, mean);
    store_chunk(args.variance + c, variance);
    store_chunk(args.rstd + c, map(variance, [&](Vec v) { return 1.0f / square_root(v + args.epsilon); }));
  }
}

int apply_tiles(const BatchNormApplyArgs& args, int threads) {
  return tiles_for(2 * kNanosecondsPerElement, elements_of(args.shape), threads);
}

void apply_run(const BatchNormApplyArgs& args, int tile, int n_tiles) {
  alignas(64) float mean[kLanes], scale[kLanes], shift[kLanes];
  for_each_block(args.shape, tile, n_tiles, [&](const Pieces& p, int64_t begin, int64_t end) {
    fill_lanes(p, mean, [&](int64_t c) { return load_chunk(args.mean + c); });
    fill_lanes(p, shift, [&](int64_t c) { return load_chunk(args.beta + c); });
    fill_lanes(p, scale, [&](int64_t c) {
      return map(load_chunk(args.variance + c), load_chunk(args.gamma + c),
                 [&](Vec v, Vec g) { return g * (1.0f / square_root(v + args.epsilon)); });
    });
    for_each_piece_chunk(p, begin, end, [&](int64_t offset, int64_t n, int64_t lane) __attribute__((always_inline)) {
      const Chunk centred = map(load_partial_chunk(args.x + offset, n, 0.0f), load_chunk(mean + lane),
                                [](Vec x, Vec m) { return x - m; });
      store_partial_chunk(args.y + offset, n,
                          map(centred, load_chunk(scale + lane), load_chunk(shift + lane),
                              [](Vec x, Vec a, Vec b) { return multiply_add(x, a, b); }));
    });
  });
}

int grad_sums_tiles(const BatchNormGradSumsArgs& args, int threads) {
  const int64_t units = channel_blocks(args.shape) * channel_groups(args.shape);
  const int tiles = tiles_for(2 * kNanosecondsPerElement, elements_of(args.shape), threads);
  return static_cast<int>(smaller(tiles, units));
}

void grad_sums_run(const BatchNormGradSumsArgs& args, int tile, int n_tiles) {
  alignas(64) float mean[kLanes], products[kLanes], sum[kLanes];
  for_each_group(args.shape, tile, n_tiles, [&](const Pieces& p, int64_t group, Range pieces) {
    fill_lanes(p, mean, [&](int64_t c) { return load_chunk(args.mean + c); });
    clear(products);
    clear(sum);
    add_up(p, pieces.begin, pieces.end, products, sum,
           [&](int64_t offset, int64_t n, int64_t lane, Chunk& a, Chunk& b) __attribute__((always_inline)) {
             const Chunk dy = load_partial_chunk(args.dy + offset, n, 0.0f);
             const Chunk centred = map(load_partial_chunk(args.x + offset, n, 0.0f), load_chunk(mean + lane),
                                       [](Vec x, Vec m) { return x - m; });
             a = map(a, dy, centred, [](Vec total, Vec d, Vec x) { return multiply_add(d, x, total); });
             b = b + dy;
           });
    gather(p, products);
    gather(p, sum);
    float* first = args.partial + group * args.partial_stride + p.channel;
    float* second = first + padded_channels(args.shape.channels);
    for (int64_t c = 0; c < p.channels; c += kChunk) {
      store_chunk(first + c, map(load_chunk(products + c), load_chunk(args.rstd + p.channel + c),
                                 [](Vec v, Vec r) { return v * r; }));
      store_chunk(second + c, load_chunk(sum + c));
    }
  });
}

int sum_groups_tiles(const SumGroupsArgs& args, int threads) {
  return tiles_for(0.5, args.channels * args.groups, threads);
}

void sum_groups_run(const SumGroupsArgs& args, int tile, int n_tiles) {
  const Range channels = split(args.channels, kChunk, tile, n_tiles);
  for (int64_t c = channels.begin; c < channels.end; c += kChunk) {
    const float* partial = args.partial + c;
    Chunk first = broadcast_chunk(0.0f), second = broadcast_chunk(0.0f);
    for (int64_t g = 0; g < args.groups; g++, partial += args.partial_stride) {
      first = first + load_chunk(partial);
      second = second + load_chunk(partial + padded_channels(args.channels));
    }
    store_chunk(args.first + c, first);
    store_chunk(args.second + c, second);
  }
}

int grad_input_tiles(const BatchNormGradInputArgs& args, int threads) {
  return tiles_for(3 * kNanosecondsPerElement, elements_of(args.shape), threads);
}

void grad_input_run(const BatchNormGradInputArgs& args, int tile, int n_tiles) {
  alignas(64) float mean[kLanes], scale[kLanes], mean_dy[kLanes], slope[kLanes];
  const float n_positions = static_cast<float>(positions_of(args.shape));
  for_each_block(args.shape, tile, n_tiles, [&](const Pieces& p, int64_t begin, int64_t end) {
    fill_lanes(p, mean, [&](int64_t c) { return load_chunk(args.mean + c); });
    fill_lanes(p, scale, [&](int64_t c) {
      return map(load_chunk(args.gamma + c), load_chunk(args.rstd + c), [](Vec g, Vec r) { return g * r; });
    });
    fill_lanes(p, mean_dy,
               [&](int64_t c) { return map(load_chunk(args.dbeta + c), [=](Vec d) { return d / n_positions; }); });
    fill_lanes(p, slope, [&](int64_t c) {
      return map(load_chunk(args.dgamma + c), load_chunk(args.rstd + c),
                 [=](Vec d, Vec r) { return -r * (d / n_positions); });
    });
    for_each_piece_chunk(p, begin, end, [&](int64_t offset, int64_t n, int64_t lane) __attribute__((always_inline)) {
      const Chunk centred = map(load_partial_chunk(args.x + offset, n, 0.0f), load_chunk(mean + lane),
                                [](Vec x, Vec m) { return x - m; });
      const Chunk dy = map(load_partial_chunk(args.dy + offset, n, 0.0f), load_chunk(mean_dy + lane),
                           [](Vec d, Vec m) { return d - m; });
      const Chunk dx =
          map(centred, load_chunk(slope + lane), dy, [](Vec x, Vec s, Vec d) { return multiply_add(x, s, d); });
      store_partial_chunk(args.dx + offset, n, map(dx, load_chunk(scale + lane), [](Vec d, Vec a) { return d * a; }));
    });
  });
}

}  // namespace

void fill_batch_norm(KernelTable& table) {
  table.channel_moments = {moments_tiles, moments_run};
  table.combine_moments = {combine_tiles, combine_run};
  table.batch_norm_apply = {apply_tiles, apply_run};
  table.batch_norm_grad_sums = {grad_sums_tiles, grad_sums_run};
  table.sum_groups = {sum_groups_tiles, sum_groups_run};
  table.batch_norm_grad_input = {grad_input_tiles, grad_input_run};
}

}  // namespace weft::WEFT_ISA
