// What a convolution multiplies, as operands of gemm.h: the patches of its input, never built but read in place, and
// the gradient of its output, through a pooling that follows it. Pixels are counted through all images of a batch.
#pragma once

#include "cuda/divisor.h"
#include "cuda/gemm.h"
#include "cuda/images.h"
#include "ops/conv2d.h"

namespace weft::cuda {

// A pixel of one of several images. Numbers of pixels, and of an image's elements, fit into 32 bits.
struct Pixel {
  int image, y, x;
};

// All pixels of images of `rows` x `columns` pooling windows, one window after another.
struct WindowedPixels {
  Divisor rows, columns, h, w, size;  // a window has h x w = size pixels

  __device__ __forceinline__ Pixel at(int index) const {
    const uint32_t i = static_cast<uint32_t>(index), window = size.quotient(i), within = i - window * size.divisor;
    const uint32_t row = columns.quotient(window), image = rows.quotient(row),
                   y = h.divisor * (row - image * rows.divisor);
    const uint32_t x = w.divisor * (window - row * columns.divisor), dy = w.quotient(within);
    return {static_cast<int>(image), static_cast<int>(y + dy), static_cast<int>(x + within - dy * w.divisor)};
  }
};
// height and width may have a rest that no window covers.
inline WindowedPixels windowed_pixels(int64_t height, int64_t width, const ConvPool& pool) {
  const auto counted = [](int64_t windows) { return divisor_of(windows > 0 ? windows : 1); };
  return {counted(height / pool.h), counted(width / pool.w), divisor_of(pool.h), divisor_of(pool.w),
          divisor_of(pool.h * pool.w)};
}
inline WindowedPixels single_pixels(int64_t height, int64_t width) { return windowed_pixels(height, width, {1, 1}); }

// The place of an element of a kernel (kh, kw, channels) among those of a tap, and the tap's.
struct Tap {
  int y, x, channel;
};
struct Taps {
  Divisor width, channels;
  int height;

  // A tap that is not there has y >= height.
  __device__ __forceinline__ Tap at(int index) const {
    const uint32_t i = static_cast<uint32_t>(index), tap = channels.quotient(i), y = width.quotient(tap);
    return {static_cast<int>(y), static_cast<int>(tap - y * width.divisor),
            static_cast<int>(i - tap * channels.divisor)};
  }
};
inline Taps taps_of(const ConvShape& s, int64_t channels) {
  return {divisor_of(s.kw), divisor_of(channels), static_cast<int>(s.kh)};
}

// Patches (output pixels, kh*kw*c) of x (n, h, w, c): line i is what output pixel i sees. They are along the reduced
// axis in a forward pass, and along the free one in the gradient of the kernel.
template <bool along_reduced>
struct Patches {
  static constexpr bool kAlongReduced = along_reduced, kCopied = true;
  ConvShape s;
  const float* x;  // (n, h, w, c), image stride x_stride
  int64_t x_stride, pixels;
  WindowedPixels order;
  Taps taps;

  struct Cursor {};
  __device__ __forceinline__ Cursor cursor(int, int) const { return {}; }
  template <int step_k>
  __device__ __forceinline__ void advance(Cursor&) const {}
  __device__ __forceinline__ bool has_whole_quads() const { return static_cast<int>(s.c) % 4 == 0; }
  template <bool whole>
  __device__ __forceinline__ void copy4(float* to, const QuadPlace& quad, const Cursor&) const {
    const int line = quad.line + quad.on;
    const bool exists = quad.exists && line < static_cast<int>(pixels);
    const Pixel out = order.at(line);
    if constexpr (whole) {  // all four in one pixel
      const Place from = input(out, quad.place);
      copy_async_16(to, from.element, exists && from.is_inside ? 16 : 0);
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const Place from = input(out, quad.place + i);
        copy_async_4(to + i, from.element, exists && from.is_inside);
      }
    }
  }

 private:
  // What an output pixel sees at a place of the kernel; outside of the image, or behind the last tap, it is not read.
  struct Place {
    const float* element;
    bool is_inside;
  };
  __device__ __forceinline__ Place input(const Pixel& out, int place) const {
    const Tap tap = taps.at(place);
    const int h = static_cast<int>(s.h), w = static_cast<int>(s.w);
    const int y =
        out.y * static_cast<int>(s.stride_y) - static_cast<int>(s.top) + tap.y * static_cast<int>(s.dilation_y);
    const int at =
        out.x * static_cast<int>(s.stride_x) - static_cast<int>(s.left) + tap.x * static_cast<int>(s.dilation_x);
    const bool is_inside = tap.y < taps.height && y >= 0 && y < h && at >= 0 && at < w;
    const int within = is_inside ? (y * w + at) * static_cast<int>(s.c) + tap.channel : 0;
    return {x + (is_inside ? out.image * x_stride + within : 0), is_inside};
  }
};
template <bool along_reduced>
Patches<along_reduced> patches(const ConvShape& s, const float* x, int64_t x_stride, const ConvPool& pool) {
  check_image_size(s.h * s.w * s.c);
  const int64_t pixels = s.n * (s.oh / pool.h * pool.h) * (s.ow / pool.w * pool.w);
  return {s, x, x_stride, pixels, windowed_pixels(s.oh, s.ow, pool), taps_of(s, s.c)};
}

// The gradient of the output before pooling, (n, oh, ow, f), from that behind it: it went to the maxima.
struct OutputGrad {
  ConvShape s;
  Divisor pool_h, pool_w;
  const float* dy;        // (n, oh/pool.h, ow/pool.w, f), image stride dy_stride
  const uint8_t* argmax;  // as dy, image stride argmax_stride; null without pooling
  int64_t dy_stride, argmax_stride;

  // Channels [first, first + 4) of an output pixel, 0 where there are none.
  __device__ __forceinline__ float4 at(const Pixel& p, int first) const {
    float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const int h = static_cast<int>(pool_h.divisor), w = static_cast<int>(pool_w.divisor), f = static_cast<int>(s.f);
    const int y = static_cast<int>(pool_h.quotient(static_cast<uint32_t>(p.y)));
    const int x = static_cast<int>(pool_w.quotient(static_cast<uint32_t>(p.x)));
    const int height = static_cast<int>(pool_h.quotient(static_cast<uint32_t>(s.oh)));
    const int width = static_cast<int>(pool_w.quotient(static_cast<uint32_t>(s.ow)));
    if (first >= f || y >= height || x >= width) return quad;
    const int index = (y * width + x) * f + first;
    const float* from = dy + p.image * dy_stride + index;
    if (f % 4 == 0) {
      quad = *reinterpret_cast<const float4*>(from);
    } else {
      quad.x = from[0];
      if (first + 1 < f) quad.y = from[1];
      if (first + 2 < f) quad.z = from[2];
      if (first + 3 < f) quad.w = from[3];
    }
    if (!argmax) return quad;
    const uint8_t* places = argmax + p.image * argmax_stride + index;
    uint32_t packed = 0;
    if (f % 4 == 0) {
      packed = *reinterpret_cast<const uint32_t*>(places);
    } else {
      for (int i = 0; i < 4 && first + i < f; i++) packed |= uint32_t{places[i]} << 8 * i;
    }
    const uint32_t place = static_cast<uint32_t>((p.y - y * h) * w + p.x - x * w);
    if ((packed & 0xFF) != place) quad.x = 0.0f;
    if ((packed >> 8 & 0xFF) != place) quad.y = 0.0f;
    if ((packed >> 16 & 0xFF) != place) quad.z = 0.0f;
    if (packed >> 24 != place) quad.w = 0.0f;
    return quad;
  }
};
inline OutputGrad output_grad(const ConvShape& s, const ConvPool& pool, const float* dy, int64_t dy_stride,
                              const uint8_t* argmax, int64_t argmax_stride) {
  check_image_size(s.oh * s.ow * s.f);
  return {s, divisor_of(pool.h), divisor_of(pool.w), dy, argmax, dy_stride, argmax_stride};
}

}  // namespace weft::cuda
