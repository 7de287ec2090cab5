// Operands of conv2d_grad_kernel for a block of positions: fetched into the cache, or copied into a thread's
// scratch: vectors of one image value, and rows of the patch matrix of the other, transposed: one row for each
// kernel element, positions contiguous.
#pragma once

#include "cpu/kernels/conv_window.h"
#include "cpu/kernels/gemm_tile.h"

namespace weft::WEFT_ISA {
namespace {

// A block of positions of a grid: pixels of the output, or of the input when the gradient slides over it.
struct ConvBlock {
  Range images, rows, columns;
};
WEFT_INLINE Range intersection(Range a, Range b) { return {larger(a.begin, b.begin), smaller(a.end, b.end)}; }
WEFT_INLINE Range hull(Range a, Range b) { return {smaller(a.begin, b.begin), larger(a.end, b.end)}; }
WEFT_INLINE int64_t position_count(const ConvBlock& block) {
  return length(block.images) * length(block.rows) * length(block.columns);
}

// Floats that are fetched ahead of a copy: without, 1->32 channels of 28x28 with 2x2 pooling run at 44 instead of
// 49 % of peak.
constexpr int64_t kVectorsAhead = 512;

// Copies `panels` of a block, pair after pair: out (pairs, positions, kTileColumns). A gradient before pooling is
// expanded.
[[maybe_unused]] void pack_vectors(const ConvImages& v, const ConvBlock& block, Range panels, float* out) {
  const int64_t windows = v.w / v.pool.w;
  for (int64_t begin = panels.begin * kPanel; begin < panels.end * kPanel; begin += kTileColumns) {
    const int64_t end = smaller(begin + kTileColumns, panels.end * kPanel);
    for (int64_t image = block.images.begin; image < block.images.end; image++) {
      for (int64_t y = block.rows.begin; y < block.rows.end; y++) {
        const int64_t row = y / v.pool.h * windows * v.c, place = y % v.pool.h * v.pool.w;
        const float* x = v.x + image * v.x_stride + row;                                        // (windows, c)
        const uint8_t* argmax = v.argmax ? v.argmax + image * v.argmax_stride + row : nullptr;  // (windows, c)
        int64_t at = block.columns.begin / v.pool.w * v.c, px = block.columns.begin % v.pool.w;
        for (int64_t i = block.columns.begin; i < block.columns.end; i++, out += kTileColumns) {
          for (int64_t c = begin; c < end; c += kPanel) {
            const int64_t left = v.c - c;
            Chunk value;
            __builtin_prefetch(x + at + c + kVectorsAhead);
            if (argmax)
              value = gradient_at(x + at + c, argmax + at + c, left, static_cast<int>(place + px));
            else
              value = left < kPanel ? load_partial_chunk(x + at + c, left, 0) : load_chunk(x + at + c);
            store_chunk(out + c - begin, value);
          }
          if (++px == v.pool.w) px = 0, at += v.c;
        }
      }
    }
  }
}

// Pixels of a block that are still to be fetched into the cache, while the block before is summed up: without, 32->64
// channels of 13x13 run at 85 instead of 93 % of peak.
struct Ahead {
  const float* at;                 // of the next pixel: its first channel that is needed
  int64_t pixels, in_row, floats;  // left; left in this run; floats of a pixel that are needed
  int64_t run, pixel_stride, gap;  // pixels of a run; floats from pixel to pixel; between two runs
};

// Rows of an image are one run. Before pooling they are those of the pooled gradient.
[[maybe_unused]] Ahead ahead_of(const ConvImages& v, Range images, Range rows, Range channels) {
  const int64_t first = rows.begin / v.pool.h, end = ceil_divide(rows.end, v.pool.h), width = v.w / v.pool.w;
  Ahead a = {};
  a.run = a.in_row = (end - first) * width;
  a.pixels = length(images) * a.run;
  a.pixel_stride = v.c;
  a.gap = v.x_stride - a.run * v.c;
  a.floats = length(channels);
  a.at = v.x + images.begin * v.x_stride + first * width * v.c + channels.begin;
  return a;
}

WEFT_INLINE void fetch_pixels(Ahead& a, int64_t count) {
  for (count = smaller(count, a.pixels), a.pixels -= count; count > 0; count--) {
    for (int64_t c = 0; c < a.floats; c += kPanel) __builtin_prefetch(a.at + c);
    a.at += a.pixel_stride;
    if (--a.in_row == 0) a.in_row = a.run, a.at += a.gap;
  }
}

// Which pixels of `images` a position sees: position (y, x) and kernel element (ky, kx) meet at pixel
// (y*stride_y + row + ky*dilation_y, x*stride_x + column + kx*dilation_x); with `reversed` the kernel
// elements count from the last.
struct PatchShape {
  ConvImages images;
  int64_t kh, kw, stride_y, stride_x, dilation_y, dilation_x, row, column;
  bool reversed;
};

// What of an image the positions of a block see.
WEFT_INLINE ConvWindow patch_window(const PatchShape& s, Range rows, Range columns) {
  return {rows.begin * s.stride_y + s.row, (length(rows) - 1) * s.stride_y + (s.kh - 1) * s.dilation_y + 1,
          columns.begin * s.stride_x + s.column, (length(columns) - 1) * s.stride_x + (s.kw - 1) * s.dilation_x + 1};
}

// Scratch of a thread: a window of an image, and the same with channels and phases of the stride apart.
constexpr int64_t kWindowFloats = 8192;
struct PatchScratch {
  alignas(64) float window[kWindowFloats + 2 * kWindowSlack];
  alignas(64) float planes[kWindowFloats + 2 * kWindowSlack];
};

// Columns of a plane: one in stride_x of the window's.
WEFT_INLINE int64_t plane_columns(const PatchShape& s, int64_t columns) { return ceil_divide(columns, s.stride_x); }

WEFT_INLINE bool window_fits(const PatchShape& s, int64_t rows, int64_t columns) {
  const ConvWindow window = patch_window(s, {0, rows}, {0, columns});
  return window.rows * plane_columns(s, window.columns) * s.stride_x * s.images.c <= kWindowFloats;
}

// planes[channel][phase][row][column] = window[row][column * stride_x + phase][channel]
[[maybe_unused]] void split_channels(const PatchShape& s, const ConvWindow& window, const float* x, float* planes) {
  const int64_t c = s.images.c, columns = plane_columns(s, window.columns), step = s.stride_x * c;
  for (int64_t channel = 0; channel < c; channel++) {
    for (int64_t phase = 0; phase < s.stride_x; phase++) {
      const int64_t count = plane_columns(s, window.columns - phase);
      for (int64_t row = 0; row < window.rows; row++, planes += columns) {
        const float* from = x + (row * window.columns + phase) * c + channel;
#pragma GCC unroll 4
        for (int64_t i = 0; i < count; i++) planes[i] = from[i * step];
      }
    }
  }
}

// From one row of patches to the next: room for what is written behind the last position.
WEFT_INLINE int64_t patch_stride(int64_t positions) { return row_stride(positions + kPanel - 1); }

// patches[k - elements.begin][position], k = (ky*kw + kx)*c + channel, stride patch_stride(positions).
[[maybe_unused]] void make_patches(const PatchShape& s, const ConvBlock& block, Range elements, PatchScratch& scratch,
                                   float* patches) {
  const int64_t rows = length(block.rows), columns = length(block.columns), c = s.images.c;
  const int64_t stride = patch_stride(position_count(block));
  const ConvWindow window = patch_window(s, block.rows, block.columns);
  const bool split = c > 1 || s.stride_x > 1;
  const int64_t width = plane_columns(s, window.columns), plane = window.rows * width;
  const int64_t first_kx = elements.begin / c % s.kw, first_ky = elements.begin / c / s.kw;
  for (int64_t image = block.images.begin; image < block.images.end; image++, patches += rows * columns) {
    pack_window(s.images, image, window, scratch.window, window.columns * c);
    if (split) split_channels(s, window, scratch.window, scratch.planes);
    const float* planes = split ? scratch.planes : scratch.window;  // (c, stride_x, window.rows, width)
    int64_t channel = elements.begin % c, kx = first_kx, ky = first_ky;
    float* out = patches;
    for (int64_t k = elements.begin; k < elements.end; k++, out += stride) {
      const int64_t row = (s.reversed ? s.kh - 1 - ky : ky) * s.dilation_y;
      const int64_t column = (s.reversed ? s.kw - 1 - kx : kx) * s.dilation_x;
      const int64_t phase = s.stride_x == 1 ? 0 : column % s.stride_x;
      const int64_t at = s.stride_x == 1 ? column : column / s.stride_x;
      const float* from = planes + (channel * s.stride_x + phase) * plane + row * width + at;
      float* to = out;
      for (int64_t y = 0; y < rows; y++, from += s.stride_y * width, to += columns)
        for (int64_t i = 0; i < columns; i += kWidth) store(to + i, load(from + i));
      if (++channel == c) {
        channel = 0;
        if (++kx == s.kw) kx = 0, ky++;
      }
    }
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
