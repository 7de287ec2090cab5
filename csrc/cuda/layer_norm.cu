// Layer normalization and its gradient. A position has a group of threads and is read two or three times, all but the
// first from the cache. The sums over positions that dgamma and dbeta are made of run by groups of positions, each with
// a row of partial results of its own, in a grid of their own: its threads go down the channels.
#include "cuda/channels.h"
#include "cuda/fold.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/layer_norm.h"

namespace weft::cuda {
namespace {

template <int lanes>
__device__ void layer_norm_body(const OverChannels<LayerNormArgs>& args) {
  const LayerNormArgs& a = args.op;
  const RowGroup<lanes> group(args.grid.positions, args.grid.channels);
  const int64_t offset = args.grid.offset(group.row);
  const float *x = a.x + offset, channels = static_cast<float>(args.grid.channels);
  float* y = a.y + offset;
  float sum = 0.0f, squares = 0.0f;
  group.for_each_column([&](int64_t c) { sum += x[c]; });
  const float mean = group.fold(sum, Plus{}) / channels;
  group.for_each_column([&](int64_t c) {
    const float d = x[c] - mean;
    squares += d * d;
  });
  const float rstd = 1.0f / square_root(group.fold(squares, Plus{}) / channels + a.epsilon);
  group.for_each_column([&](int64_t c) { y[c] = (x[c] - mean) * rstd * a.gamma[c] + a.beta[c]; });
  if (!group.leads()) return;
  a.mean[group.row] = mean;
  a.rstd[group.row] = rstd;
}

void layer_norm(const LayerNormArgs& args) {
  const OverChannels<LayerNormArgs> grid = {args, channel_grid(args.shape)};
  with_lanes(args.shape.channels, [&]<int lanes>(std::integral_constant<int, lanes>) {
    launch_rows<OverChannels<LayerNormArgs>, layer_norm_body<lanes>, lanes>(grid.grid.positions, grid);
  });
}

__device__ void parameter_sums_body(const OverChannels<LayerNormGradArgs>& args) {
  const LayerNormGradArgs& a = args.op;
  const ChannelGrid& grid = args.grid;
  const PositionRange range = group_positions(grid, blockIdx.y, gridDim.y);
  const Sums sums = add_positions(grid, range.begin, range.end, [&](int64_t position, int64_t offset) {
    const float dy = a.dy[offset];
    return make_float2(dy * ((a.x[offset] - a.mean[position]) * a.rstd[position]), dy);
  });
  if (!has_sums(grid)) return;
  float* first = a.partial + blockIdx.y * a.partial_stride + grid.channel();
  first[0] = static_cast<float>(sums.first);
  first[padded_channels(grid.channels)] = static_cast<float>(sums.second);
}

template <int lanes>
__device__ void grad_input_body(const OverChannels<LayerNormGradArgs>& args) {
  const LayerNormGradArgs& a = args.op;
  const RowGroup<lanes> group(args.grid.positions, args.grid.channels);
  const int64_t offset = args.grid.offset(group.row);
  const float *x = a.x + offset, *dy = a.dy + offset, channels = static_cast<float>(args.grid.channels);
  float* dx = a.dx + offset;
  const bool exists = group.columns > 0;
  const float mean = exists ? a.mean[group.row] : 0.0f, rstd = exists ? a.rstd[group.row] : 0.0f;
  float sum = 0.0f, products = 0.0f;
  group.for_each_column([&](int64_t c) {
    const float g = dy[c] * a.gamma[c];
    sum += g;
    products += g * ((x[c] - mean) * rstd);
  });
  const float mean_g = group.fold(sum, Plus{}) / channels, mean_product = group.fold(products, Plus{}) / channels;
  group.for_each_column([&](int64_t c) {
    const float h = (x[c] - mean) * rstd;
    dx[c] = rstd * ((dy[c] * a.gamma[c] - mean_g) - h * mean_product);
  });
}

void layer_norm_grad(const LayerNormGradArgs& args) {
  const OverChannels<LayerNormGradArgs> grid = {args, channel_grid(args.shape)};
  const dim3 blocks(static_cast<unsigned>(grid.grid.tiles()), static_cast<unsigned>(layer_norm_groups(args.shape)));
  launch<OverChannels<LayerNormGradArgs>, parameter_sums_body, kSumThreads>(blocks, grid, kSumsBytes);
  with_lanes(args.shape.channels, [&]<int lanes>(std::integral_constant<int, lanes>) {
    launch_rows<OverChannels<LayerNormGradArgs>, grad_input_body<lanes>, lanes>(grid.grid.positions, grid);
  });
}

}  // namespace

void fill_layer_norm(KernelTable& table) {
  table.layer_norm = kernel_of<LayerNormArgs, layer_norm>();
  table.layer_norm_grad = kernel_of<LayerNormGradArgs, layer_norm_grad>();
}

}  // namespace weft::cuda
