// What a convolution multiplies, as operands of gemm.h: the patches of its input, never built but read in place, and
// the gradient of its output, through a pooling that follows it. Pixels are counted through all images of a batch.
#pragma once

#include "cuda/gemm.h"
#include "ops/conv2d.h"

namespace weft::cuda {

// A pixel of n images of `height` x `width`. Numbers of pixels fit into 32 bits, which divide faster.
struct Pixel {
  int image, y, x;
};
__device__ __forceinline__ Pixel pixel_at(int64_t index, int height, int width) {
  const int i = static_cast<int>(index), row = i / width;
  return {row / height, row % height, i % width};
}

// The pixels that pooling windows are made of come one window after another: `index` / size is the window, of
// `height` / h x `width` / w in each image.
__device__ __forceinline__ Pixel pixel_of_window(int64_t index, const ConvPool& pool, int height, int width) {
  const int h = static_cast<int>(pool.h), w = static_cast<int>(pool.w), within = static_cast<int>(index % (h * w));
  const Pixel window = pixel_at(index / (h * w), height / h, width / w);
  return {window.image, window.y * h + within / w, window.x * w + within % w};
}

// Patches (output pixels, kh*kw*c) of x (n, h, w, c): line i is what output pixel i sees. They are along the reduced
// axis in a forward pass, and along the free one in the gradient of the kernel.
template <bool along_reduced>
struct Patches {
  static constexpr bool kAlongReduced = along_reduced;
  ConvShape s;
  const float* x;  // (n, h, w, c), image stride x_stride
  int64_t x_stride, pixels;
  ConvPool pool;  // says in which order the pixels come

  __device__ __forceinline__ float4 load4(int64_t pixel, int64_t first) const {
    float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (pixel >= pixels) return quad;
    const Pixel out = pixel_of_window(pixel, pool, static_cast<int>(s.oh), static_cast<int>(s.ow));
    const int i = static_cast<int>(first), c = static_cast<int>(s.c);
    if (c % 4 == 0) {  // all four in one pixel
      const float* from = input(out, i / c);
      return from ? *reinterpret_cast<const float4*>(from + i % c) : quad;
    }
    quad.x = element(out, i);
    quad.y = element(out, i + 1);
    quad.z = element(out, i + 2);
    quad.w = element(out, i + 3);
    return quad;
  }

 private:
  // The input pixel under a tap of the kernel; null outside of the image, or behind the last tap.
  __device__ __forceinline__ const float* input(const Pixel& out, int tap) const {
    const int kw = static_cast<int>(s.kw);
    const int64_t iy = out.y * s.stride_y - s.top + tap / kw * s.dilation_y;
    const int64_t ix = out.x * s.stride_x - s.left + tap % kw * s.dilation_x;
    if (tap >= s.kh * s.kw || iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) return nullptr;
    return x + out.image * x_stride + (iy * s.w + ix) * s.c;
  }
  __device__ __forceinline__ float element(const Pixel& out, int i) const {
    const int c = static_cast<int>(s.c);
    const float* from = input(out, i / c);
    return from ? from[i % c] : 0.0f;
  }
};

// The gradient of the output before pooling, (n, oh, ow, f), from that behind it: it went to the maxima.
struct OutputGrad {
  ConvShape s;
  ConvPool pool;
  const float* dy;        // (n, oh/pool.h, ow/pool.w, f), image stride dy_stride
  const uint8_t* argmax;  // as dy, image stride argmax_stride; null without pooling
  int64_t dy_stride, argmax_stride;

  // Channels [first, first + 4) of an output pixel, 0 where there are none.
  __device__ __forceinline__ float4 at(const Pixel& p, int first) const {
    float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const int h = static_cast<int>(pool.h), w = static_cast<int>(pool.w), f = static_cast<int>(s.f);
    const int64_t y = p.y / h, x = p.x / w, width = s.ow / w;
    if (first >= f || y >= s.oh / h || x >= width) return quad;
    const int64_t index = (y * width + x) * f + first;
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
    const int place = p.y % h * w + p.x % w;
    if (places[0] != place) quad.x = 0.0f;
    if (first + 1 >= f || places[1] != place) quad.y = 0.0f;
    if (first + 2 >= f || places[2] != place) quad.z = 0.0f;
    if (first + 3 >= f || places[3] != place) quad.w = 0.0f;
    return quad;
  }
};

}  // namespace weft::cuda
