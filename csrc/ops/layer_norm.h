// Layer normalization: every position is shifted and scaled by its own mean and variance over the last axis.
#pragma once

#include <cstdint>

#include "ops/batch_norm.h"

namespace weft {

// y = (x - mean) * rstd * gamma + beta, where rstd = 1 / sqrt(variance + epsilon).
struct LayerNormArgs {
  const float* x;      // shape
  const float* gamma;  // (channels)
  const float* beta;   // (channels)
  float* y;            // shape
  float* mean;         // (rows * positions)
  float* rstd;         // (rows * positions)
  ChannelShape shape;
  float epsilon;
};

// With g = dy * gamma and h = (x - mean) * rstd: dx = rstd * (g - mean(g) - h * mean(g * h)); and of each group of
// positions, for dgamma and dbeta, the sums of dy * h and of dy.
struct LayerNormGradArgs {
  const float* dy;     // shape
  const float* x;      // shape
  const float* gamma;  // (channels)
  const float* mean;   // (rows * positions)
  const float* rstd;   // (rows * positions)
  float* dx;           // shape
  float* partial;      // (groups, 2, padded channels), stride partial_stride
  ChannelShape shape;
  int64_t partial_stride;
};

// How many groups: enough for many threads, and to keep the sums of each short. It depends on the shape alone.
static constexpr int64_t layer_norm_groups(const ChannelShape& s) {
  const int64_t positions = s.rows * s.positions;
  const int64_t by_work = positions * s.channels / (1 << 15), by_length = positions / (1 << 11);
  const int64_t groups = by_work > by_length ? by_work : by_length;
  const int64_t most = positions < 64 ? positions : 64;
  return groups < 1 ? 1 : groups > most ? most : groups;
}

}  // namespace weft
