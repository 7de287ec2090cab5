// Walking over images (N, H, W, C) row by row, sixteen channels of a pixel at a time. Where a pixel ends within a
// chunk, the chunk reaches into the next pixel: that may be read, and also stored where it is stored properly later.
#pragma once

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/tiling.h"

namespace weft::WEFT_ISA {
namespace {

// Elements of an image that may be read, or stored as padding, in whole chunks.
WEFT_INLINE int64_t padded_size(int64_t h, int64_t w, int64_t c) { return round_up(h * w * c, kChunk); }

// n channels from x on, n being what is left of the pixel; for fewer than 16, nothing at or beyond `end` is touched.
WEFT_INLINE Chunk load_channels(const float* x, int64_t n, const float* end) {
  return n >= kChunk || x + kChunk <= end ? load_chunk(x) : load_partial_chunk(x, n, 0.0f);
}
WEFT_INLINE void store_channels(float* y, int64_t n, const float* end, Chunk c) {
  if (n >= kChunk || y + kChunk <= end) return store_chunk(y, c);
  store_partial_chunk(y, n, c);
}

// A row of pixels of a tile: which, and up to where in the image the tile may store whole chunks if it stores in the
// order of addresses: over what it stores afterwards, or over padding.
struct Row {
  int64_t image, y, end;
};

// f(row) for the rows of a tile of images of h rows.
template <class F>
WEFT_INLINE void for_each_row(int64_t n, int64_t h, int64_t w, int64_t c, int tile, int n_tiles, F f) {
  const Range rows = split(n * h, 1, tile, n_tiles);
  for (Walk at = walk(rows, h); at.left > 0; advance(at)) {
    const int64_t y = at.inner_index;
    const int64_t end = y + 1 == h ? padded_size(h, w, c) : (y + (at.left > 1 ? 2 : 1)) * w * c;
    f(Row{at.outer_index, y, end});
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
