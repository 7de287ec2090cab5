// The engine of conv2d_forward and conv2d_grad_input: tiles of up to 14 (AVX-512) pixels times a pair of panels, and
// no patch matrix. Where rows are wide, a tile is of neighbours in a row, and a unit of work a band of rows times a
// pair of panels; its input is read in place, or packed with its border of zeros. Where they are narrow or mostly
// border, a tile is of one pixel in several images, and multiplies only what lies within them; or, with few images,
// of the packed patches of any pixels. A thread's tile is a contiguous share of the units.

#include "cpu/kernels/conv_product.h"

#include "cpu/kernels/conv_cut.h"
#include "cpu/kernels/conv_epilogue.h"
#include "cpu/kernels/conv_pool_tile.h"
#include "cpu/kernels/conv_winograd.h"

namespace weft::WEFT_ISA {
namespace {

// Offsets of the steps of short runs within a window whose rows are row_stride apart.
void fill_offsets(const ConvShape& s, int64_t row_stride, int32_t* offsets) {
  for (int64_t ky = 0; ky < s.kh; ky++)
    for (int64_t kx = 0; kx < s.kw; kx++)
      for (int64_t ci = 0; ci < s.c; ci++)
        *offsets++ = static_cast<int32_t>(ky * s.dilation_y * row_stride + kx * s.dilation_x * s.c + ci);
}

// The kernel as dot_tile reads it: weights (runs, f, round_up(run, 16)).
void pack_dot_weights(const Convolution& conv, const Cut& cut, float* weights) {
  const int64_t padded = round_up(cut.run, kChunk);
  for (int64_t k = 0; k < cut.steps; k += cut.run)
    for (int64_t j = 0; j < conv.shape.f; j++, weights += padded)
      for (int64_t i = 0; i < padded; i++) weights[i] = i < cut.run ? conv.w[(k + i) * kPanel + j] : 0.0f;
}

// Working memory of a thread.
struct Scratch {
  alignas(64) float input[kScratch + kWindowSlack];
  alignas(64) float strip[kStripFloats + kStripSlack];       // (pixels, pitch)
  alignas(64) float pooled[kStripFloats / 2 + kStripSlack];  // (windows, pitch)
  alignas(64) float dot_weights[kDotWeights];
  uint8_t places[kStripFloats / 2 + kStripSlack];  // as pooled
  int32_t offsets[kMostOffsets];
};

// What the tiles of one call have in common.
struct Run {
  const Convolution& conv;
  const Cut& cut;
  Scratch& scratch;
  bool epilogue;  // more than what a tile does itself: outputs go through the strip
};

// One group of panels.
struct Group {
  int64_t channel, width;  // channels from `channel` on that exist
  int64_t pitch;           // floats from pixel to pixel in the strip
  int columns;             // of a tile
};
WEFT_INLINE Group group_at(const Run& run, int64_t index) {
  const int64_t f = run.conv.shape.f, channel = index * kTileColumns;
  const int64_t columns = smaller(kTileColumns, round_up(f - channel, kPanel)), width = smaller(f - channel, columns);
  Group g = {channel, width, columns, static_cast<int>(width <= kNarrow ? kNarrow : columns)};
  // A single group is packed without gaps, so that a row is finished in one run: pixels are stored in order, and
  // each overwrites what the one before has written too much.
  const bool one_pass = run.cut.way != Way::kPatches || run.cut.pass == run.cut.steps;
  if (run.cut.groups == 1 && one_pass) g.pitch = f;
  return g;
}

// The part of a tile's arguments that does not change from tile to tile.
WEFT_INLINE ConvTileArgs tile_args(const Run& run, const Group& group) {
  const Convolution& conv = run.conv;
  const ConvShape& s = conv.shape;
  ConvTileArgs args = {};
  args.product.b = run.cut.dot ? run.scratch.dot_weights : conv.w + group.channel * run.cut.steps;
  args.product.b_panel = run.cut.steps * kPanel;
  args.product.start = conv.bias ? conv.bias + group.channel : nullptr;
  args.product.out_stride = run.epilogue ? group.pitch : conv.out.pixel_step;
  args.product.relu = conv.out.act.fn == UnaryFn::kRelu;
  args.product.steps = run.cut.run;
  args.runs_y = s.kh, args.runs_x = s.dilation_x == 1 ? 1 : s.kw;
  args.x_step = s.dilation_x * s.c;
  args.b_x_step = s.c * kPanel, args.b_y_step = s.kw * args.b_x_step;
  if (run.cut.dot) {
    args.b_x_step = s.f * round_up(run.cut.run, kChunk);
    args.b_y_step = args.runs_x * args.b_x_step;
  }
  return args;
}

// `pixels` neighbouring pixels, of which the first is at args.product.a, to args.product.out.
// Arguments are changed in place, never copied: a copy in whole vectors, just after single fields were stored, would
// wait until all stores before it are in L1.
void multiply_pixels(const Run& run, const Group& group, ConvTileArgs& args, int64_t pixels) {
  if (run.cut.dot) return run_dot(static_cast<int>(run.conv.shape.f), pixels, args);
  TileArgs& t = args.product;
  const int64_t most = group.columns == kNarrow ? kNarrowRows : kTileRows;
  const Blocks blocks = near_equal_blocks(pixels, ceil_divide(pixels, most));
  for (int64_t b = 0; b < blocks.count; b++) {
    const int rows = static_cast<int>(blocks.length + (b < blocks.longer));
    if (args.offsets != nullptr)
      run_conv_columns<true>(group.columns, rows, args);
    else
      run_conv_columns<false>(group.columns, rows, args);
    t.a += rows * t.a_stride;
    t.out += rows * t.out_stride;
    if (args.saved != nullptr) args.saved += rows * t.out_stride;
    if (t.start_stride != 0) t.start += rows * t.start_stride;
  }
}

// Leaves out the rows of the kernel that lie outside of the image for output row `oy`; `all` has them all.
WEFT_INLINE void skip_rows(const ConvShape& s, int64_t oy, const ConvTileArgs& all, ConvTileArgs& args) {
  const Range taps = taps_inside(axis_y(s), oy);
  args.runs_y = taps.end - taps.begin;
  args.product.b = all.product.b + taps.begin * all.b_y_step;
  if (all.offsets != nullptr)
    args.offsets = all.offsets + taps.begin * s.kw * s.c;
  else
    args.product.a += taps.begin * all.y_step;
}

// Without an epilogue: the tile stores to y.
WEFT_INLINE void place_output(const Run& run, const Group& group, int64_t image, int64_t row, int64_t pixel,
                              ConvTileArgs& args) {
  const ConvOutput& out = run.conv.out;
  const int64_t at = image * out.y_stride + out.first + row * out.row_step + pixel * out.pixel_step + group.channel;
  args.product.out = out.y + at;
  if (out.saved != nullptr && out.saved_act.fn == UnaryFn::kRelu) {
    args.saved = out.saved + at;
    args.scale = out.dropout.threshold != 0 ? out.dropout.scale : 1.0f;
  }
}

void activate(const Run& run, int64_t floats) {
  const UnarySpec& act = run.conv.out.act;
  if (act.fn == UnaryFn::kIdentity || act.fn == UnaryFn::kRelu) return;
  unary_apply(act, run.scratch.strip, run.scratch.strip, round_up(floats, kChunk));
}

// --- Bands ---------------------------------------------------------------------------------------------------

// A band of one image: its windows, and its input, whose rows are row_stride floats apart.
struct Band {
  int64_t image;
  Range rows, columns;
  const float* a;
  int64_t row_stride;
};

Band band_at(const Run& run, int64_t index) {
  const ConvShape& s = run.conv.shape;
  const ConvPool pool = run.conv.out.pool;
  const ConvImages& images = run.conv.images;
  const int64_t across = run.cut.column_blocks.count, bands = run.cut.row_blocks.count;
  Band band = {};
  band.image = index / (bands * across);
  band.rows = block_at(run.cut.row_blocks, index / across % bands);
  band.columns = block_at(run.cut.column_blocks, index % across);
  const int64_t rows = (band.rows.end - band.rows.begin) * pool.h;
  const int64_t columns = (band.columns.end - band.columns.begin) * pool.w;
  const ConvWindow window = {band.rows.begin * pool.h * s.stride_y - s.top, extent(axis_y(s), rows),
                             band.columns.begin * pool.w * s.stride_x - s.left, extent(axis_x(s), columns)};
  const bool inside = window.row >= 0 && window.row + window.rows <= images.h && window.column >= 0 &&
                      window.column + window.columns <= images.w;
  if (inside && images.argmax == nullptr) {
    band.a = images.x + band.image * images.x_stride + (window.row * images.w + window.column) * s.c;
    band.row_stride = images.w * s.c;
  } else {
    band.a = run.scratch.input;
    band.row_stride = window.columns * s.c;
    pack_window(images, band.image, window, run.scratch.input, band.row_stride);
  }
  return band;
}

WEFT_INLINE bool is_simple(UnaryFn fn) { return fn == UnaryFn::kIdentity || fn == UnaryFn::kRelu; }

// Some windows of a row of them, the first pixel of the first at a: activated in run.scratch.strip, or pooled in
// run.scratch.pooled.
void make_windows(const Run& run, const Band& band, const Group& group, int64_t row, const float* a, int64_t count,
                  const ConvTileArgs& all, ConvTileArgs& args) {
  const ConvShape& s = run.conv.shape;
  const ConvPool pool = run.conv.out.pool;
  const int64_t below = s.stride_y * band.row_stride, row_pitch = count * pool.w * group.pitch;
  uint8_t* places = run.conv.out.argmax ? run.scratch.places : nullptr;
  if (all.offsets != nullptr && pool.h == 2 && pool.w == 2 && is_simple(run.conv.out.act.fn) &&
      group.columns != kNarrow &&
      pool_windows_of_row(group.columns, count, {&all, a, below, run.scratch.pooled, places, group.pitch})) {
    return;
  }
  for (int64_t wy = 0; wy < pool.h; wy++) {
    args.product.a = a + wy * below;
    args.product.out = run.scratch.strip + wy * row_pitch;
    skip_rows(s, row * pool.h + wy, all, args);
    multiply_pixels(run, group, args, count * pool.w);
  }
  activate(run, pool.h * row_pitch);
  if (run.cut.area == 1) return;
  const PoolSource windows = {pool, run.scratch.strip, pool.w * group.pitch, row_pitch, group.pitch};
  pool_strip(windows, count, group.width, group.pitch, run.scratch.pooled, places);
}

// One row of windows of a band. `all` has all taps, `args` are those of the tile.
void run_row(const Run& run, const Band& band, const Group& group, int64_t row, const ConvTileArgs& all,
             ConvTileArgs& args) {
  const ConvShape& s = run.conv.shape;
  const ConvOutput& out = run.conv.out;
  const ConvPool pool = out.pool;
  const int64_t columns = band.columns.end - band.columns.begin;
  const float* a = band.a + (row - band.rows.begin) * pool.h * s.stride_y * band.row_stride;
  if (!run.epilogue) {
    args.product.a = a;
    place_output(run, group, band.image, row, band.columns.begin, args);
    skip_rows(s, row, all, args);
    return multiply_pixels(run, group, args, columns);
  }
  const int64_t fitting = larger(1, kStrip / (run.cut.area * larger(group.pitch, kPanel)));
  const Blocks pieces = near_equal_blocks(columns, ceil_divide(columns, fitting));
  for (int64_t i = 0; i < pieces.count; i++) {
    const Range piece = block_at(pieces, i);
    make_windows(run, band, group, row, a + piece.begin * pool.w * args.product.a_stride, length(piece), all, args);
    finish_pixels(out, band.image, row, band.columns.begin + piece.begin, length(piece), group.channel, group.width,
                  run.cut.area > 1 ? run.scratch.pooled : run.scratch.strip, group.pitch,
                  out.argmax ? run.scratch.places : nullptr);
  }
}

void run_bands(const Run& run, int tile, int n_tiles) {
  const ConvShape& s = run.conv.shape;
  const int64_t bands = s.n * run.cut.row_blocks.count * run.cut.column_blocks.count;
  const bool short_runs = !run.cut.dot && run.cut.run < kPanel && run.cut.steps <= kMostOffsets;
  Band band = {};
  int64_t current = -1, offsets_for = -1;
  for (Walk unit = walk(split(bands * run.cut.groups, 1, tile, n_tiles), run.cut.groups); unit.left > 0;
       advance(unit)) {
    if (unit.outer_index != current) {
      current = unit.outer_index;
      band = band_at(run, current);
    }
    const Group group = group_at(run, unit.inner_index);
    ConvTileArgs args = tile_args(run, group);
    args.product.a_stride = s.stride_x * s.c;
    args.y_step = s.dilation_y * band.row_stride;
    if (short_runs) {
      if (offsets_for != band.row_stride) fill_offsets(s, band.row_stride, run.scratch.offsets);
      offsets_for = band.row_stride;
      args.offsets = run.scratch.offsets;
    }
    const ConvTileArgs all = args;
    for (int64_t row = band.rows.begin; row < band.rows.end; row++) run_row(run, band, group, row, all, args);
  }
}

// --- Images --------------------------------------------------------------------------------------------------

// Where the images of a block stand: rows from `row` on, image_stride floats from image to image.
struct ImageRows {
  const float* x;
  int64_t row, image_stride;
};

// In place, or, where dy is pooled, expanded: what some rows of windows need, without any border.
ImageRows image_rows(const Run& run, Range block, Range window_rows) {
  const ConvImages& images = run.conv.images;
  const ConvShape& s = run.conv.shape;
  if (images.argmax == nullptr) return {images.x + block.begin * images.x_stride, 0, images.x_stride};
  const int64_t pool_h = run.conv.out.pool.h, first = window_rows.begin * pool_h * s.stride_y - s.top;
  const int64_t row = larger(0, first);
  const int64_t end = smaller(s.h, first + extent(axis_y(s), (window_rows.end - window_rows.begin) * pool_h));
  const ConvWindow window = {row, larger(0, end - row), 0, s.w};
  const int64_t stride = row_stride(window.rows * s.w * s.c);
  for (int64_t i = block.begin; i < block.end; i++)
    pack_window(images, i, window, run.scratch.input + (i - block.begin) * stride, s.w * s.c);
  return {run.scratch.input, row, stride};
}

// The window of output pixel (oy, ox) in the first of the images, as far as it lies within; b is the whole kernel.
WEFT_INLINE void place_window(const ConvShape& s, const ImageRows& from, int64_t oy, int64_t ox, const float* b,
                              ConvTileArgs& args) {
  const Range ky = taps_inside(axis_y(s), oy), kx = taps_inside(axis_x(s), ox);
  const int64_t row = oy * s.stride_y - s.top + ky.begin * s.dilation_y - from.row;
  const int64_t column = ox * s.stride_x - s.left + kx.begin * s.dilation_x;
  args.product.a = from.x + (row * s.w + column) * s.c;
  args.product.b = b + ky.begin * args.b_y_step + kx.begin * args.b_x_step;
  args.runs_y = kx.end > kx.begin ? ky.end - ky.begin : 0;
  args.runs_x = s.dilation_x == 1 ? 1 : kx.end - kx.begin;
  args.product.steps = s.dilation_x == 1 ? (kx.end - kx.begin) * s.c : s.c;
}

// One row of windows of the images `block`.
void run_image_row(const Run& run, const ImageRows& from, const Group& group, Range block, int64_t row, const float* b,
                   ConvTileArgs& args) {
  const ConvOutput& out = run.conv.out;
  const ConvPool pool = out.pool;
  const int64_t count = block.end - block.begin;
  uint8_t* places = out.argmax ? run.scratch.places : nullptr;
  for (int64_t column = 0; column < run.cut.columns; column++) {
    for (int64_t p = 0; p < run.cut.area; p++) {
      place_window(run.conv.shape, from, row * pool.h + p / pool.w, column * pool.w + p % pool.w, b, args);
      args.product.out = run.scratch.strip + p * count * group.pitch;
      if (!run.epilogue) place_output(run, group, block.begin, row, column, args);
      multiply_pixels(run, group, args, count);
    }
    if (!run.epilogue) continue;
    activate(run, run.cut.area * count * group.pitch);
    const float* finished = run.scratch.strip;
    if (run.cut.area > 1) {
      const int64_t pixel = count * group.pitch;
      const PoolSource windows = {pool, finished, group.pitch, pool.w * pixel, pixel};
      pool_strip(windows, count, group.width, group.pitch, run.scratch.pooled, places);
      finished = run.scratch.pooled;
    }
    for (int64_t i = 0; i < count; i++) {
      finish_pixels(out, block.begin + i, row, column, 1, group.channel, group.width, finished + i * group.pitch,
                    group.pitch, places ? places + i * group.pitch : nullptr);
    }
  }
}

void run_images(const Run& run, int tile, int n_tiles) {
  const ConvShape& s = run.conv.shape;
  const int64_t bands = run.cut.row_blocks.count, count = run.cut.image_blocks.count * bands;
  ImageRows from = {};
  int64_t current = -1;
  for (Walk unit = walk(split(count * run.cut.groups, 1, tile, n_tiles), run.cut.groups); unit.left > 0;
       advance(unit)) {
    const Range block = block_at(run.cut.image_blocks, unit.outer_index / bands);
    const Range rows = block_at(run.cut.row_blocks, unit.outer_index % bands);
    if (unit.outer_index != current) from = image_rows(run, block, rows);
    current = unit.outer_index;
    const Group group = group_at(run, unit.inner_index);
    ConvTileArgs args = tile_args(run, group);
    args.product.a_stride = from.image_stride;
    args.y_step = s.dilation_y * s.w * s.c;
    if (!run.epilogue) args.product.out_stride = run.conv.out.y_stride;
    const float* b = args.product.b;
    for (int64_t row = rows.begin; row < rows.end; row++) run_image_row(run, from, group, block, row, b, args);
  }
}

// --- Patches -------------------------------------------------------------------------------------------------

// A place among all windows of all images.
struct WindowAt {
  int64_t image, row, column;
};
WEFT_INLINE WindowAt window_at(const Cut& cut, int64_t index) {
  const int64_t row = index / cut.columns;
  return {row / cut.rows, row % cut.rows, index % cut.columns};
}
WEFT_INLINE void advance(const Cut& cut, WindowAt& at, int64_t columns) {
  at.column += columns;
  if (at.column < cut.columns) return;
  at.column = 0;
  if (++at.row < cut.rows) return;
  at.row = 0;
  at.image++;
}

// One element of the input, 0 outside of the image.
float element_at(const ConvImages& images, int64_t image, int64_t row, int64_t column, int64_t channel) {
  const int64_t py = row / images.pool.h, px = column / images.pool.w;
  const int64_t height = images.h / images.pool.h, width = images.w / images.pool.w;
  if (row < 0 || column < 0 || py >= height || px >= width) return 0;
  const int64_t at = (py * width + px) * images.c + channel;
  const int64_t place = row % images.pool.h * images.pool.w + column % images.pool.w;
  if (images.argmax && images.argmax[image * images.argmax_stride + at] != place) return 0;
  return images.x[image * images.x_stride + at];
}

// Steps [begin, end) of the patch of output pixel (oy, ox); in whole elements of the kernel, if those fit a pass.
void pack_patch(const Run& run, int64_t image, int64_t oy, int64_t ox, Range steps, float* patch) {
  const ConvShape& s = run.conv.shape;
  const ConvImages& images = run.conv.images;
  const int64_t row = oy * s.stride_y - s.top, column = ox * s.stride_x - s.left;
  if (steps.end - steps.begin == run.cut.steps && s.dilation_y == 1 && s.dilation_x == 1)
    return pack_window(images, image, {row, s.kh, column, s.kw}, patch, s.kw * s.c);
  const bool whole = steps.begin % s.c == 0 && steps.end % s.c == 0;
  for (int64_t k = steps.begin; k < steps.end; k += whole ? s.c : 1) {
    const int64_t y = row + k / s.c / s.kw * s.dilation_y, x = column + k / s.c % s.kw * s.dilation_x;
    if (whole)
      pack_window(images, image, {y, 1, x, 1}, patch + k - steps.begin, s.c);
    else
      patch[k - steps.begin] = element_at(images, image, y, x, k % s.c);
  }
}

// The patches of a chunk of windows, pixel after pixel.
void pack_chunk(const Run& run, Range windows, Range steps, int64_t pitch) {
  const ConvPool pool = run.conv.out.pool;
  float* patch = run.scratch.input;
  WindowAt at = window_at(run.cut, windows.begin);
  for (int64_t w = windows.begin; w < windows.end; w++, advance(run.cut, at, 1)) {
    for (int64_t p = 0; p < run.cut.area; p++, patch += pitch) {
      pack_patch(run, at.image, at.row * pool.h + p / pool.w, at.column * pool.w + p % pool.w, steps, patch);
    }
  }
}

void finish_chunk(const Run& run, const Group& group, Range windows) {
  const ConvOutput& out = run.conv.out;
  const int64_t count = windows.end - windows.begin;
  const float* finished = run.scratch.strip;
  const uint8_t* places = out.argmax ? run.scratch.places : nullptr;
  activate(run, count * run.cut.area * group.pitch);
  if (run.cut.area > 1) {
    const PoolSource source = {out.pool, finished, run.cut.area * group.pitch, out.pool.w * group.pitch, group.pitch};
    pool_strip(source, count, group.width, group.pitch, run.scratch.pooled, out.argmax ? run.scratch.places : nullptr);
    finished = run.scratch.pooled;
  }
  WindowAt at = window_at(run.cut, windows.begin);
  for (int64_t i = 0; i < count;) {
    const int64_t taken = smaller(count - i, run.cut.columns - at.column);
    finish_pixels(out, at.image, at.row, at.column, taken, group.channel, group.width, finished + i * group.pitch,
                  group.pitch, places ? places + i * group.pitch : nullptr);
    advance(run.cut, at, taken);
    i += taken;
  }
}

void run_patches(const Run& run, int tile, int n_tiles) {
  const Cut& cut = run.cut;
  const int64_t windows = run.conv.shape.n * cut.rows * cut.columns;
  const bool one_pass = cut.pass == cut.steps;
  const int64_t pitch = row_stride(cut.pass);
  int64_t packed = -1;
  for (Walk unit = walk(split(cut.chunks * cut.groups, 1, tile, n_tiles), cut.groups); unit.left > 0; advance(unit)) {
    const int64_t begin = unit.outer_index * cut.chunk;
    const Range chunk = {begin, smaller(begin + cut.chunk, windows)};
    const Group group = group_at(run, unit.inner_index);
    ConvTileArgs args = tile_args(run, group);
    const bool relu = args.product.relu;
    args.runs_y = args.runs_x = 1;
    args.product.a_stride = pitch;
    int64_t k = 0;
    do {
      const Range steps = {k, smaller(k + cut.pass, cut.steps)};
      if (!one_pass || packed != unit.outer_index) pack_chunk(run, chunk, steps, pitch);
      args.product.steps = steps.end - steps.begin;
      args.product.relu = relu && steps.end == cut.steps;
      args.product.a = run.scratch.input, args.product.out = run.scratch.strip;
      multiply_pixels(run, group, args, (chunk.end - chunk.begin) * cut.area);
      args.product.b += args.product.steps * kPanel;
      args.product.start = run.scratch.strip, args.product.start_stride = group.pitch;
      k = steps.end;
    } while (k < cut.steps);
    packed = unit.outer_index;
    finish_chunk(run, group, chunk);
  }
}

}  // namespace

int64_t convolution_pieces(const Convolution& conv) {
  if (conv.winograd) return winograd_pieces(conv);
  const ConvShape& s = conv.shape;
  return ceil_divide(s.n * s.oh * s.ow, kTileRows) * ceil_divide(s.f, kTileColumns);
}

void convolution_run(const Convolution& conv, int tile, int n_tiles) {
  if (conv.winograd) return winograd_run(conv, tile, n_tiles);
  if (conv.shape.n == 0) return;
  const Cut cut = cut_of(conv, n_tiles);
  if (cut.rows == 0 || cut.columns == 0) return;
  const ConvOutput& out = conv.out;
  const bool by_saved = out.saved != nullptr && out.saved_act.fn == UnaryFn::kRelu;  // so is dropout
  const bool epilogue = cut.way == Way::kPatches || conv.shape.f % kPanel != 0 || cut.area > 1 ||
                        !is_simple(out.act.fn) || !is_simple(out.saved_act.fn) ||
                        (out.dropout.threshold != 0 && !by_saved);
  Scratch scratch;
  const Run run = {conv, cut, scratch, epilogue};
  if (cut.dot) pack_dot_weights(conv, cut, scratch.dot_weights);
  // pool_strip compares whole vectors: no stray NaN behind the channels may send it the slow way.
  if (cut.area > 1) zero_floats(scratch.strip, kStripFloats + kStripSlack);
  if (cut.way == Way::kBands) return run_bands(run, tile, n_tiles);
  if (cut.way == Way::kImages) return run_images(run, tile, n_tiles);
  run_patches(run, tile, n_tiles);
}

}  // namespace weft::WEFT_ISA
