// Winograd's way through forward and grad_input. Some 30 blocks of 2x2 outputs are taken at a time, from a few rows of
// blocks: their inputs are transformed into sixteen planes (blocks, channels), each plane is multiplied with the
// same plane of the kernel, and the products are transformed into pixels, all of it in L2. Wide convolutions are taken
// in passes of 64 channels and of 64 outputs.

#include "cpu/kernels/conv_winograd.h"

#include "cpu/kernels/conv_epilogue.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/winograd.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kMostBlocks = 32, kPass = 64;
// One plane; the next one begins in another set of L1.
constexpr int64_t kPlane = kMostBlocks * kPass + kPanel;
constexpr int64_t kWindowFloats = 16 * 1024;

// Working memory of a thread.
struct Scratch {
  alignas(64) float window[kWindowFloats + kWindowSlack];
  alignas(64) float inputs[kWinogradPlanes * kPlane];              // (16, blocks, channels of a pass)
  alignas(64) float products[kWinogradPlanes * kPlane];            // (16, blocks, outputs of a pass)
  alignas(64) float strip[4 * kMostBlocks * kPass + kStripSlack];  // (2, pixels, pitch)
  alignas(64) float pooled[kMostBlocks * kPass + kStripSlack];     // (blocks, pitch)
  uint8_t places[kMostBlocks * kPass + kStripSlack];               // as pooled
};

// How the blocks of a convolution are cut: rows of blocks into segments, so short that a window of inputs fits.
struct Cut {
  int64_t rows, columns;  // blocks of an image
  Blocks segments;        // of a row
  int64_t together;       // segments that are multiplied together
};
Cut cut_of(const Convolution& conv) {
  const ConvShape& s = conv.shape;
  Cut cut = {};
  const bool pooled = conv.out.pool.h == 2;  // what is left over at the end is dropped
  cut.rows = pooled ? s.oh / 2 : winograd_blocks(s.oh);
  cut.columns = pooled ? s.ow / 2 : winograd_blocks(s.ow);
  const int64_t fitting = larger(1, smaller(kMostBlocks, kWindowFloats / (8 * s.c) - 1));
  cut.segments = near_equal_blocks(cut.columns, ceil_divide(cut.columns, fitting));
  const int64_t longest = cut.segments.length + (cut.segments.longer > 0);
  cut.together = longest > 0 ? kMostBlocks / longest : 1;
  return cut;
}
WEFT_INLINE int64_t segment_count(const Convolution& conv, const Cut& cut) {
  return conv.shape.n * cut.rows * cut.segments.count;
}

struct Segment {
  int64_t image, row;
  Range columns;  // blocks
};
WEFT_INLINE Segment segment_at(const Cut& cut, int64_t index) {
  const int64_t row = index / cut.segments.count;
  return {row / cut.rows, row % cut.rows, block_at(cut.segments, index % cut.segments.count)};
}

struct Run {
  const Convolution& conv;
  const Cut& cut;
  Scratch& scratch;
};

// Channels `channels` of one segment, as blocks from `at` on of the planes.
void transform_segment(const Run& run, const Segment& segment, Range channels, int64_t at) {
  const ConvShape& s = run.conv.shape;
  const ConvImages& images = run.conv.images;
  const int64_t blocks = length(segment.columns);
  const ConvWindow window = {2 * segment.row - s.top, 4, 2 * segment.columns.begin - s.left, 2 * blocks + 2};
  const bool inside = window.row >= 0 && window.row + window.rows <= images.h && window.column >= 0 &&
                      window.column + window.columns <= images.w;
  const float* x = run.scratch.window;
  int64_t row = window.columns * s.c;
  if (inside && images.argmax == nullptr && s.c % kPanel == 0) {
    x = images.x + segment.image * images.x_stride + (window.row * images.w + window.column) * s.c;
    row = images.w * s.c;
  } else {
    pack_window(images, segment.image, window, run.scratch.window, row);
  }
  const int64_t pitch = round_up(length(channels), kPanel);
  for (int64_t k = 0; k < pitch; k += kWidth)
    transform_inputs(x + channels.begin + k, row, s.c, blocks, run.scratch.inputs + at * pitch + k, kPlane, pitch);
}

// Each plane of the inputs with the same plane of the kernel, for `blocks` blocks.
void multiply_planes(const Run& run, int64_t blocks, Range channels, Range outputs) {
  const ConvShape& s = run.conv.shape;
  const int64_t panels = ceil_divide(length(outputs), kPanel), pitch = panels * kPanel, plane = s.c * kPanel;
  const Blocks tiles = near_equal_blocks(blocks, ceil_divide(blocks, kTileRows));
  TileArgs args = {};
  args.steps = length(channels);
  args.a_stride = round_up(length(channels), kPanel);
  args.b_panel = kWinogradPlanes * plane;
  args.out_stride = pitch;
  args.start_stride = pitch;
  for (int64_t p = 0; p < kWinogradPlanes; p++) {
    const float* kernel = run.conv.w + outputs.begin * kWinogradPlanes * s.c + p * plane + channels.begin * kPanel;
    for (int64_t panel = 0; panel < panels; panel += kTilePanels) {
      args.b = kernel + panel * args.b_panel;
      for (int64_t t = 0; t < tiles.count; t++) {
        const Range rows = block_at(tiles, t);
        args.a = run.scratch.inputs + p * kPlane + rows.begin * args.a_stride;
        args.out = run.scratch.products + p * kPlane + rows.begin * pitch + panel * kPanel;
        args.start = channels.begin > 0 ? args.out : nullptr;
        run_panels<ASource::kRows>(static_cast<int>(smaller(kTilePanels, panels - panel)),
                                   static_cast<int>(length(rows)), args);
      }
    }
  }
}

// The pixels of one segment, whose blocks begin at `at` in the planes: bias and relu, and two rows of the strip.
void transform_segment_back(const Run& run, int64_t blocks, Range outputs, int64_t at) {
  const int64_t pitch = round_up(length(outputs), kPanel), row = 2 * blocks * pitch;
  const bool relu = run.conv.out.act.fn == UnaryFn::kRelu;
  for (int64_t k = 0; k < pitch; k += kWidth) {
    const Vec bias = run.conv.bias ? load(run.conv.bias + outputs.begin + k) : Vec{};
    const float* products = run.scratch.products + at * pitch + k;
    float* strip = run.scratch.strip + k;
    for (int64_t b = 0; b < blocks; b++, products += pitch, strip += 2 * pitch) {
      Vec y[2][2];
      transform_products(products, kPlane, y);
      WEFT_UNROLL
      for (int i = 0; i < 2; i++) WEFT_UNROLL
      for (int j = 0; j < 2; j++) {
        const Vec value = y[i][j] + bias;
        store(strip + i * row + j * pitch, relu ? QuickMaximum()(Vec{}, value) : value);
      }
    }
  }
  const UnarySpec& act = run.conv.out.act;
  if (act.fn != UnaryFn::kIdentity && !relu)
    unary_apply(act, run.scratch.strip, run.scratch.strip, round_up(2 * row, kChunk));
}

void finish_segment(const Run& run, const Segment& segment, Range outputs, int64_t at) {
  const ConvOutput& out = run.conv.out;
  const ConvShape& s = run.conv.shape;
  const int64_t blocks = length(segment.columns), pitch = round_up(length(outputs), kPanel);
  const int64_t row_pitch = 2 * blocks * pitch;
  transform_segment_back(run, blocks, outputs, at);
  if (out.pool.h == 2) {
    uint8_t* places = out.argmax ? run.scratch.places : nullptr;
    const PoolSource windows = {out.pool, run.scratch.strip, 2 * pitch, row_pitch, pitch};
    pool_strip(windows, blocks, length(outputs), pitch, run.scratch.pooled, places);
    finish_pixels(out, segment.image, segment.row, segment.columns.begin, blocks, outputs.begin, length(outputs),
                  run.scratch.pooled, pitch, places);
    return;
  }
  const int64_t first = 2 * segment.columns.begin, pixels = smaller(2 * blocks, s.ow - first);
  for (int64_t i = 0; i < smaller(2, s.oh - 2 * segment.row); i++) {
    finish_pixels(out, segment.image, 2 * segment.row + i, first, pixels, outputs.begin, length(outputs),
                  run.scratch.strip + i * row_pitch, pitch, nullptr);
  }
}

}  // namespace

int64_t winograd_pieces(const Convolution& conv) { return segment_count(conv, cut_of(conv)); }

void winograd_run(const Convolution& conv, int tile, int n_tiles) {
  const ConvShape& s = conv.shape;
  const Cut cut = cut_of(conv);
  Scratch scratch;
  const Run run = {conv, cut, scratch};
  const Range share = split(segment_count(conv, cut), 1, tile, n_tiles);
  for (int64_t begin = share.begin; begin < share.end; begin += cut.together) {
    const int64_t end = smaller(begin + cut.together, share.end);
    for (int64_t output = 0; output < s.f; output += kPass) {
      const Range outputs = {output, smaller(s.f, output + kPass)};
      int64_t at = 0;
      for (int64_t channel = 0; channel < s.c; channel += kPass) {
        const Range channels = {channel, smaller(s.c, channel + kPass)};
        at = 0;
        for (int64_t i = begin; i < end; i++) {
          const Segment segment = segment_at(cut, i);
          // With one pass of channels, what was transformed serves all passes of outputs.
          if (s.c > kPass || output == 0) transform_segment(run, segment, channels, at);
          at += length(segment.columns);
        }
        multiply_planes(run, at, channels, outputs);
      }
      at = 0;
      for (int64_t i = begin; i < end; i++) {
        const Segment segment = segment_at(cut, i);
        finish_segment(run, segment, outputs, at);
        at += length(segment.columns);
      }
    }
  }
}

}  // namespace weft::WEFT_ISA
