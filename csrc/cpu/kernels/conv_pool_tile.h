// The register tile of a first layer with 2x2 max-pooling behind it: the four pixels of a few windows at once, so that
// only their maximum leaves the registers. With one or three channels a convolution has so few steps that storing every
// pixel and reading it again takes as long as computing it.
#pragma once

#include "cpu/kernels/conv_tile.h"
#include "cpu/kernels/places.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

// Windows of a tile; 0 where four pixels of a window are more than the registers hold.
constexpr int kPoolWindows = kTileRows / 4;

struct PoolTile {
  const ConvTileArgs* conv;  // short runs, all of them
  const float* a;            // the first pixel of the first window
  int64_t row;               // floats from a pixel to the one below it in its window
  float* y;                  // (windows, pitch)
  uint8_t* places;           // as y, or null
  int64_t pitch;
};

// The maxima of one window and 16 filters, and the places of the first ones; adds all that was compared to `sum`.
template <int kVecs>
WEFT_INLINE void pool_pixels(Vec (&pixels)[4][kVecs], int first, Vec& sum, Chunk& best, IntChunk& place) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) {
    Vec b = pixels[0][first + j];
    IntVec at = {};
    sum = sum + b;
    WEFT_UNROLL
    for (int p = 1; p < 4; p++) {
      const Vec value = pixels[p][first + j];
      const IntVec better = value > b;
      sum = sum + value;
      b = better ? value : b;
      at = better ? broadcast_int(p) : at;
    }
    best.part[j] = b, place.part[j] = at;
  }
}

// False if the pixels add up to NaN; then what was stored is of no use.
template <int kWindows, int kVecs>
__attribute__((noinline)) bool pool_tile(const PoolTile& tile) {
  const ConvTileArgs& args = *tile.conv;
  const TileArgs& t = args.product;
  Vec acc[kWindows * 4][kVecs];
  WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) {
    const Vec start = t.start ? load(t.start + vec_offset<Vec>(j, kPanel)) : Vec{};
    WEFT_UNROLL
    for (int i = 0; i < kWindows * 4; i++) acc[i][j] = start;
  }
  const int64_t pixel = t.a_stride, b_panel = t.b_panel;
  const float* b = t.b;
  const int32_t* end = args.offsets + args.runs_y * args.runs_x * t.steps;
  for (const int32_t* offset = args.offsets; offset < end; offset++, b += kPanel) {
    const float *above = tile.a + *offset, *below = above + tile.row;
    multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) {
      // Not (i % 4 < 2 ? above : below)[...]: gcc's UBSan computes such an index in one of the two branches only.
      const float* row = i % 4 < 2 ? above : below;
      return row[(i / 4 * 2 + i % 2) * pixel];
    });
  }
  Vec sum = {};
  WEFT_UNROLL
  for (int w = 0; w < kWindows; w++) {
    Vec pixels[4][kVecs];
    WEFT_UNROLL
    for (int p = 0; p < 4; p++) WEFT_UNROLL
    for (int j = 0; j < kVecs; j++) {
      const Vec value = acc[4 * w + p][j];
      pixels[p][j] = t.relu ? QuickMaximum()(Vec{}, value) : value;
    }
    WEFT_UNROLL
    for (int j = 0; j < kVecs; j += kParts) {
      Chunk best;
      IntChunk place;
      pool_pixels(pixels, j, sum, best, place);
      store_chunk(tile.y + w * tile.pitch + j * kWidth, best);
      if (tile.places) store_places(tile.places + w * tile.pitch + j * kWidth, place);
    }
  }
  return !any(sum != sum);
}

template <int kWindows, int kVecs>
bool run_pool_tile(int windows, const PoolTile& tile) {
  if constexpr (kWindows > 1) {
    if (windows < kWindows) return run_pool_tile<kWindows - 1, kVecs>(windows, tile);
  }
  return pool_tile<kWindows, kVecs>(tile);
}

// `count` neighbouring windows of panels `columns` wide; false if that is not to be had, or a NaN was met on the way.
inline bool pool_windows_of_row(int columns, int64_t count, PoolTile tile) {
  if constexpr (kPoolWindows == 0) {
    return false;
  } else {
    const Blocks blocks = near_equal_blocks(count, ceil_divide(count, kPoolWindows));
    for (int64_t i = 0; i < blocks.count; i++) {
      const int64_t windows = blocks.length + (i < blocks.longer);
      const int n = static_cast<int>(windows);
      const bool done = columns == kTileColumns ? run_pool_tile<kPoolWindows, kTilePanels * kPanelVecs>(n, tile)
                                                : run_pool_tile<kPoolWindows, kPanelVecs>(n, tile);
      if (!done) return false;
      tile.a += 2 * windows * tile.conv->product.a_stride;
      tile.y += windows * tile.pitch;
      if (tile.places) tile.places += windows * tile.pitch;
    }
    return true;
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
