// Winograd's way through forward and grad_input. Some 30 blocks of 2x2 outputs are taken at a time, a few rows of
// them: their inputs are transformed into sixteen planes (blocks, channels), each plane is multiplied with the
// same plane of the kernel, and the products are transformed into pixels, all of it in L2. Wide convolutions are taken
// in passes of 64 channels and of 64 outputs.

#include "cpu/kernels/conv_winograd.h"

#include "cpu/kernels/conv_epilogue.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/winograd_bands.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kMostBlocks = 32, kPass = 64;
// One plane; the next one begins in another set of L1.
constexpr int64_t kPlane = kMostBlocks * kPass + kPanel;

// Working memory of a thread.
struct Scratch {
  alignas(64) float window[kBandScratch];
  alignas(64) float inputs[kWinogradPlanes * kPlane];              // (16, blocks, channels of a pass)
  alignas(64) float products[kWinogradPlanes * kPlane];            // (16, blocks, outputs of a pass)
  alignas(64) float strip[4 * kMostBlocks * kPass + kStripSlack];  // (2, pixels, pitch)
  alignas(64) float pooled[kMostBlocks * kPass + kStripSlack];     // (blocks, pitch)
  uint8_t places[kMostBlocks * kPass + kStripSlack];               // as pooled
};

BlockGrid grid_of(const Convolution& conv) {
  const ConvShape& s = conv.shape;
  const bool pooled = conv.out.pool.h == 2;  // what is left over at the end is dropped
  return block_grid(pooled ? s.oh / 2 : winograd_blocks(s.oh), pooled ? s.ow / 2 : winograd_blocks(s.ow), kMostBlocks,
                    round_up(smaller(s.c, kPass), kPanel));
}

struct Run {
  const Convolution& conv;
  BlockGrid grid;
  Scratch& scratch;
};

// What comes after the multiplication of segments [begin, end): their outputs, and the inputs of those behind.
struct Prefetches {
  Lines x, y, saved;
};
Prefetches prefetches_of(const Run& run, int64_t begin, int64_t end, int64_t last) {
  const ConvOutput& out = run.conv.out;
  const int64_t row = out.pool.h == 2 ? out.row_step : 2 * out.row_step;
  return {lines_of(run.conv.images, run.grid, end, smaller(end + run.grid.together, last)),
          lines_of(out.y, out.y_stride, row, run.grid, begin, end),
          lines_of(out.saved, out.y_stride, row, run.grid, begin, end)};
}

// Each plane of the inputs with the same plane of the kernel, for `blocks` blocks.
void multiply_planes(const Run& run, int64_t blocks, Range channels, Range outputs, const Prefetches& next) {
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
    fetch(next.x, p, kWinogradPlanes);
    fetch(next.y, p, kWinogradPlanes);
    fetch(next.saved, p, kWinogradPlanes);
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

// The pixels of one row of blocks, which begin at `at` in the planes: bias, activation, and two rows of the strip.
void transform_row(const Run& run, int64_t blocks, Range outputs, int64_t at) {
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
  if (act.fn != UnaryFn::kIdentity && !relu) unary_apply(act, run.scratch.strip, run.scratch.strip, 2 * row);
}

// Row `row` of a band.
void finish_row(const Run& run, const BlockBand& band, int64_t row, Range outputs, int64_t at) {
  const ConvOutput& out = run.conv.out;
  const ConvShape& s = run.conv.shape;
  const int64_t blocks = length(band.columns), pitch = round_up(length(outputs), kPanel);
  const int64_t row_pitch = 2 * blocks * pitch;
  transform_row(run, blocks, outputs, at);
  if (out.pool.h == 2) {
    uint8_t* places = out.argmax ? run.scratch.places : nullptr;
    const PoolSource windows = {out.pool, run.scratch.strip, 2 * pitch, row_pitch, pitch};
    pool_strip(windows, blocks, length(outputs), pitch, run.scratch.pooled, places);
    finish_pixels(out, band.image, row, band.columns.begin, blocks, outputs.begin, length(outputs), run.scratch.pooled,
                  pitch, places);
    return;
  }
  const int64_t first = 2 * band.columns.begin, pixels = smaller(2 * blocks, s.ow - first);
  for (int64_t i = 0; i < smaller(2, s.oh - 2 * row); i++) {
    finish_pixels(out, band.image, 2 * row + i, first, pixels, outputs.begin, length(outputs),
                  run.scratch.strip + i * row_pitch, pitch, nullptr);
  }
}

// Channels of segments [begin, end); returns the number of their blocks.
int64_t transform_segments(const Run& run, int64_t begin, int64_t end, Range channels) {
  const ConvShape& s = run.conv.shape;
  const int64_t pitch = round_up(length(channels), kPanel);
  int64_t at = 0;
  for (int64_t i = begin; i < end;) {
    const BlockBand band = block_band_at(run.grid, i, end);
    transform_band(run.conv.images, band, s.top, s.left, channels, run.scratch.window, run.scratch.inputs + at * pitch,
                   kPlane, pitch);
    at += block_count(band);
    i += length(band.rows);
  }
  return at;
}

void finish_segments(const Run& run, int64_t begin, int64_t end, Range outputs) {
  int64_t at = 0;
  for (int64_t i = begin; i < end;) {
    const BlockBand band = block_band_at(run.grid, i, end);
    for (int64_t row = band.rows.begin; row < band.rows.end; row++, at += length(band.columns))
      finish_row(run, band, row, outputs, at);
    i += length(band.rows);
  }
}

}  // namespace

int64_t winograd_pieces(const Convolution& conv) { return conv.shape.n * segments_of_image(grid_of(conv)); }

void winograd_run(const Convolution& conv, int tile, int n_tiles) {
  const ConvShape& s = conv.shape;
  Scratch scratch;
  const Run run = {conv, grid_of(conv), scratch};
  const Range share = split(winograd_pieces(conv), 1, tile, n_tiles);
  for (int64_t begin = share.begin; begin < share.end; begin += run.grid.together) {
    const int64_t end = smaller(begin + run.grid.together, share.end);
    const Prefetches next = prefetches_of(run, begin, end, share.end);
    int64_t blocks = 0;
    for (int64_t output = 0; output < s.f; output += kPass) {
      const Range outputs = {output, smaller(s.f, output + kPass)};
      for (int64_t channel = 0; channel < s.c; channel += kPass) {
        const Range channels = {channel, smaller(s.c, channel + kPass)};
        // With one pass of channels, what was transformed serves all passes of outputs.
        if (s.c > kPass || output == 0) blocks = transform_segments(run, begin, end, channels);
        const bool last = channels.end == s.c && outputs.end == s.f;
        multiply_planes(run, blocks, channels, outputs, last ? next : Prefetches{});
      }
      finish_segments(run, begin, end, outputs);
    }
  }
}

}  // namespace weft::WEFT_ISA
