// Up to sixteen neighbouring outputs of a depthwise convolution, and how to load the channels they are made of.
#pragma once

#include "cpu/kernels/image_rows.h"

namespace weft::WEFT_ISA {
namespace {

// Sixteen outputs, each of a channel of its own.
struct WholeChannels {
  int64_t first;  // output

  // The channels of the pixel at x, whose image ends at `end`.
  __attribute__((always_inline)) Chunk load(const float* x, const float*) const { return load_chunk(x + first); }
};

// The same for the last `count` outputs.
struct LastChannels {
  int64_t first, count;

  __attribute__((always_inline)) Chunk load(const float* x, const float* end) const {
    return load_channels(x + first, count, end);
  }
};

// x[index[i]] in lane i, for indices below kWidth.
WEFT_INLINE Vec pick(Vec x, IntVec index) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)index, (__m512)x);
#elif defined(__AVX2__)
  return (Vec)_mm256_permutevar8x32_ps((__m256)x, (__m256i)index);
#else
  Vec y;
  for (int i = 0; i < kWidth; i++) y[i] = x[index[i]];
  return y;
#endif
}

// Several outputs of each channel.
struct SpreadChannels {
  int64_t first, channels;
  int64_t channel[kParts];  // of the first lane of a vector
  IntChunk index;           // of a lane's channel, from there

  __attribute__((always_inline)) Chunk load(const float* x, const float* end) const {
    Chunk c;
    WEFT_UNROLL
    for (int j = 0; j < kParts; j++) {
      const float* at = x + channel[j];
      const bool whole = at + kWidth <= end;
      const Vec v = whole ? weft::WEFT_ISA::load(at) : load_partial(at, channels - channel[j], 0.0f);
      c.part[j] = pick(v, index.part[j]);
    }
    return c;
  }
};

inline SpreadChannels spread_channels(int64_t first, int64_t channels, int64_t multiplier) {
  SpreadChannels s;
  s.first = first, s.channels = channels;
  int64_t channel = first / multiplier, kernel = first % multiplier;
  for (int i = 0; i < kChunk; i++) {
    const int part = i / kWidth, lane = i % kWidth;
    if (lane == 0) s.channel[part] = channel;
    s.index.part[part][lane] = static_cast<int32_t>(channel - s.channel[part]);
    if (++kernel == multiplier) kernel = 0, channel++;
  }
  return s;
}

// f(channels) for the outputs from `first` on.
template <class F>
WEFT_INLINE void with_channels(int64_t first, int64_t outputs, int64_t multiplier, int64_t channels, F f) {
  if (multiplier > 1) {
    f(spread_channels(first, channels, multiplier));
  } else if (outputs - first >= kChunk) {
    f(WholeChannels{first});
  } else {
    f(LastChannels{first, outputs - first});
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
