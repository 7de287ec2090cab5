// conv2d_grad_input: dx = the transposed convolution of dy. With stride s, dx falls into s_y*s_x phases of pixels that
// see the same taps of the kernel; each phase is a convolution over dy, with stride 1 and those taps in reverse.
// conv2d_flip_kernel stores the taps of one phase after the other, each in panels (c/16, taps*f, 16).
// A thread's tile is a share of every phase: the same images in each. Of the kernel, a share of its taps.

#include "cpu/kernels/conv_product.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/transpose.h"

namespace weft::WEFT_ISA {
namespace {

// What phase `phase` of `stride` has of one axis: the taps phase, phase + stride, ... of the kernel and the outputs
// first, first + stride, ... of dx.
struct AxisPhase {
  int64_t taps, first, count;
  int64_t before;  // zeros before dy, as seen from the first output; may be negative
};
WEFT_INLINE AxisPhase axis_phase(int64_t phase, int64_t stride, int64_t kernel, int64_t dilation, int64_t padding,
                                 int64_t size) {
  AxisPhase a;
  a.taps = kernel > phase ? ceil_divide(kernel - phase, stride) : 0;
  a.first = ((phase - padding) % stride + stride) % stride;
  a.count = size > a.first ? ceil_divide(size - a.first, stride) : 0;
  a.before = (a.taps - 1) * dilation - (a.first + padding - phase) / stride;
  return a;
}

// Phase (py, px); the flipped kernels of all phases stand one after the other.
struct Phase {
  int64_t py, px;
  AxisPhase y, x;
  int64_t taps_before;  // taps of all phases before this one
};
template <class Body>
WEFT_INLINE void for_each_phase(const ConvShape& s, Body body) {
  Phase p = {};
  for (p.py = 0; p.py < s.stride_y; p.py++) {
    p.y = axis_phase(p.py, s.stride_y, s.kh, s.dilation_y, s.top, s.h);
    for (p.px = 0; p.px < s.stride_x; p.px++) {
      p.x = axis_phase(p.px, s.stride_x, s.kw, s.dilation_x, s.left, s.w);
      body(p);
      p.taps_before += p.y.taps * p.x.taps;
    }
  }
}

Convolution convolution_of(const Conv2dGradInputArgs& args, const Phase& p) {
  const ConvShape& s = args.shape;
  Convolution conv = {};
  conv.shape.n = s.n;
  conv.shape.h = s.oh, conv.shape.w = s.ow, conv.shape.c = s.f;
  conv.shape.oh = p.y.count, conv.shape.ow = p.x.count, conv.shape.f = s.c;
  conv.shape.kh = p.y.taps, conv.shape.kw = p.x.taps;
  conv.shape.stride_y = conv.shape.stride_x = 1;
  conv.shape.dilation_y = s.dilation_y, conv.shape.dilation_x = s.dilation_x;
  conv.shape.top = p.y.before, conv.shape.left = p.x.before;
  conv.images = {s.oh, s.ow, s.f, args.dy, args.argmax, args.dy_stride, args.argmax_stride, args.pool};
  conv.w = args.flipped + panel_size(p.taps_before * s.f, s.c);
  conv.bias = args.bias;
  conv.winograd = args.winograd;
  conv.out.y = args.dx, conv.out.y_stride = args.dx_stride;
  conv.out.saved = args.saved;
  conv.out.row_size = s.h * s.w * s.c;
  conv.out.first = (p.y.first * s.w + p.x.first) * s.c;
  conv.out.row_step = s.stride_y * s.w * s.c;
  conv.out.pixel_step = s.stride_x * s.c;
  conv.out.pool = {1, 1};
  conv.out.act = args.act;
  conv.out.saved_act = args.saved_act;
  conv.out.dropout = args.dropout;
  return conv;
}

int conv2d_grad_input_tiles(const Conv2dGradInputArgs& args, int threads) {
  const ConvShape& s = args.shape;
  int64_t pieces = 0;
  for_each_phase(s, [&](const Phase& p) { pieces = larger(pieces, convolution_pieces(convolution_of(args, p))); });
  return suitable_tiles(s.n * s.oh * s.ow * s.kh * s.kw * s.f * round_up(s.c, kPanel), pieces, threads);
}

void conv2d_grad_input_run(const Conv2dGradInputArgs& args, int tile, int n_tiles) {
  for_each_phase(args.shape, [&](const Phase& p) { convolution_run(convolution_of(args, p), tile, n_tiles); });
}

// --- The kernel ----------------------------------------------------------------------------------------------

// A copied element costs about what 16 multiply-adds do.
constexpr int64_t kCopyWork = 16;

int flip_kernel_tiles(const Conv2dFlipKernelArgs& args, int threads) {
  const ConvShape& s = args.shape;
  return suitable_tiles(conv2d_flipped_size(s) * kCopyWork, s.kh * s.kw * ceil_divide(s.c, kPanel), threads);
}

// One tap for one panel of inputs: y (f, 16) = the transpose of rows [channel, channel + 16) of that tap in w.
void flip_tap(const Conv2dFlipKernelArgs& args, int64_t tap, int64_t channel, float* y) {
  const ConvShape& s = args.shape;
  const int64_t steps = s.kh * s.kw * s.c, count = smaller(kPanel, s.c - channel);
  const auto as_it_is = [](int64_t, int64_t, Vec v) __attribute__((always_inline)) { return v; };
  alignas(64) float edge[kPanel * kPanel] = {};  // the last rows, with rows of 0 below
  for (int64_t f = 0; f < s.f; f += kPanel, y += kPanel * kPanel) {
    const float* x = args.w + f * steps + (tap * s.c + channel) * kPanel;  // (count, 16)
    if (count < kPanel) {
      for (int64_t i = 0; i < count * kPanel; i += kWidth) store(edge + i, load(x + i));
      x = edge;
    }
    transpose_block(x, kPanel, y, kPanel, smaller(kPanel, s.f - f), as_it_is);
  }
}

void flip_kernel_run(const Conv2dFlipKernelArgs& args, int tile, int n_tiles) {
  const ConvShape& s = args.shape;
  const int64_t panels = ceil_divide(s.c, kPanel);
  const Range units = split(s.kh * s.kw * panels, 1, tile, n_tiles);
  for_each_phase(s, [&](const Phase& p) {
    const int64_t taps = p.y.taps * p.x.taps;
    float* flipped = args.flipped + panel_size(p.taps_before * s.f, s.c);  // panels (c/16, taps*f, 16)
    for (int64_t t = 0; t < taps; t++) {
      const int64_t ky = p.py + (p.y.taps - 1 - t / p.x.taps) * s.stride_y;
      const int64_t kx = p.px + (p.x.taps - 1 - t % p.x.taps) * s.stride_x;
      for (int64_t c = 0; c < panels; c++) {
        const int64_t unit = (p.taps_before + t) * panels + c;
        if (unit < units.begin || unit >= units.end) continue;
        flip_tap(args, ky * s.kw + kx, c * kPanel, flipped + (c * taps + t) * s.f * kPanel);
      }
    }
  });
}

}  // namespace

void fill_conv2d_grad_input(KernelTable& table) {
  table.conv2d_grad_input = {conv2d_grad_input_tiles, conv2d_grad_input_run};
  table.conv2d_flip_kernel = {flip_kernel_tiles, flip_kernel_run};
}

}  // namespace weft::WEFT_ISA
