// The transposed convolution of dy, as the gradient of the input or as conv2d_transpose's forward pass: each input
// pixel gathers what its taps saw. See gemm.h.
#include "cuda/conv_operands.h"
#include "cuda/epilogue.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

// flipped: panels (c/16, kh*kw*f, 16), so that the taps and filters are the reduced axis.
__device__ void conv2d_flip_kernel_body(const Conv2dFlipKernelArgs& args) {
  const ConvShape& s = args.shape;
  const int64_t taps = s.kh * s.kw, rows = taps * s.f;
  for_each_item(conv2d_flipped_size(s), [&](int64_t i) {
    const int64_t row = i / kPanel % rows, channel = i / (kPanel * rows) * kPanel + i % kPanel;
    const int64_t tap = row / s.f, filter = row % s.f;
    const int64_t from = filter / kPanel * kPanel * taps * s.c + (tap * s.c + channel) * kPanel + filter % kPanel;
    args.flipped[i] = channel < s.c ? args.w[from] : 0.0f;
  });
}

void conv2d_flip_kernel(const Conv2dFlipKernelArgs& args) {
  launch<Conv2dFlipKernelArgs, conv2d_flip_kernel_body>(blocks_for(conv2d_flipped_size(args.shape)), args);
}

// (input pixels, kh*kw*f): what reaches an input pixel.
struct Contributions {
  static constexpr bool kAlongReduced = true, kCopied = false;
  OutputGrad dy;
  WindowedPixels order;
  Taps taps;
  Divisor stride_y, stride_x;

  __device__ __forceinline__ float4 load4(int pixel, int first) const {
    const ConvShape& s = dy.s;
    if (pixel >= static_cast<int>(s.n * s.h * s.w)) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const Pixel in = order.at(pixel);
    return static_cast<int>(s.f) % 4 == 0 ? from_tap(in, taps.at(first)) : from_taps(in, first);
  }

 private:
  // Rare: a loop, so that it is not long in each of the places where a quad is loaded.
  __device__ __forceinline__ float4 from_taps(const Pixel& in, int first) const {
    float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 1
    for (int i = 0; i < 4; i++) {
      const float x = from_tap(in, taps.at(first + i)).x;
      quad = make_float4(i == 0 ? x : quad.x, i == 1 ? x : quad.y, i == 2 ? x : quad.z, i == 3 ? x : quad.w);
    }
    return quad;
  }
  __device__ __forceinline__ float4 from_tap(const Pixel& in, const Tap& tap) const {
    const ConvShape& s = dy.s;
    const int y = in.y + static_cast<int>(s.top) - tap.y * static_cast<int>(s.dilation_y);
    const int x = in.x + static_cast<int>(s.left) - tap.x * static_cast<int>(s.dilation_x);
    const uint32_t oy = stride_y.quotient(static_cast<uint32_t>(y)), ox = stride_x.quotient(static_cast<uint32_t>(x));
    const bool exists = tap.y < taps.height && y >= 0 && x >= 0 && oy * stride_y.divisor == static_cast<uint32_t>(y) &&
                        ox * stride_x.divisor == static_cast<uint32_t>(x) && oy < static_cast<uint32_t>(s.oh) &&
                        ox < static_cast<uint32_t>(s.ow);
    if (!exists) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    return dy.at({in.image, static_cast<int>(oy), static_cast<int>(ox)}, tap.channel);
  }
};

struct Conv2dGradInputEpilogue {
  static constexpr int rows_per_item = 1;
  Conv2dGradInputArgs args;

  __device__ void store4(int64_t pixel, int64_t first, const float* c, int) const {
    const ConvShape& s = args.shape;
    const int64_t image_pixels = s.h * s.w, count = s.c - first;
    if (count <= 0) return;
    const int64_t image = pixel / image_pixels, column = pixel % image_pixels * s.c + first;
    const int64_t at = image * args.dx_stride + column;
    float4 value = load_float4(c);
    if (args.bias) value = value + load_float4(args.bias + first);
    value = dropout_quad(args.dropout, image, image_pixels * s.c, column, unary_quad(args.act, value));
    if (args.saved) {
      value = stored_grad_quad(args.saved_act, args.dropout, value, load_quad(args.saved + at, count));
    }
    store_quad(args.dx + at, count, value);
  }
};

void conv2d_grad_input(const Conv2dGradInputArgs& args) {
  const ConvShape& s = args.shape;
  const Contributions dy = {output_grad(s, args.pool, args.dy, args.dy_stride, args.argmax, args.argmax_stride),
                            single_pixels(s.h, s.w), taps_of(s, s.f), divisor_of(s.stride_y), divisor_of(s.stride_x)};
  const int64_t k = s.kh * s.kw * s.f;
  launch_gemm(s.n * s.h * s.w, s.c, k, dy, Panels<false>{args.flipped, k, s.c}, Conv2dGradInputEpilogue{args});
}

}  // namespace

void fill_conv2d_grad_input(KernelTable& table) {
  table.conv2d_flip_kernel = kernel_of<Conv2dFlipKernelArgs, conv2d_flip_kernel>();
  table.conv2d_grad_input = kernel_of<Conv2dGradInputArgs, conv2d_grad_input>();
}

}  // namespace weft::cuda
