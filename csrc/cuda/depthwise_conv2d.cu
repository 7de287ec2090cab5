// Depthwise convolution over (N, H, W, C): forward and the gradient of the input, which is such a walk over the taps
// again, in the opposite direction. A thread makes a few channels of some pixels side by side, which share the loads of
// the kernel; each element is one chain of FMAs over the taps, starting from the bias.
#include "cuda/images.h"
#include "cuda/table.h"
#include "ops/depthwise_conv2d.h"

namespace weft::cuda {
namespace {

// How targets (the pixels that are written), taps and sources meet along one axis. Target t = q * phases + r - before
// meets the taps r, r + phases, ...: the i-th of them at source pixel q * move + start + i * step, if there is one.
struct Axis {
  int targets, sources, taps;
  Divisor phases;
  int before, move, start, step;
};

Axis forward_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
  const auto number = [](int64_t x) { return static_cast<int>(x); };
  return {number(out), number(in), number(kernel), divisor_of(1), 0, number(stride), -number(before), number(dilation)};
}
// An output o sees input o * stride - before + tap * dilation; one of stride and dilation is 1.
Axis backward_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
  const auto number = [](int64_t x) { return static_cast<int>(x); };
  return {number(in), number(out), number(kernel), divisor_of(stride), number(before), 1, 0, -number(dilation)};
}

// The first tap of a target, and where it meets the source.
struct Meeting {
  int tap, source;
};
__device__ __forceinline__ Meeting first_meeting(const Axis& axis, int target) {
  const uint32_t at = static_cast<uint32_t>(target + axis.before), q = axis.phases.quotient(at);
  return {static_cast<int>(at - q * axis.phases.divisor), static_cast<int>(q) * axis.move + axis.start};
}

struct Walk {
  const float* source;  // (n, rows.sources, columns.sources, source_channels), image stride source_stride
  const float* w;       // (rows.taps, columns.taps, tap_channels), strides w_stride_y, w_stride_x
  const float* bias;    // (channels), or null
  float* y;             // (n, rows.targets, columns.targets, channels), image stride y_stride
  int64_t source_stride, y_stride;
  int w_stride_y, w_stride_x;
  int channels, source_channels;
  // Channel j of y is a sum over the `parts` channels j * parts ... of the kernel; the first of them meets the channel
  // j / spread * parts of the source. One of the two is 1.
  int parts;
  Divisor spread;
  Axis rows, columns;
  ImageItems items;
};

template <int width, int pixels>
__device__ void walk_body(const Walk& walk) {
  const Axis &rows = walk.rows, &columns = walk.columns;
  for_each_item(walk.items.count, [&](int64_t i) {
    const Item at = walk.items.at(i);
    const int x = at.x * pixels, channel = at.channel * width;
    const Meeting row_start = first_meeting(rows, at.y), column_start = first_meeting(columns, x);
    Pack<float, width> sum[pixels] = {};
    if (walk.bias) {
      for (int p = 0; p < pixels; p++) sum[p] = load_pack<width>(walk.bias + channel);
    }
    const float* image = walk.source + at.image * walk.source_stride;
    for (int part = 0; part < walk.parts; part++) {
      const float* source = image + walk.spread.quotient(channel) * walk.parts + part;
      const float* w = walk.w + channel * walk.parts + part;
      int row = row_start.source;
      for (int ky = row_start.tap; ky < rows.taps; ky += rows.phases.divisor, row += rows.step) {
        if (static_cast<unsigned>(row) >= static_cast<unsigned>(rows.sources)) continue;
        const float* source_row = source + row * columns.sources * walk.source_channels;
        int column = column_start.source;
        for (int kx = column_start.tap; kx < columns.taps; kx += columns.phases.divisor, column += columns.step) {
          const auto tap = load_pack<width>(w + ky * walk.w_stride_y + kx * walk.w_stride_x);
          Pack<float, width> seen[pixels] = {};
          bool inside[pixels];
#pragma unroll
          for (int p = 0; p < pixels; p++) {  // all loads before the first use
            const int from = column + p * columns.move;
            inside[p] = static_cast<unsigned>(from) < static_cast<unsigned>(columns.sources);
            if (inside[p]) seen[p] = load_pack<width>(source_row + from * walk.source_channels);
          }
#pragma unroll
          for (int p = 0; p < pixels; p++) {
            if (!inside[p]) continue;  // where the tap is infinite, 0 times it is not 0
#pragma unroll
            for (int j = 0; j < width; j++) sum[p].at[j] = fmaf(seen[p].at[j], tap.at[j], sum[p].at[j]);
          }
        }
      }
    }
    float* y = walk.y + at.image * walk.y_stride + (at.y * columns.targets + x) * walk.channels + channel;
#pragma unroll
    for (int p = 0; p < pixels; p++) {
      if (x + p < columns.targets) store_pack(y + p * walk.channels, sum[p]);
    }
  });
}

template <int width>
void start_walk(Walk walk, int64_t images) {
  // Neighbours can share taps only where all targets meet the same ones.
  constexpr int kPixels = 4;
  const bool shared = walk.columns.phases.divisor == 1 && walk.columns.targets >= kPixels;
  const int64_t places = shared ? ceil_divide(walk.columns.targets, kPixels) : walk.columns.targets;
  for_image_items(images, walk.rows.targets, places, walk.channels / width, [&](const ImageItems& items) {
    walk.items = items;
    shared ? launch<Walk, walk_body<width, kPixels>>(blocks_for(items.count), walk)
           : launch<Walk, walk_body<width, 1>>(blocks_for(items.count), walk);
  });
}

void start_walk(const Walk& walk, const ConvShape& s) {
  check_image_size(std::max(s.h * s.w * s.c, s.oh * s.ow * s.f));
  const bool one_kernel_a_channel = s.f == s.c;
  one_kernel_a_channel&& pack_width(s.c) == 4 ? start_walk<4>(walk, s.n) : start_walk<1>(walk, s.n);
}

void depthwise_conv2d(const DepthwiseConv2dArgs& args) {
  const ConvShape& s = args.shape;
  Walk walk{};
  walk.source = args.x, walk.w = args.w, walk.bias = args.bias, walk.y = args.y;
  walk.source_stride = args.x_stride, walk.y_stride = args.y_stride;
  walk.w_stride_y = static_cast<int>(args.w_stride_y), walk.w_stride_x = static_cast<int>(args.w_stride_x);
  walk.channels = static_cast<int>(s.f), walk.source_channels = static_cast<int>(s.c);
  walk.parts = 1, walk.spread = divisor_of(s.f / s.c);
  walk.rows = forward_axis(s.h, s.oh, s.kh, s.stride_y, s.dilation_y, s.top);
  walk.columns = forward_axis(s.w, s.ow, s.kw, s.stride_x, s.dilation_x, s.left);
  start_walk(walk, s);
}

void depthwise_conv2d_grad_input(const DepthwiseConv2dGradInputArgs& args) {
  const ConvShape& s = args.shape;
  Walk walk{};
  walk.source = args.dy, walk.w = args.w, walk.y = args.dx;
  walk.source_stride = args.dy_stride, walk.y_stride = args.dx_stride;
  walk.w_stride_y = static_cast<int>(args.w_stride_y), walk.w_stride_x = static_cast<int>(args.w_stride_x);
  walk.channels = static_cast<int>(s.c), walk.source_channels = static_cast<int>(s.f);
  walk.parts = static_cast<int>(s.f / s.c), walk.spread = divisor_of(1);
  walk.rows = backward_axis(s.h, s.oh, s.kh, s.stride_y, s.dilation_y, s.top);
  walk.columns = backward_axis(s.w, s.ow, s.kw, s.stride_x, s.dilation_x, s.left);
  start_walk(walk, s);
}

}  // namespace

void fill_depthwise_conv2d(KernelTable& table) {
  table.depthwise_conv2d = kernel_of<DepthwiseConv2dArgs, depthwise_conv2d>();
  table.depthwise_conv2d_grad_input = kernel_of<DepthwiseConv2dGradInputArgs, depthwise_conv2d_grad_input>();
}

}  // namespace weft::cuda
