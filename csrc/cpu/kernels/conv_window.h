// Windows of the images that a convolution reads, copied into a thread's scratch with zeros where they reach
// beyond the border, so that no inner loop knows of borders. The images are values in memory, or the gradient
// before a max-pooling, which exists nowhere else: it is expanded from the pooled gradient and the places of the
// maxima.
#pragma once

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/places.h"
#include "cpu/kernels/tiling.h"
#include "ops/conv2d.h"

namespace weft::WEFT_ISA {
struct ConvImages {
  int64_t h, w, c;        // of one image, before pooling
  const float* x;         // (n, h, w, c); with pooling (n, h/pool.h, w/pool.w, c); image stride x_stride
  const uint8_t* argmax;  // (n, h/pool.h, w/pool.w, c), image stride argmax_stride; null without pooling
  int64_t x_stride, argmax_stride;
  ConvPool pool;  // 1 x 1 without pooling
};

namespace {

// Both operands of the kernel's gradient.
WEFT_INLINE ConvImages images_of_x(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  return {s.h, s.w, s.c, args.x, nullptr, args.x_stride, 0, {1, 1}};
}
WEFT_INLINE ConvImages images_of_dy(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  return {s.oh, s.ow, s.f, args.dy, args.argmax, args.dy_stride, args.argmax_stride, args.pool};
}

// Rows [row, row + rows) and columns [column, column + columns) of an image; they may lie outside of it.
struct ConvWindow {
  int64_t row, rows, column, columns;
};

// Floats that pack_window may write behind the last element of a window.
constexpr int64_t kWindowSlack = kPanel;

// Writes whole vectors, up to kWidth - 1 floats behind the last.
WEFT_INLINE void zero_floats(float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kWidth) store(y + i, Vec{});
}

// Reads nothing behind x[n - 1] and writes nothing behind y[n - 1].
WEFT_INLINE void copy_floats(float* y, const float* x, int64_t n) {
  if (n < kWidth) {
    if (n > 0) copy_few(y, x, n);
    return;
  }
  for (int64_t i = 0; i + kWidth < n; i += kWidth) store(y + i, load(x + i));
  store(y + n - kWidth, load(x + n - kWidth));
}

// The pooled gradient where the place of the maximum is `here`, else 0: of sixteen elements, or of the n < 16 that
// are readable.
WEFT_INLINE Chunk gradient_at(const float* dy, const uint8_t* argmax, int64_t n, int here) {
  const bool whole = n >= kChunk;
  const Chunk value = whole ? load_chunk(dy) : load_partial_chunk(dy, n, 0);
  const IntChunk places = whole ? load_places(argmax) : load_few_places(argmax, larger(0, n));
  return map(value, places,
             [here](Vec v, IntVec place) __attribute__((always_inline)) { return place == here ? v : Vec{}; });
}

// One row of the gradient before pooling, columns [column, column + columns), all of them within the windows:
// where the maximum was, the pooled gradient, else 0. Writes up to 15 floats behind the last.
inline void expand_row(const ConvImages& images, int64_t image, int64_t row, int64_t column, int64_t columns,
                       float* out) {
  const ConvPool pool = images.pool;
  const int64_t c = images.c, windows = images.w / pool.w;
  const int64_t readable = round_up(images.h / pool.h * windows * c, kPanel);  // elements of an image
  const float* dy = images.x + image * images.x_stride;                        // (readable)
  const uint8_t* argmax = images.argmax + image * images.argmax_stride;        // (readable)
  const int64_t first_place = row % pool.h * pool.w;
  int64_t at = (row / pool.h * windows + column / pool.w) * c;  // of the window in both
  int64_t px = column % pool.w;
  // Pixel after pixel: where c is no multiple of 16, each overwrites what the one before has written too much.
  for (int64_t x = 0; x < columns; x++, out += c) {
    const int here = static_cast<int>(first_place + px);
    for (int64_t k = 0; k < c; k += kPanel)
      store_chunk(out + k, gradient_at(dy + at + k, argmax + at + k, readable - at - k, here));
    if (++px == pool.w) {
      px = 0;
      at += c;
    }
  }
}

// scratch = one window of image `image`: (rows, columns, c) with row_stride >= columns*c floats from one row to
// the next, zeros outside of the image (with pooling: of the windows). What stands between two rows is
// unspecified; up to kWindowSlack floats behind the last element are written.
inline void pack_window(const ConvImages& images, int64_t image, ConvWindow window, float* scratch,
                        int64_t row_stride) {
  const int64_t c = images.c;
  const int64_t height = images.h / images.pool.h * images.pool.h, width = images.w / images.pool.w * images.pool.w;
  const int64_t before = smaller(larger(0, -window.column), window.columns);
  const int64_t inside = larger(0, smaller(window.columns, width - window.column) - before);
  const int64_t after = window.columns - before - inside;
  const float* x = images.x + image * images.x_stride;  // (h, w, c)
  for (int64_t r = 0; r < window.rows; r++, scratch += row_stride) {
    const int64_t row = window.row + r, column = window.column + before;
    if (row < 0 || row >= height || inside == 0) {
      zero_floats(scratch, window.columns * c);
      continue;
    }
    // From left to right, because zeros and expanded pixels are written in whole vectors.
    zero_floats(scratch, before * c);
    float* y = scratch + before * c;
    if (images.argmax != nullptr)
      expand_row(images, image, row, column, inside, y);
    else
      copy_floats(y, x + (row * images.w + column) * c, inside * c);
    zero_floats(y + inside * c, after * c);
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
