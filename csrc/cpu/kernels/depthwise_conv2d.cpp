// Depthwise convolution over (N, H, W, C): forward and the gradient of the input, which is such a convolution again,
// with the taps in the opposite order. Vectors run over channels; a few pixels side by side share the loads of the
// kernel, and each output is one chain of FMAs over the taps, starting from the bias.
// Tiles: rows of images.
#include "ops/depthwise_conv2d.h"

#include "cpu/kernels/depthwise.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

// How outputs and taps meet the source along one axis: output first + k*step, k < count, sees source pixel
// source + k*move + i*source_step through tap first_tap + i*tap_step, i < taps.
struct Axis {
  int64_t first, step, count;
  int64_t first_tap, tap_step, taps;
  int64_t source, move, source_step, size;  // size: pixels of the source
};

WEFT_INLINE Axis forward_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                              int64_t before) {
  return {0, 1, out, 0, 1, kernel, -before, stride, dilation, in};
}

// Input pixels `phase`, phase + stride, ... all meet the same taps.
WEFT_INLINE Axis backward_axis(int64_t phase, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                               int64_t before) {
  const int64_t tap = (phase + before) % stride;
  const int64_t count = phase < in ? ceil_divide(in - phase, stride) : 0;
  const int64_t taps = tap < kernel ? ceil_divide(kernel - tap, stride) : 0;
  return {phase, stride, count, tap, stride, taps, (phase + before - tap) / stride, 1, -dilation, out};
}

// The i for which output k sees a pixel that exists.
WEFT_INLINE Range taps_at(const Axis& a, int64_t k) {
  const int64_t source = a.source + k * a.move;
  int64_t begin = 0, end = 0;
  if (a.source_step > 0) {
    if (source < 0) begin = ceil_divide(-source, a.source_step);
    if (source < a.size) end = (a.size - 1 - source) / a.source_step + 1;
  } else {
    if (source >= a.size) begin = ceil_divide(source - a.size + 1, -a.source_step);
    if (source >= 0) end = source / -a.source_step + 1;
  }
  return {begin, smaller(end, a.taps)};
}

// The k for which all taps see pixels that exist.
WEFT_INLINE Range whole_outputs(const Axis& a) {
  const int64_t reach = larger(0, a.taps - 1) * a.source_step;
  const int64_t low = a.source + smaller(0, reach), high = a.source + larger(0, reach);
  const int64_t begin = smaller(a.count, low < 0 ? ceil_divide(-low, a.move) : 0);
  const int64_t end = high < a.size ? smaller(a.count, (a.size - 1 - high) / a.move + 1) : 0;
  return {begin, larger(begin, end)};
}

// One row of outputs.
struct Line {
  const float* source;  // the image
  int64_t source_row, source_channels, source_end;
  const float* w;
  int64_t w_stride_y, w_stride_x;
  int64_t f;  // elements of a tap
  const float* bias;
  float* y;                          // the image
  int64_t y_row, y_channels, y_end;  // y_end: whole chunks may be stored below it
  int64_t gathered;                  // outputs are sums of that many elements side by side
  Axis rows, columns;
  int64_t k;  // of the axis of rows
};

// y[(j + i) / m] = the sum of the elements it is made of, of which these are some.
void gather(float* y, int64_t j, int64_t n, int64_t m, Chunk sums) {
  float lanes[kChunk];
  store_chunk(lanes, sums);
  for (int64_t i = 0, c = j / m, part = j % m; i < n; i++) {
    y[c] = part == 0 ? lanes[i] : y[c] + lanes[i];
    if (++part == m) part = 0, c++;
  }
}

// Outputs k, k + 1, ... of `columns`, all of which see the taps `taps`.
template <class Channels, int kPixels>
WEFT_INLINE void pixels(const Line& line, const Channels& channels, Range taps, int64_t k) {
  const Axis &rows = line.rows, &columns = line.columns;
  const int64_t j = channels.first, left = line.f - j;
  const int64_t move = columns.move * line.source_channels;
  const int64_t source_step = columns.source_step * line.source_channels;
  const int64_t w_step = columns.tap_step * line.w_stride_x;
  const float* end = line.source + line.source_end;
  const Range row_taps = taps_at(rows, line.k);
  Chunk sum[kPixels];
  const float* bias = line.bias;
  const Chunk start = bias ? load_channels(bias + j, left, bias + round_up(line.f, kChunk)) : Chunk{};
  WEFT_UNROLL
  for (int p = 0; p < kPixels; p++) sum[p] = start;
  for (int64_t r = row_taps.begin; r < row_taps.end; r++) {
    const int64_t row = rows.source + line.k * rows.move + r * rows.source_step;
    const int64_t column = columns.source + k * columns.move + taps.begin * columns.source_step;
    const float* source = line.source + row * line.source_row + column * line.source_channels;
    const float* w = line.w + (rows.first_tap + r * rows.tap_step) * line.w_stride_y +
                     (columns.first_tap + taps.begin * columns.tap_step) * line.w_stride_x + j;
    for (int64_t i = taps.begin; i < taps.end; i++, source += source_step, w += w_step) {
      const Chunk tap = left >= kChunk ? load_chunk(w) : load_partial_chunk(w, left, 0.0f);
      const float* x = source;
      WEFT_UNROLL
      for (int p = 0; p < kPixels; p++, x += move) {
        sum[p] = map(channels.load(x, end), tap, sum[p], [](Vec a, Vec b, Vec c) { return multiply_add(a, b, c); });
      }
    }
  }
  WEFT_UNROLL
  for (int p = 0; p < kPixels; p++) {
    const int64_t at =
        (rows.first + line.k * rows.step) * line.y_row + (columns.first + (k + p) * columns.step) * line.y_channels;
    if (line.gathered > 1) {
      gather(line.y + at, j, smaller(left, kChunk), line.gathered, sum[p]);
    } else {
      store_channels(line.y + at + j, left, line.y + line.y_end, sum[p]);
    }
  }
}

template <class Channels>
void line_of_channels(const Line& line, const Channels& channels) {
  const Range whole = whole_outputs(line.columns);
  const Range all = {0, line.columns.taps};
  constexpr int kMost = 8 / kParts;  // chains that hide the latency of an FMA, within the registers
  int64_t k = 0;
  for (; k < whole.begin; k++) pixels<Channels, 1>(line, channels, taps_at(line.columns, k), k);
  for (; k + kMost <= whole.end; k += kMost) pixels<Channels, kMost>(line, channels, all, k);
  if constexpr (kMost >= 8) {
    if (k + 4 <= whole.end) pixels<Channels, 4>(line, channels, all, k), k += 4;
  }
  if (k + 2 <= whole.end) pixels<Channels, 2>(line, channels, all, k), k += 2;
  for (; k < line.columns.count; k++) pixels<Channels, 1>(line, channels, taps_at(line.columns, k), k);
}

void whole_line(const Line& line, int64_t multiplier) {
  for (int64_t j = 0; j < line.f; j += kChunk) {
    with_channels(j, line.f, multiplier, line.source_channels,
                  [&](const auto& channels) { line_of_channels(line, channels); });
  }
}

int rows_tiles(const ConvShape& s, int64_t rows, int threads) {
  const int64_t work = s.n * s.oh * s.ow * s.kh * s.kw * round_up(s.f, kChunk);
  return suitable_tiles(2 * work, rows, threads);  // an FMA here costs a load
}

int depthwise_conv2d_tiles(const DepthwiseConv2dArgs& args, int threads) {
  return rows_tiles(args.shape, args.shape.n * args.shape.oh, threads);
}

void depthwise_conv2d_run(const DepthwiseConv2dArgs& args, int tile, int n_tiles) {
  const ConvShape& s = args.shape;
  Line line{};
  line.source_row = s.w * s.c, line.source_channels = s.c, line.source_end = padded_size(s.h, s.w, s.c);
  line.w = args.w, line.w_stride_y = args.w_stride_y, line.w_stride_x = args.w_stride_x;
  line.f = s.f, line.bias = args.bias, line.gathered = 1;
  line.y_row = s.ow * s.f, line.y_channels = s.f;
  line.rows = forward_axis(s.h, s.oh, s.kh, s.stride_y, s.dilation_y, s.top);
  line.columns = forward_axis(s.w, s.ow, s.kw, s.stride_x, s.dilation_x, s.left);
  for_each_row(s.n, s.oh, s.ow, s.f, tile, n_tiles, [&](Row row) {
    line.source = args.x + row.image * args.x_stride;
    line.y = args.y + row.image * args.y_stride;
    line.y_end = s.f < kChunk ? row.end : 0;  // with several chunks, stores are not in the order of addresses
    line.k = row.y;
    whole_line(line, s.f / s.c);
  });
}

int depthwise_grad_input_tiles(const DepthwiseConv2dGradInputArgs& args, int threads) {
  return rows_tiles(args.shape, args.shape.n * args.shape.h, threads);
}

void depthwise_grad_input_run(const DepthwiseConv2dGradInputArgs& args, int tile, int n_tiles) {
  const ConvShape& s = args.shape;
  Line line{};
  line.source_row = s.ow * s.f, line.source_channels = s.f, line.source_end = padded_size(s.oh, s.ow, s.f);
  line.w = args.w, line.w_stride_y = args.w_stride_y, line.w_stride_x = args.w_stride_x;
  line.f = s.f, line.gathered = s.f / s.c;
  line.y_row = s.w * s.c, line.y_channels = s.c;
  for_each_row(s.n, s.h, s.w, s.c, tile, n_tiles, [&](Row row) {
    line.source = args.dy + row.image * args.dy_stride;
    line.y = args.dx + row.image * args.dx_stride;
    line.y_end = s.f < kChunk && s.stride_x == 1 ? row.end : 0;
    line.rows = backward_axis(row.y % s.stride_y, s.h, s.oh, s.kh, s.stride_y, s.dilation_y, s.top);
    line.k = row.y / s.stride_y;
    for (int64_t phase = 0; phase < s.stride_x; phase++) {
      line.columns = backward_axis(phase, s.w, s.ow, s.kw, s.stride_x, s.dilation_x, s.left);
      whole_line(line, 1);
    }
  });
}

}  // namespace

void fill_depthwise_conv2d(KernelTable& table) {
  table.depthwise_conv2d = {depthwise_conv2d_tiles, depthwise_conv2d_run};
  table.depthwise_conv2d_grad_input = {depthwise_grad_input_tiles, depthwise_grad_input_run};
}

}  // namespace weft::WEFT_ISA
