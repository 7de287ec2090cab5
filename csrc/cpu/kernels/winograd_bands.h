// How Winograd's kernels walk over the blocks of 2x2 outputs: rows of blocks, in segments where an image is wide, and
// bands of several rows, whose window of pixels is read in place or packed with its border of zeros.
#pragma once

#include "cpu/kernels/conv_window.h"
#include "cpu/kernels/winograd.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kBandFloats = 16 * 1024;
// A window, and what the last vector of its last pixel may read or write behind it.
constexpr int64_t kBandScratch = kBandFloats + kWindowSlack;

struct BlockGrid {
  int64_t rows;       // of blocks, of an image
  Blocks segments;    // of a row
  int64_t together;   // segments that are multiplied together
  int64_t most_rows;  // of a band
};

// An image has rows x columns blocks; up to most_blocks of them, whole segments, are multiplied together. Windows are
// of at most `channels` channels.
WEFT_INLINE BlockGrid block_grid(int64_t rows, int64_t columns, int64_t most_blocks, int64_t channels) {
  BlockGrid grid = {};
  grid.rows = rows;
  const int64_t fitting = larger(1, smaller(most_blocks, kBandFloats / (8 * channels) - 1));
  grid.segments = near_equal_blocks(columns, ceil_divide(columns, fitting));
  const int64_t longest = grid.segments.length + (grid.segments.longer > 0);
  grid.together = most_blocks / larger(1, longest);
  const int64_t line = (2 * longest + 2) * channels;
  grid.most_rows = grid.segments.count == 1 ? larger(1, (kBandFloats / line - 2) / 2) : 1;
  return grid;
}
WEFT_INLINE int64_t segments_of_image(const BlockGrid& grid) { return grid.rows * grid.segments.count; }

// Neighbouring rows of segments of one image.
struct BlockBand {
  int64_t image;
  Range rows, columns;  // blocks
};
// The band that begins with segment `index` and ends before segment `end`.
WEFT_INLINE BlockBand block_band_at(const BlockGrid& grid, int64_t index, int64_t end) {
  const int64_t row = index / grid.segments.count, first = row % grid.rows;
  const int64_t rows = smaller(smaller(grid.most_rows, grid.rows - first), end - index);
  return {row / grid.rows, {first, first + rows}, block_at(grid.segments, index % grid.segments.count)};
}

WEFT_INLINE int64_t block_count(const BlockBand& band) { return length(band.rows) * length(band.columns); }

// What segments [begin, end) read or write, as one run of memory, to be fetched into L2 while planes are multiplied.
struct Lines {
  const char* at;
  int64_t count;
};
// `row` floats from one row of blocks to the next, `image` from image to image.
WEFT_INLINE Lines lines_of(const float* x, int64_t image, int64_t row, const BlockGrid& grid, int64_t begin,
                           int64_t end) {
  const auto offset = [&](int64_t index) __attribute__((always_inline)) {
    const int64_t rows = index / grid.segments.count;
    return rows / grid.rows * image + rows % grid.rows * row;
  };
  if (x == nullptr || begin >= end || grid.segments.count > 1) return {};  // segments are no run of memory
  return {reinterpret_cast<const char*>(x + offset(begin)), ceil_divide((offset(end) - offset(begin)) * 4, 64)};
}
// The pixels of images; before a pooling of 2x2 they are those of the pooled gradient. (Other poolings are rare
// enough.)
WEFT_INLINE Lines lines_of(const ConvImages& images, const BlockGrid& grid, int64_t begin, int64_t end) {
  const int64_t row = images.w / images.pool.w * images.c;
  return lines_of(images.x, images.x_stride, images.pool.h == 2 ? row : 2 * row, grid, begin, end);
}
// Part `part` of `parts`.
WEFT_INLINE void fetch(const Lines& lines, int64_t part, int64_t parts) {
  for (int64_t i = lines.count * part / parts; i < lines.count * (part + 1) / parts; i++)
    __builtin_prefetch(lines.at + 64 * i, 0, 2);
}

struct Pixels {
  const float* x;
  int64_t row, pixel;  // floats from one row, from one pixel to the next
};

// Some channels of a window, as pack_window does it with all of them: (rows, columns, round_up(channels, 16)).
inline void pack_channels(const ConvImages& images, int64_t image, const ConvWindow& window, Range channels,
                          float* scratch) {
  const ConvPool pool = images.pool;
  const int64_t height = images.h / pool.h, width = images.w / pool.w, count = length(channels);
  const int64_t end = round_up(height * width * images.c, kPanel);  // readable elements of an image
  const float* x = images.x + image * images.x_stride;
  const uint8_t* argmax = images.argmax ? images.argmax + image * images.argmax_stride : nullptr;
  for (int64_t row = window.row; row < window.row + window.rows; row++) {
    for (int64_t column = window.column; column < window.column + window.columns; column++) {
      float* const y = scratch;
      scratch += round_up(count, kPanel);
      if (row < 0 || row >= height * pool.h || column < 0 || column >= width * pool.w) {
        zero_floats(y, count);
        continue;
      }
      const int64_t at = (row / pool.h * width + column / pool.w) * images.c + channels.begin;
      const int here = static_cast<int>(row % pool.h * pool.w + column % pool.w);
      if (argmax == nullptr) copy_floats(y, x + at, count);
      for (int64_t k = 0; argmax != nullptr && k < count; k += kPanel)
        store_chunk(y + k, gradient_at(x + at + k, argmax + at + k, end - at - k, here));
    }
  }
}

// A window as it stands in memory, or packed with zeros outside of the image.
WEFT_INLINE Pixels window_of(const ConvImages& images, int64_t image, const ConvWindow& window, Range channels,
                             float* scratch) {
  const bool inside = window.row >= 0 && window.row + window.rows <= images.h && window.column >= 0 &&
                      window.column + window.columns <= images.w;
  // Where channels are no multiple of 16, the last vector of the last pixel would reach beyond the image.
  if (inside && images.argmax == nullptr && images.c % kPanel == 0) {
    const int64_t at = (window.row * images.w + window.column) * images.c + channels.begin;
    return {images.x + image * images.x_stride + at, images.w * images.c, images.c};
  }
  const bool all = length(channels) == images.c;
  const int64_t pixel = all ? images.c : round_up(length(channels), kPanel);
  if (all)
    pack_window(images, image, window, scratch, window.columns * pixel);
  else
    pack_channels(images, image, window, channels, scratch);
  return {scratch, window.columns * pixel, pixel};
}

// The inputs under a band, 4x4 pixels a block, which overlap by two: some channels as planes v (16, blocks, pitch).
WEFT_INLINE void transform_band(const ConvImages& images, const BlockBand& band, int64_t top, int64_t left,
                                Range channels, float* scratch, float* v, int64_t plane, int64_t pitch) {
  const int64_t blocks = length(band.columns);
  const ConvWindow window = {2 * band.rows.begin - top, 2 * length(band.rows) + 2, 2 * band.columns.begin - left,
                             2 * blocks + 2};
  const Pixels seen = window_of(images, band.image, window, channels, scratch);
  const float* x = seen.x;
  for (int64_t row = band.rows.begin; row < band.rows.end; row++, x += 2 * seen.row, v += blocks * pitch) {
    for (int64_t k = 0; k < length(channels); k += kWidth)
      transform_inputs(x + k, seen.row, seen.pixel, blocks, v + k, plane, pitch);
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
