// Walking a value (rows, positions, channels) with a thread for each of a block's neighbouring channels and several
// positions at a time: what belongs to its channel stays in a thread's registers.
#pragma once

#include "cuda/axes.h"
#include "cuda/fold.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "ops/batch_norm.h"

namespace weft::cuda {

// Threads of a block that adds up positions: few blocks do it, one for each group and 32 channels.
constexpr int kSumThreads = 1024;

static inline int64_t positions_of(const ChannelShape& s) { return s.rows * s.positions; }

struct ChannelGrid {
  int64_t channels, positions;  // positions of all rows
  int64_t gap;                  // floats between the last position of a row and the first of the next
  Divisor per_row;              // positions of a row
  int lanes;                    // neighbouring channels of a block, a power of 2

  // The thread's channel, the number of the first position it has in a run, and how far the next one is.
  __device__ __forceinline__ int64_t channel() const { return int64_t{blockIdx.x} * lanes + threadIdx.x % lanes; }
  __device__ __forceinline__ int place() const { return static_cast<int>(threadIdx.x) / lanes; }
  __device__ __forceinline__ int step() const { return static_cast<int>(blockDim.x) / lanes; }

  __device__ __forceinline__ int64_t offset(int64_t position) const {
    return position * channels + divide(position, per_row) * gap;
  }
  int64_t tiles() const { return ceil_divide(channels, lanes); }
};

static inline ChannelGrid channel_grid(const ChannelShape& s) {
  int lanes = 1;
  while (lanes < kWarp && lanes < s.channels) lanes *= 2;
  return {s.channels, positions_of(s), s.stride - s.positions * s.channels,
          divisor_of(s.positions > 0 ? s.positions : 1), lanes};
}

// An op's own arguments, with how its threads walk the value.
template <class Args>
struct OverChannels {
  Args op;
  ChannelGrid grid;
};

constexpr size_t kSumsBytes = kSumThreads * sizeof(Sums);  // of shared memory

// The sums over the positions [begin, end) of what term(position, offset) gives, a float2, for the thread's channel.
// float32 in small trees, which are added up in double; those of the channel's first thread are the block's.
template <class Term>
__device__ __forceinline__ Sums add_positions(const ChannelGrid& grid, int64_t begin, int64_t end, Term term) {
  constexpr int kBatch = 4;
  Sums sums = {};
  if (const int64_t channel = grid.channel(); channel < grid.channels) {
    for (int64_t p = begin + grid.place(); p < end; p += kBatch * grid.step()) {
      float2 value[kBatch];
#pragma unroll
      for (int j = 0; j < kBatch; j++) {
        const int64_t position = p + j * grid.step();
        value[j] = position < end ? term(position, grid.offset(position) + channel) : make_float2(0.0f, 0.0f);
      }
      static_assert(kBatch == 4);
      sums.first += static_cast<double>((value[0].x + value[1].x) + (value[2].x + value[3].x));
      sums.second += static_cast<double>((value[0].y + value[1].y) + (value[2].y + value[3].y));
    }
  }
  return fold_threads(sums, grid.place(), grid.step(), grid.lanes, &shared<Sums>(), AddSums{});
}

// Whether the thread is the one that add_positions gives a channel's sums.
__device__ __forceinline__ bool has_sums(const ChannelGrid& grid) {
  return grid.place() == 0 && grid.channel() < grid.channels;
}

// The positions of a group.
struct PositionRange {
  int64_t begin, end;
};
__device__ __forceinline__ PositionRange group_positions(const ChannelGrid& grid, int64_t group, int64_t groups) {
  return {grid.positions * group / groups, grid.positions * (group + 1) / groups};
}

// y[...] = value(offset) at all positions of the thread's channel; a few are computed before any is stored, so that
// their loads are under way together.
template <class Value>
__device__ __forceinline__ void store_positions(const ChannelGrid& grid, float* y, Value value) {
  constexpr int kBatch = 4;
  const int64_t channel = grid.channel(), step = int64_t{grid.step()} * gridDim.y;
  int64_t p = int64_t{blockIdx.y} * grid.step() + grid.place();
  for (; p < grid.positions; p += kBatch * step) {
    float result[kBatch];
    int64_t offset[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; j++) {
      if (p + j * step >= grid.positions) break;
      offset[j] = grid.offset(p + j * step) + channel;
      result[j] = value(offset[j]);
    }
#pragma unroll
    for (int j = 0; j < kBatch; j++) {
      if (p + j * step < grid.positions) y[offset[j]] = result[j];
    }
  }
}

// The blocks for store_positions: about four positions for each thread, or more of a large value.
static inline dim3 blocks_of(const ChannelGrid& grid) {
  const int64_t tiles = grid.tiles(), per_block = 4 * (kThreads / grid.lanes);
  const int64_t wanted = ceil_divide(grid.positions, per_block), most = tiles < 8192 ? 8192 / tiles : 1;
  return dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(wanted < most ? wanted : most));
}

}  // namespace weft::cuda
