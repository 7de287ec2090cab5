// What becomes of a convolution's outputs while they are in L1: max-pooling, dropout, the derivative of what lay
// before, and the store, with channels that are no multiple of 16.
#pragma once

#include "cpu/kernels/conv_product.h"
#include "cpu/kernels/epilogue.h"

namespace weft::WEFT_ISA {
namespace {

// Floats, and bytes, that pool_strip may write behind the last of its results.
constexpr int64_t kStripSlack = kPanel;
constexpr int64_t kMaskGroup = 4;  // elements that share a counter, see ops/dropout.h

// Windows to be pooled: pixel (wy, wx) of window i is at x + i*window + wy*row + wx*pixel.
struct PoolSource {
  ConvPool pool;
  const float* x;
  int64_t window, row, pixel;
};

// The maxima of `count` windows: y (count, pitch), of which `width` channels count, and the place of the first
// maximum in places, alike. Returns the sum of all that was compared.
template <bool kTwoByTwo, bool kPlaces, bool kMayBeNan>
float pool_windows(const PoolSource& source, int64_t count, int64_t width, int64_t pitch, float* y, uint8_t* places) {
  const ConvPool pool = source.pool;
  Chunk total = broadcast_chunk(0);
  for (int64_t i = 0; i < count; i++) {
    for (int64_t k = 0; k < width; k += kChunk) {
      const float* window = source.x + i * source.window + k;
      Chunk best = load_chunk(window), sum = best;
      IntChunk place = {};
      const auto compare = [&](int64_t wy, int64_t wx, int64_t p) __attribute__((always_inline)) {
        const Chunk value = load_chunk(window + wy * source.row + wx * source.pixel);
        const IntVec here = broadcast_int(static_cast<int32_t>(p));
        sum = sum + value;
        WEFT_UNROLL
        for (int j = 0; j < kParts; j++) {
          const Vec v = value.part[j], b = best.part[j];
          IntVec better = v > b;
          if (kMayBeNan) better |= (v != v) & (b == b);  // the first NaN wins
          best.part[j] = better ? v : b;
          if (kPlaces) place.part[j] = better ? here : place.part[j];
        }
      };
      if constexpr (kTwoByTwo) {
        compare(0, 1, 1);
        compare(1, 0, 2);
        compare(1, 1, 3);
      } else {
        for (int64_t p = 1; p < pool.h * pool.w; p++) compare(p / pool.w, p % pool.w, p);
      }
      total = total + sum;
      // In this order, a window overwrites what the one before has written too much.
      store_chunk(y + i * pitch + k, best);
      if (kPlaces) store_places(places + i * pitch + k, place);
    }
  }
  return fold(total, Add());
}

template <bool kPlaces>
void pool_strip(const PoolSource& source, int64_t count, int64_t width, int64_t pitch, float* y, uint8_t* places) {
  const bool two_by_two = source.pool.h == 2 && source.pool.w == 2;
  const float sum = two_by_two ? pool_windows<true, kPlaces, false>(source, count, width, pitch, y, places)
                               : pool_windows<false, kPlaces, false>(source, count, width, pitch, y, places);
  // A NaN makes the sum NaN. Then the windows are compared once more, with care.
  if (sum != sum) pool_windows<false, kPlaces, true>(source, count, width, pitch, y, places);
}
inline void pool_strip(const PoolSource& source, int64_t count, int64_t width, int64_t pitch, float* y,
                       uint8_t* places) {
  if (places)
    pool_strip<true>(source, count, width, pitch, y, places);
  else
    pool_strip<false>(source, count, width, pitch, y, nullptr);
}

// The general, slower way: dropout, then the derivative, in pieces that begin wherever an element does.
inline void mask_and_store(const ConvOutput& out, int64_t image, int64_t at, const float* x, int64_t n) {
  constexpr int64_t kPiece = 4 * kChunk;
  const bool dropout = out.dropout.threshold != 0;
  alignas(64) float value[kPiece + kChunk] = {}, saved[kPiece] = {};
  for (int64_t k = 0; k < n; k += kPiece, at += kPiece) {
    const int64_t count = smaller(kPiece, n - k);
    const int64_t lead = at % kMaskGroup;  // a mask is drawn for whole groups of elements
    copy_floats(value + lead, x + k, count);
    if (dropout) {
      const int64_t first = image * round_up(out.row_size, kPanel) + at - lead;
      dropout_apply(out.dropout, value, value, first, round_up(lead + count, kMaskGroup));
    }
    if (out.saved != nullptr && out.saved_act.fn != UnaryFn::kIdentity) {
      copy_floats(saved, out.saved + image * out.y_stride + at, count);
      // What was stored is the value after dropout.
      if (dropout) {
        const Vec scale = broadcast(out.dropout.scale);
        for (int64_t i = 0; i < kPiece; i += kWidth) store(saved + i, load(saved + i) / scale);
      }
      unary_grad_apply(out.saved_act, value + lead, saved, value + lead, round_up(count, kChunk));
    }
    copy_floats(out.y + image * out.y_stride + at, value + lead, count);
  }
}

// n finished floats of an image, from its element `at` on.
WEFT_INLINE void finish_run(const ConvOutput& out, int64_t image, int64_t at, const float* x, int64_t n) {
  float* y = out.y + image * out.y_stride + at;
  const bool dropout = out.dropout.threshold != 0;
  if (out.saved != nullptr && out.saved_act.fn == UnaryFn::kRelu) {
    // What relu and dropout let through is what the stored value is positive for: no mask is drawn again.
    const float* saved = out.saved + image * out.y_stride + at;
    const Vec scale = broadcast(dropout ? out.dropout.scale : 1.0f);
    const auto masked = [scale](Vec v, Vec s) __attribute__((always_inline)) { return s <= 0 ? Vec{} : v * scale; };
    int64_t k = 0;
    for (; k + kChunk <= n; k += kChunk) store_chunk(y + k, map(load_chunk(x + k), load_chunk(saved + k), masked));
    if (k < n) {
      store_partial_chunk(y + k, n - k, map(load_chunk(x + k), load_partial_chunk(saved + k, n - k, 0), masked));
    }
  } else if (dropout || (out.saved != nullptr && out.saved_act.fn != UnaryFn::kIdentity)) {
    mask_and_store(out, image, at, x, n);
  } else {
    copy_floats(y, x, n);
  }
}

// Stores `count` pixels of one output row, from `pixel` on: x and places are (count, pitch), of which `width`
// channels count, from `channel` on.
inline void finish_pixels(const ConvOutput& out, int64_t image, int64_t row, int64_t pixel, int64_t count,
                          int64_t channel, int64_t width, const float* x, int64_t pitch, const uint8_t* places) {
  int64_t at = out.first + row * out.row_step + pixel * out.pixel_step + channel;
  if (width == pitch && pitch == out.pixel_step) {
    width *= count;
    count = 1;
  }
  for (int64_t i = 0; i < count; i++, at += out.pixel_step, x += pitch) {
    finish_run(out, image, at, x, width);
    if (places == nullptr) continue;
    uint8_t* argmax = out.argmax + image * out.argmax_stride + at;  // (width)
    int64_t k = 0;
    for (; k + kChunk <= width; k += kChunk) __builtin_memcpy(argmax + k, places + i * pitch + k, kChunk);
    if (k < width) copy_few(argmax + k, places + i * pitch + k, width - k);
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
