// Batch normalization: every channel (the last axis) is shifted and scaled by its mean and variance over all other
// axes. Training takes three calls: moments of groups of positions, their combination, and the normalization; so does
// its gradient.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

// A value (rows, positions, channels) whose rows lie `stride` floats apart; within a row all is contiguous.
struct ChannelShape {
  int64_t rows, positions, channels, stride;
};

// Channels that are worked on together; more are cut into blocks. Whole positions make one run of memory: with blocks
// of 256, normalizing 512 channels took twice as long.
static constexpr int64_t kChannelBlock = 1024;

// Sums over positions run in groups, whose number depends on the shape alone: enough for many threads, each worth
// several microseconds.
static constexpr int64_t channel_groups(const ChannelShape& s) {
  const int64_t block = s.channels < kChannelBlock ? s.channels : kChannelBlock;
  const int64_t groups = s.rows * s.positions * block / (1 << 15);
  return groups < 1 ? 1 : groups > 64 ? 64 : groups;
}

// Two results for each group and channel stand in one row of partial results, (groups, 2, padded channels).
static constexpr int64_t padded_channels(int64_t channels) { return round_up(channels, kPanel); }

// Of each group and channel: the mean, and the sum of squared deviations from it.
struct ChannelMomentsArgs {
  const float* x;  // shape
  float* partial;  // (groups, 2, padded channels), stride partial_stride
  ChannelShape shape;
  int64_t partial_stride;
};

// The moments of the groups combined.
struct CombineMomentsArgs {
  const float* partial;  // (groups, 2, padded channels), stride partial_stride
  float* mean;           // (channels)
  float* variance;       // (channels), biased
  float* rstd;           // (channels), 1 / sqrt(variance + epsilon)
  ChannelShape shape;    // of what the moments are of
  int64_t partial_stride;
  float epsilon;
};

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta.
struct BatchNormApplyArgs {
  const float* x;         // shape
  const float* gamma;     // (channels)
  const float* beta;      // (channels)
  const float* mean;      // (channels)
  const float* variance;  // (channels)
  float* y;               // shape
  ChannelShape shape;
  float epsilon;
};

// Of each group and channel: the sums of dy * (x - mean) * rstd and of dy.
struct BatchNormGradSumsArgs {
  const float* dy;    // shape
  const float* x;     // shape
  const float* mean;  // (channels)
  const float* rstd;  // (channels)
  float* partial;     // (groups, 2, padded channels), stride partial_stride
  ChannelShape shape;
  int64_t partial_stride;
};

// first, second = the sums over the groups, in order.
struct SumGroupsArgs {
  const float* partial;  // (groups, 2, padded channels), stride partial_stride
  float* first;          // (channels)
  float* second;         // (channels)
  int64_t groups, channels, partial_stride;
};

// dx = gamma * rstd * (dy - dbeta / n - (x - mean) * rstd * dgamma / n), n the number of positions in all rows.
struct BatchNormGradInputArgs {
  const float* dy;      // shape
  const float* x;       // shape
  const float* gamma;   // (channels)
  const float* mean;    // (channels)
  const float* rstd;    // (channels)
  const float* dgamma;  // (channels)
  const float* dbeta;   // (channels)
  float* dx;            // shape
  ChannelShape shape;
};

}  // namespace weft
