// Batch normalization and its gradient. Sums over positions: each group of positions into a row of partial results,
// with the deviations taken from the mean of the group's first positions, so that a large mean costs no digits; then
// the groups are combined (Chan et al., "Updating formulae and a pairwise algorithm for computing sample variances",
// 1979).
#include "cuda/channels.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/batch_norm.h"

namespace weft::cuda {
namespace {

// A block for each group of positions and each tile of channels.
template <class Args, void (*body)(const OverChannels<Args>&)>
void launch_groups(const Args& args) {
  const ChannelGrid grid = channel_grid(args.shape);
  const dim3 blocks(static_cast<unsigned>(grid.tiles()), static_cast<unsigned>(channel_groups(args.shape)));
  launch<OverChannels<Args>, body, kSumThreads>(blocks, {args, grid}, kSumsBytes);
}

__device__ void moments_body(const OverChannels<ChannelMomentsArgs>& args) {
  const ChannelGrid& grid = args.grid;
  const float* x = args.op.x;
  const PositionRange range = group_positions(grid, blockIdx.y, gridDim.y);
  const int64_t channel = grid.channel(), n = range.end - range.begin;
  float pivot = 0.0f;
  if (channel < grid.channels && n > 0) {
    const int some = n < 8 ? static_cast<int>(n) : 8;
    for (int k = 0; k < some; k++) pivot += x[grid.offset(range.begin + k) + channel];
    pivot /= static_cast<float>(some);
  }
  const Sums sums = add_positions(grid, range.begin, range.end, [&](int64_t, int64_t offset) {
    const float d = x[offset] - pivot;
    return make_float2(d, d * d);
  });
  if (!has_sums(grid)) return;
  float* mean = args.op.partial + blockIdx.y * args.op.partial_stride + channel;
  const double shift = sums.first / static_cast<double>(n);
  const double deviations = sums.second - sums.first * shift;
  mean[0] = static_cast<float>(pivot + shift);
  mean[padded_channels(grid.channels)] = deviations < 0.0 ? 0.0f : static_cast<float>(deviations);
}

__device__ void combine_body(const OverChannels<CombineMomentsArgs>& args) {
  const CombineMomentsArgs& a = args.op;
  const ChannelGrid& grid = args.grid;
  const int64_t channel = grid.channel(), padded = padded_channels(grid.channels), groups = channel_groups(a.shape);
  const bool exists = channel < grid.channels;
  const double origin = exists ? static_cast<double>(a.partial[channel]) : 0.0;
  Sums sums = {};
  for (int64_t group = grid.place(); group < groups && exists; group += grid.step()) {
    const float* partial = a.partial + group * a.partial_stride + channel;
    const PositionRange range = group_positions(grid, group, groups);
    const double n = static_cast<double>(range.end - range.begin), away = static_cast<double>(partial[0]) - origin;
    sums.first += n * away;
    sums.second += static_cast<double>(partial[padded]) + n * away * away;
  }
  sums = fold_threads(sums, grid.place(), grid.step(), grid.lanes, &shared<Sums>(), AddSums{});
  if (!has_sums(grid)) return;
  const double all = static_cast<double>(grid.positions), shift = sums.first / all;
  const double variance = (sums.second - sums.first * shift) / all;
  const float rounded = variance < 0.0 ? 0.0f : static_cast<float>(variance);
  a.mean[channel] = static_cast<float>(origin + shift);
  a.variance[channel] = rounded;
  a.rstd[channel] = 1.0f / square_root(rounded + a.epsilon);
}

void combine_moments(const CombineMomentsArgs& args) {
  const ChannelGrid grid = channel_grid(args.shape);
  const dim3 blocks(static_cast<unsigned>(grid.tiles()));
  launch<OverChannels<CombineMomentsArgs>, combine_body>(blocks, {args, grid}, kSumsBytes);
}

__device__ void apply_body(const OverChannels<BatchNormApplyArgs>& args) {
  const BatchNormApplyArgs& a = args.op;
  const int64_t channel = args.grid.channel();
  if (channel >= args.grid.channels) return;
  const float mean = a.mean[channel], shift = a.beta[channel];
  const float scale = a.gamma[channel] * (1.0f / square_root(a.variance[channel] + a.epsilon));
  store_positions(args.grid, a.y, [&](int64_t offset) { return (a.x[offset] - mean) * scale + shift; });
}

void batch_norm_apply(const BatchNormApplyArgs& args) {
  const ChannelGrid grid = channel_grid(args.shape);
  launch<OverChannels<BatchNormApplyArgs>, apply_body>(blocks_of(grid), {args, grid});
}

__device__ void grad_sums_body(const OverChannels<BatchNormGradSumsArgs>& args) {
  const BatchNormGradSumsArgs& a = args.op;
  const ChannelGrid& grid = args.grid;
  const PositionRange range = group_positions(grid, blockIdx.y, gridDim.y);
  const int64_t channel = grid.channel();
  const float mean = channel < grid.channels ? a.mean[channel] : 0.0f;
  const Sums sums = add_positions(grid, range.begin, range.end, [&](int64_t, int64_t offset) {
    const float dy = a.dy[offset];
    return make_float2(dy * (a.x[offset] - mean), dy);
  });
  if (!has_sums(grid)) return;
  float* first = a.partial + blockIdx.y * a.partial_stride + channel;
  first[0] = static_cast<float>(sums.first * static_cast<double>(a.rstd[channel]));
  first[padded_channels(grid.channels)] = static_cast<float>(sums.second);
}

__device__ void sum_groups_body(const OverChannels<SumGroupsArgs>& args) {
  const SumGroupsArgs& a = args.op;
  const ChannelGrid& grid = args.grid;
  const int64_t channel = grid.channel(), second = padded_channels(a.channels);
  const Sums sums = add_positions(grid, 0, a.groups, [&](int64_t, int64_t offset) {
    return make_float2(a.partial[offset], a.partial[offset + second]);
  });
  if (!has_sums(grid)) return;
  a.first[channel] = static_cast<float>(sums.first);
  a.second[channel] = static_cast<float>(sums.second);
}

void sum_groups(const SumGroupsArgs& args) {
  const ChannelGrid grid = channel_grid({args.groups, 1, args.channels, args.partial_stride});  // a group is a position
  const dim3 blocks(static_cast<unsigned>(grid.tiles()));
  launch<OverChannels<SumGroupsArgs>, sum_groups_body>(blocks, {args, grid}, kSumsBytes);
}

__device__ void grad_input_body(const OverChannels<BatchNormGradInputArgs>& args) {
  const BatchNormGradInputArgs& a = args.op;
  const int64_t channel = args.grid.channel();
  if (channel >= args.grid.channels) return;
  const float positions = static_cast<float>(args.grid.positions);
  const float mean = a.mean[channel], rstd = a.rstd[channel], scale = a.gamma[channel] * rstd;
  const float mean_dy = a.dbeta[channel] / positions, slope = -rstd * (a.dgamma[channel] / positions);
  store_positions(args.grid, a.dx,
                  [&](int64_t offset) { return ((a.x[offset] - mean) * slope + (a.dy[offset] - mean_dy)) * scale; });
}

void batch_norm_grad_input(const BatchNormGradInputArgs& args) {
  const ChannelGrid grid = channel_grid(args.shape);
  launch<OverChannels<BatchNormGradInputArgs>, grad_input_body>(blocks_of(grid), {args, grid});
}

}  // namespace

void fill_batch_norm(KernelTable& table) {
  table.channel_moments = kernel_of<ChannelMomentsArgs, launch_groups<ChannelMomentsArgs, moments_body>>();
  table.combine_moments = kernel_of<CombineMomentsArgs, combine_moments>();
  table.batch_norm_apply = kernel_of<BatchNormApplyArgs, batch_norm_apply>();
  table.batch_norm_grad_sums = kernel_of<BatchNormGradSumsArgs, launch_groups<BatchNormGradSumsArgs, grad_sums_body>>();
  table.sum_groups = kernel_of<SumGroupsArgs, sum_groups>();
  table.batch_norm_grad_input = kernel_of<BatchNormGradInputArgs, batch_norm_grad_input>();
}

}  // namespace weft::cuda
