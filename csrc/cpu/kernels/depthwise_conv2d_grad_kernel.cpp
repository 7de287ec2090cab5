// The gradient of a depthwise convolution's kernel: for sixteen elements of each of a few taps, sums in registers over
// all images, rows and columns, in this order: one chain of FMAs for each element.
// Tiles: (sixteen elements, group of taps); with more threads than those, the groups are smaller.
#include "cpu/kernels/depthwise.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/depthwise_conv2d.h"

namespace weft::WEFT_ISA {
namespace {

// Taps of a group: as many as the registers hold sums for, then 3, then 1.
constexpr int kMostTaps = kParts == 1 ? 9 : 3;

// Some neighbouring outputs of a row: columns [begin, end).
struct Columns {
  const float *x, *dy;  // of the image
  int64_t row, column;  // the input pixel of tap 0 at column 0
  int64_t dy_row;       // elements before the row of outputs
  int64_t begin, end;
};

// kTaps taps of the kernel, in its order, from tap `first`.
template <int kTaps>
struct TapGroup {
  int64_t y[kTaps], x[kTaps];  // distances from tap 0, in pixels
  int64_t offset[kTaps];       // the same in elements

  TapGroup(const ConvShape& s, int64_t first) {
    for (int t = 0; t < kTaps; t++) {
      y[t] = (first + t) / s.kw * s.dilation_y;
      x[t] = (first + t) % s.kw * s.dilation_x;
      offset[t] = (y[t] * s.w + x[t]) * s.c;
    }
  }
};

// sum[t] += x * dy over some outputs of a row. kChecked: taps may lie outside of the image.
template <bool kChecked, class Channels, int kTaps>
WEFT_INLINE void add_columns(const ConvShape& s, const Channels& channels, const TapGroup<kTaps>& taps,
                             const Columns& at, Chunk (&sum)[kTaps]) {
  const float *x_end = at.x + padded_size(s.h, s.w, s.c), *dy_end = at.dy + padded_size(s.oh, s.ow, s.f);
  for (int64_t ox = at.begin; ox < at.end; ox++) {
    const Chunk d = load_channels(at.dy + at.dy_row + ox * s.f + channels.first, s.f - channels.first, dy_end);
    const int64_t column = at.column + ox * s.stride_x;
    const float* pixel = at.x + (at.row * s.w + column) * s.c;
    WEFT_UNROLL
    for (int t = 0; t < kTaps; t++) {
      if constexpr (kChecked) {
        const int64_t y = at.row + taps.y[t], x = column + taps.x[t];
        if (y < 0 || y >= s.h || x < 0 || x >= s.w) continue;
      }
      const Chunk x = channels.load(pixel + taps.offset[t], x_end);
      sum[t] = map(x, d, sum[t], [](Vec a, Vec b, Vec c) { return multiply_add(a, b, c); });
    }
  }
}

template <int kTaps, class Channels>
void gradient_of_taps(const DepthwiseConv2dGradKernelArgs& args, const Channels& channels, int64_t first) {
  const ConvShape& s = args.shape;
  const TapGroup<kTaps> taps(s, first);
  int64_t nearest = taps.x[0], farthest = taps.x[0];
  for (int t = 1; t < kTaps; t++) nearest = smaller(nearest, taps.x[t]), farthest = larger(farthest, taps.x[t]);
  // Outputs whose taps all lie within the width of the image.
  const int64_t begin = s.left > nearest ? smaller(s.ow, ceil_divide(s.left - nearest, s.stride_x)) : 0;
  const int64_t room = s.w - 1 - farthest + s.left;
  const int64_t end = larger(begin, room < 0 ? 0 : smaller(s.ow, room / s.stride_x + 1));

  Chunk sum[kTaps] = {};
  for (int64_t image = 0; image < s.n; image++) {
    for (int64_t oy = 0; oy < s.oh; oy++) {
      const int64_t row = oy * s.stride_y - s.top;
      const bool inside = row + taps.y[0] >= 0 && row + taps.y[kTaps - 1] < s.h;
      Columns at = {args.x + image * args.x_stride, args.dy + image * args.dy_stride, row, -s.left, oy * s.ow * s.f, 0,
                    inside ? begin : s.ow};
      add_columns<true>(s, channels, taps, at, sum);
      if (!inside) continue;
      at.begin = begin, at.end = end;
      add_columns<false>(s, channels, taps, at, sum);
      at.begin = end, at.end = s.ow;
      add_columns<true>(s, channels, taps, at, sum);
    }
  }
  const int64_t left = s.f - channels.first;
  WEFT_UNROLL
  for (int t = 0; t < kTaps; t++) {
    float* grad = args.grad + (first + t) / s.kw * args.w_stride_y + (first + t) % s.kw * args.w_stride_x;
    store_partial_chunk(grad + channels.first, left, sum[t]);
  }
}

// The taps of a kernel, cut into groups of `most`, 3 and 1.
struct TapGroups {
  int64_t taps, most;

  int64_t large() const { return taps / most; }
  int64_t small() const { return taps % most / 3; }
  int64_t count() const { return large() + small() + taps % most % 3; }
};

template <class Channels>
void gradient_of_group(const DepthwiseConv2dGradKernelArgs& args, const Channels& channels, TapGroups groups,
                       int64_t group) {
  const int64_t large = groups.large() * groups.most;
  if (group < groups.large()) {
    if (groups.most == 3) return gradient_of_taps<3>(args, channels, 3 * group);
    return gradient_of_taps<kMostTaps>(args, channels, kMostTaps * group);
  }
  group -= groups.large();
  if (group < groups.small()) return gradient_of_taps<3>(args, channels, large + 3 * group);
  gradient_of_taps<1>(args, channels, large + 3 * groups.small() + group - groups.small());
}

int depthwise_grad_kernel_tiles(const DepthwiseConv2dGradKernelArgs& args, int threads) {
  const ConvShape& s = args.shape;
  const int64_t chunks = ceil_divide(s.f, kChunk), taps = s.kh * s.kw;
  const int64_t units = chunks * TapGroups{taps, kMostTaps}.count();
  const int64_t work = 2 * s.n * s.oh * s.ow * taps * chunks * kChunk;  // an FMA here costs a load
  return suitable_tiles(work, units < threads ? chunks * TapGroups{taps, 3}.count() : units, threads);
}

void depthwise_grad_kernel_run(const DepthwiseConv2dGradKernelArgs& args, int tile, int n_tiles) {
  const ConvShape& s = args.shape;
  const int64_t chunks = ceil_divide(s.f, kChunk);
  TapGroups groups = {s.kh * s.kw, kMostTaps};
  if (chunks * groups.count() < n_tiles) groups.most = 3;
  const Range units = split(chunks * groups.count(), 1, tile, n_tiles);
  for (Walk at = walk(units, groups.count()); at.left > 0; advance(at)) {
    with_channels(at.outer_index * kChunk, s.f, s.f / s.c, s.c,
                  [&](const auto& channels) { gradient_of_group(args, channels, groups, at.inner_index); });
  }
}

}  // namespace

void fill_depthwise_conv2d_grad_kernel(KernelTable& table) {
  table.depthwise_conv2d_grad_kernel = {depthwise_grad_kernel_tiles, depthwise_grad_kernel_run};
}

}  // namespace weft::WEFT_ISA
