// y = dropout(pool(act(conv(x, w) + bias))) as one product of patches and kernel; a pooling window's pixels are rows of
// one tile. See gemm.h.
#include "cuda/conv_operands.h"
#include "cuda/epilogue.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct Conv2dForwardEpilogue {
  int rows_per_item;  // pool.h * pool.w
  Conv2dForwardArgs args;
  int64_t image_windows;  // windows of an image

  __device__ void store4(int64_t window, int64_t first, const float* c, int c_stride) const {
    const int64_t f = args.shape.f, count = f - first;
    if (count <= 0) return;
    const int64_t image = window / image_windows, column = window % image_windows * f + first;
    const float4 bias = args.bias ? load_float4(args.bias + first) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float4 best = unary_quad(args.act, load_float4(c) + bias);
    int4 place = {0, 0, 0, 0};
    for (int i = 1; i < rows_per_item; i++) {  // the first of equal maxima counts
      const float4 value = unary_quad(args.act, load_float4(c + i * c_stride) + bias);
      keep_larger(best.x, place.x, value.x, i);
      keep_larger(best.y, place.y, value.y, i);
      keep_larger(best.z, place.z, value.z, i);
      keep_larger(best.w, place.w, value.w, i);
    }
    best = dropout_quad(args.dropout, image, image_windows * f, column, best);
    store_quad(args.y + image * args.y_stride + column, count, best);
    if (!args.argmax) return;
    uint8_t* places = args.argmax + image * args.argmax_stride + column;
    places[0] = static_cast<uint8_t>(place.x);
    if (count > 1) places[1] = static_cast<uint8_t>(place.y);
    if (count > 2) places[2] = static_cast<uint8_t>(place.z);
    if (count > 3) places[3] = static_cast<uint8_t>(place.w);
  }

  static __device__ __forceinline__ void keep_larger(float& best, int& place, float value, int i) {
    if (value > best || value != value) best = value, place = i;
  }
};

void conv2d_forward(const Conv2dForwardArgs& args) {
  const ConvShape& s = args.shape;
  const int64_t windows = (s.oh / args.pool.h) * (s.ow / args.pool.w), size = args.pool.h * args.pool.w;
  const int64_t pixels = s.n * windows * size, k = s.kh * s.kw * s.c;
  const Patches<true> x = patches<true>(s, args.x, args.x_stride, args.pool);
  const Panels<false> w = {args.w, k, s.f};
  launch_gemm(pixels, s.f, k, x, w, Conv2dForwardEpilogue{static_cast<int>(size), args, windows});
}

}  // namespace

void fill_conv2d_forward(KernelTable& table) { table.conv2d_forward = kernel_of<Conv2dForwardArgs, conv2d_forward>(); }

}  // namespace weft::cuda
