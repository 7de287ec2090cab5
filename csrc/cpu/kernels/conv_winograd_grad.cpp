// Winograd's way through grad_kernel: with V = B^T d B of the inputs and D = A dy A^T of the output gradient, the
// gradient of the transformed kernel is the sum of V * D over all blocks, sixteen products (channels, blocks) x
// (blocks, filters); and that of the kernel is G^T of it G. A unit of work is up to 64 channels times 32 or 64
// filters, whose sums stay in L2 over all images. Each sum is one chain of FMAs over images, rows and columns of
// blocks.

#include "cpu/kernels/conv_winograd.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/winograd_bands.h"

namespace weft::WEFT_ISA {
namespace {

// Blocks that are added up at a time: enough to make loading and storing the sums cheap.
constexpr int64_t kMostBlocks = 40;
constexpr int64_t kSums = 2048;  // of a plane: channels x filters of a unit
static_assert(winograd_filters(kWinogradInputs) * kWinogradInputs == kSums);
static_assert(winograd_filters(kWinogradInputs / 2) * kWinogradInputs / 2 == kSums);
// Of channels and filters together there are at most 96; the next plane begins in another set of L1.
constexpr int64_t kOperandFloats = kWinogradPlanes * (kMostBlocks * 96 + 2 * kPanel);

struct Scratch {
  alignas(64) float window[kBandScratch];
  alignas(64) float operands[kOperandFloats];       // V (16, blocks, channels), then D (16, blocks, filters)
  alignas(64) float sums[kWinogradPlanes * kSums];  // (16, panels, channels, 16)
};

// One unit, and how the blocks of its images are cut.
struct Run {
  const Conv2dGradKernelArgs& args;
  Scratch& scratch;
  Range channels, filters;
  int64_t v_pitch, v_plane, d_pitch, d_plane;
  float* d;  // within scratch.operands
  BlockGrid grid;
};

Run run_of(const Conv2dGradKernelArgs& args, int64_t unit, Scratch& scratch) {
  const ConvShape& s = args.shape;
  Run run = {args, scratch, {}, {}, 0, 0, 0, 0, nullptr, {}};
  const int64_t filters = winograd_filters(s.c), across = ceil_divide(s.f, filters);
  const Range panels =
      block_at(near_equal_blocks(ceil_divide(s.c, kPanel), ceil_divide(s.c, kWinogradInputs)), unit / across);
  run.channels = {panels.begin * kPanel, smaller(s.c, panels.end * kPanel)};
  run.filters = {unit % across * filters, smaller(s.f, (unit % across + 1) * filters)};
  run.v_pitch = round_up(length(run.channels), kPanel), run.d_pitch = round_up(length(run.filters), kPanel);
  run.v_plane = kMostBlocks * run.v_pitch + kPanel, run.d_plane = kMostBlocks * run.d_pitch + kPanel;
  run.d = scratch.operands + kWinogradPlanes * run.v_plane;
  run.grid = block_grid(winograd_blocks(s.oh), winograd_blocks(s.ow), kMostBlocks, larger(run.v_pitch, run.d_pitch));
  return run;
}

// The output gradient of a band: planes d (16, blocks, d_pitch).
void transform_gradients(const Run& run, const BlockBand& band, float* d) {
  const int64_t blocks = length(band.columns);
  const ConvWindow window = {2 * band.rows.begin, 2 * length(band.rows), 2 * band.columns.begin, 2 * blocks};
  const Pixels dy = window_of(images_of_dy(run.args), band.image, window, run.filters, run.scratch.window);
  const float* line = dy.x;
  for (int64_t row = band.rows.begin; row < band.rows.end; row++, line += 2 * dy.row) {
    for (int64_t b = 0; b < blocks; b++, d += run.d_pitch) {
      for (int64_t k = 0; k < run.d_pitch; k += kWidth)
        transform_gradient(line + 2 * b * dy.pixel + k, dy.row, dy.pixel, d + k, run.d_plane);
    }
  }
}

// Both operands of segments [begin, end); returns the number of their blocks.
int64_t transform_segments(const Run& run, int64_t begin, int64_t end) {
  const ConvShape& s = run.args.shape;
  const ConvImages x = images_of_x(run.args);
  int64_t at = 0;
  for (int64_t i = begin; i < end;) {
    const BlockBand band = block_band_at(run.grid, i, end);
    transform_band(x, band, s.top, s.left, run.channels, run.scratch.window, run.scratch.operands + at * run.v_pitch,
                   run.v_plane, run.v_pitch);
    transform_gradients(run, band, run.d + at * run.d_pitch);
    at += block_count(band);
    i += length(band.rows);
  }
  return at;
}

// sums += V^T D, plane by plane.
void multiply_planes(const Run& run, int64_t blocks, const Lines& x, const Lines& dy) {
  const int64_t channels = length(run.channels), panels = run.d_pitch / kPanel;
  const Blocks tiles = near_equal_blocks(channels, ceil_divide(channels, kTileRows));
  TileArgs args = {};
  args.steps = blocks;
  args.a_stride = run.v_pitch;
  args.b_step = run.d_pitch;
  args.out_panel = channels * kPanel;
  args.start_stride = kPanel;
  for (int64_t p = 0; p < kWinogradPlanes; p++) {
    fetch(x, p, kWinogradPlanes);
    fetch(dy, p, kWinogradPlanes);
    for (int64_t t = 0; t < tiles.count; t++) {
      const Range rows = block_at(tiles, t);
      args.a = run.scratch.operands + p * run.v_plane + rows.begin;
      for (int64_t panel = 0; panel < panels; panel += kTilePanels) {
        args.b = run.d + p * run.d_plane + panel * kPanel;
        args.out = run.scratch.sums + p * kSums + (panel * channels + rows.begin) * kPanel;
        args.start = args.out;
        run_panels<ASource::kColumns>(static_cast<int>(smaller(kTilePanels, panels - panel)),
                                      static_cast<int>(length(rows)), args);
      }
    }
  }
}

// The rows of this unit in the nine taps of the gradient; lanes behind the last filter are 0.
void store_gradient(const Run& run) {
  const ConvShape& s = run.args.shape;
  const int64_t channels = length(run.channels);
  for (int64_t panel = 0; panel < run.d_pitch / kPanel; panel++) {
    const int64_t first = run.filters.begin + panel * kPanel, lanes = smaller(kPanel, s.f - first);
    float* sums = run.scratch.sums + panel * channels * kPanel;                   // (channels, 16)
    float* grad = run.args.grad + first * 9 * s.c + run.channels.begin * kPanel;  // (9, c, 16)
    for (int64_t i = 0; i < channels * kPanel; i += kWidth) {
      Vec g[3][3];
      transform_sums(sums + i, kSums, g);
      WEFT_UNROLL
      for (int k = 0; k < 9; k++) store(grad + k * s.c * kPanel + i, g[k / 3][k % 3]);
    }
    for (int64_t k = 0; k < 9 && lanes < kPanel; k++)
      for (int64_t c = 0; c < channels; c++)
        for (int64_t lane = lanes; lane < kPanel; lane++) grad[(k * s.c + c) * kPanel + lane] = 0;
  }
}

}  // namespace

void winograd_grad_run(const Conv2dGradKernelArgs& args, Range images, int64_t unit) {
  Scratch scratch;
  const Run run = run_of(args, unit, scratch);
  zero_floats(scratch.sums, kWinogradPlanes * kSums);
  const int64_t image = segments_of_image(run.grid), end = images.end * image, step = run.grid.together;
  // Ahead of time only what is read whole.
  const bool all_channels = length(run.channels) == args.shape.c, all_filters = length(run.filters) == args.shape.f;
  for (int64_t begin = images.begin * image; begin < end; begin += step) {
    const int64_t next = smaller(begin + step, end), after = smaller(next + step, end);
    const int64_t blocks = transform_segments(run, begin, next);
    multiply_planes(run, blocks, all_channels ? lines_of(images_of_x(args), run.grid, next, after) : Lines{},
                    all_filters ? lines_of(images_of_dy(args), run.grid, next, after) : Lines{});
  }
  store_gradient(run);
}

}  // namespace weft::WEFT_ISA
