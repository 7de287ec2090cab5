// conv2d_forward: y = dropout(pool(act(conv(x, w) + bias))), images in NHWC, the kernel in panels. With pooling, the
// rows of a row of windows are made in L1 and only their maxima are stored. See conv_product.h for the rest.

#include "cpu/kernels/conv_product.h"
#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {
namespace {

Convolution forward_of(const Conv2dForwardArgs& args) {
  const ConvShape& s = args.shape;
  Convolution conv = {};
  conv.shape = s;
  conv.images = {s.h, s.w, s.c, args.x, nullptr, args.x_stride, 0, {1, 1}};
  conv.w = args.w;
  conv.bias = args.bias;
  conv.winograd = args.winograd;
  conv.out.y = args.y, conv.out.y_stride = args.y_stride;
  conv.out.argmax = args.argmax, conv.out.argmax_stride = args.argmax_stride;
  conv.out.pixel_step = s.f;
  conv.out.row_step = s.ow / args.pool.w * s.f;
  conv.out.row_size = s.oh / args.pool.h * conv.out.row_step;
  conv.out.pool = args.pool;
  conv.out.act = args.act;
  conv.out.dropout = args.dropout;
  return conv;
}

int conv2d_forward_tiles(const Conv2dForwardArgs& args, int threads) {
  const ConvShape& s = args.shape;
  const int64_t work = s.n * s.oh * s.ow * s.kh * s.kw * s.c * round_up(s.f, kPanel);
  return suitable_tiles(work, convolution_pieces(forward_of(args)), threads);
}

void conv2d_forward_run(const Conv2dForwardArgs& args, int tile, int n_tiles) {
  convolution_run(forward_of(args), tile, n_tiles);
}

}  // namespace

void fill_conv2d_forward(KernelTable& table) { table.conv2d_forward = {conv2d_forward_tiles, conv2d_forward_run}; }

}  // namespace weft::WEFT_ISA
