// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) and the masks of dropout that are
// drawn from it: the same words as on every other device, see ops/dropout.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/types.h"
#include "ops/dropout.h"

namespace weft::cuda {

// The four words of a counter. Element i of a value takes word i % 4 of counter i / 4.
__device__ __forceinline__ uint4 philox(uint64_t counter, uint32_t stream, uint32_t draw, uint64_t key) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32), c2 = stream, c3 = draw;
  uint32_t key_0 = static_cast<uint32_t>(key), key_1 = static_cast<uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{c0} * 0xD2511F53u, b = uint64_t{c2} * 0xCD9E8D57u;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ key_0;
    c1 = static_cast<uint32_t>(b);
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ key_1;
    c3 = static_cast<uint32_t>(a);
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

// Word i of the four. An index that is known only at run time would put them into local memory.
__device__ __forceinline__ uint32_t word_of(uint4 words, int64_t i) {
  const uint32_t low = i & 1 ? words.y : words.x, high = i & 1 ? words.w : words.z;
  return i & 2 ? high : low;
}

// The words of a value with rows of row_size in one step. Make it before the loop over the elements: it reads the state
// once.
class RowWords {
 public:
  __device__ __forceinline__ RowWords(const StepState* state /* or null: do not ask for words */, uint32_t stream,
                                      int64_t row_size)
      : padded_size_(round_up(row_size, kPanel)),
        seed_(state ? state->seed : 0),
        draw_(state ? static_cast<uint32_t>(state->draw) : 0),
        stream_(stream) {}

  // Those of the four neighbours that element (row, column) belongs to; column - column % 4 is the first. Rows count
  // their elements with the padding, so that four never belong to two rows.
  __device__ __forceinline__ uint4 at(int64_t row, int64_t column) const {
    return philox(static_cast<uint64_t>(row * padded_size_ + column) / 4, stream_, draw_, seed_);
  }

 private:
  int64_t padded_size_;
  uint64_t seed_;
  uint32_t draw_, stream_;
};

// The mask of such a value. One draw gives four elements, so the functions of two and of four neighbours cost little
// more than that of one. Dropped elements become 0 even where x is not finite.
class DropoutMask {
 public:
  __device__ __forceinline__ DropoutMask(const DropoutSpec& spec, int64_t row_size)
      : words_(spec.threshold ? spec.state : nullptr, spec.stream, row_size),
        threshold_(spec.threshold),
        scale_(spec.scale) {}

  __device__ __forceinline__ float apply(int64_t row, int64_t column, float x) const {
    if (threshold_ == 0) return x;
    return kept(word_of(words_.at(row, column), column), x);
  }
  // Of two neighbours; column is even.
  __device__ __forceinline__ float2 apply(int64_t row, int64_t column, float2 x) const {
    if (threshold_ == 0) return x;
    const uint4 w = words_.at(row, column);
    return column & 2 ? make_float2(kept(w.z, x.x), kept(w.w, x.y)) : make_float2(kept(w.x, x.x), kept(w.y, x.y));
  }
  // Of four neighbours; column is a multiple of 4.
  __device__ __forceinline__ float4 apply(int64_t row, int64_t column, float4 x) const {
    if (threshold_ == 0) return x;
    const uint4 w = words_.at(row, column);
    return make_float4(kept(w.x, x.x), kept(w.y, x.y), kept(w.z, x.z), kept(w.w, x.w));
  }

 private:
  __device__ __forceinline__ float kept(uint32_t word, float x) const { return word >= threshold_ ? x * scale_ : 0.0f; }

  RowWords words_;
  uint32_t threshold_;
  float scale_;
};

// One element on its own, where no loop could keep a mask.
__device__ __forceinline__ float dropped(const DropoutSpec& spec, int64_t row, int64_t row_size, int64_t column,
                                         float x) {
  return DropoutMask(spec, row_size).apply(row, column, x);
}

}  // namespace weft::cuda
