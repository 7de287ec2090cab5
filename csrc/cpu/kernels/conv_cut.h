// How a convolution is cut into tiles: one of three ways, chosen by the multiply-adds that each would make, and the
// sizes of its pieces.
#pragma once

#include "cpu/kernels/conv_product.h"
#include "cpu/kernels/conv_tile.h"

namespace weft::WEFT_ISA {
namespace {

// Floats of a thread's scratch (128 KiB of L2) and of the strip of outputs on their way to the epilogue (L1), which
// holds at least one pooling window: its places are bytes, so it has at most 256 pixels.
constexpr int64_t kScratch = 32 * 1024, kStrip = 4096, kLargestPool = 256;
constexpr int64_t kStripFloats = kLargestPool * kTileColumns > kStrip ? kLargestPool* kTileColumns : kStrip;
constexpr int64_t kMostPixels = kStripFloats / kTileColumns;
constexpr int64_t kMostOffsets = 256;
constexpr int64_t kDotWeights = 8 * 1024;
// Rows of a tile below which it is no faster than with that many.
constexpr int64_t kLeastRows = kTileRows == 14 ? 6 : kTileRows == 6 ? 4 : 2;

enum class Way { kBands, kImages, kPatches };

// How a convolution is cut. Outputs are counted in pooling windows, rows x columns of them to an image.
struct Cut {
  Way way;
  bool dot;                          // few outputs, see dot_tile; in bands
  int64_t steps, run;                // of the reduced axis, of one run of it
  int64_t groups;                    // of panels
  int64_t rows, columns;             // windows
  int64_t area;                      // pixels of a window
  Blocks row_blocks, column_blocks;  // bands
  Blocks image_blocks;
  int64_t chunk, chunks, pass;  // patches: windows of a chunk, chunks, steps of a pass
};

// One axis of a convolution.
struct Axis {
  int64_t size, outputs, stride, kernel, dilation, before;
};
WEFT_INLINE Axis axis_y(const ConvShape& s) { return {s.h, s.oh, s.stride_y, s.kh, s.dilation_y, s.top}; }
WEFT_INLINE Axis axis_x(const ConvShape& s) { return {s.w, s.ow, s.stride_x, s.kw, s.dilation_x, s.left}; }

// Input pixels under `outputs` neighbours, and the most outputs that `pixels` input pixels serve.
WEFT_INLINE int64_t extent(const Axis& a, int64_t outputs) {
  return (outputs - 1) * a.stride + (a.kernel - 1) * a.dilation + 1;
}
WEFT_INLINE int64_t outputs_within(const Axis& a, int64_t pixels) {
  const int64_t left = pixels - (a.kernel - 1) * a.dilation - 1;
  return left < 0 ? 0 : left / a.stride + 1;
}

// The elements of the kernel that see pixels within the image, for one output; they may be none.
WEFT_INLINE Range taps_inside(const Axis& a, int64_t output) {
  const int64_t first = output * a.stride - a.before;
  if (first >= 0 && first + (a.kernel - 1) * a.dilation < a.size) return {0, a.kernel};
  const int64_t begin = first < 0 ? ceil_divide(-first, a.dilation) : 0;
  const int64_t end = first < a.size ? smaller(a.kernel, ceil_divide(a.size - first, a.dilation)) : 0;
  return {begin, larger(begin, end)};
}
// Their sum over all outputs.
int64_t all_taps_inside(const Axis& a) {
  int64_t sum = 0;
  for (int64_t k = 0; k < a.kernel; k++) {
    const int64_t from = a.before - k * a.dilation, to = from + a.size;
    const int64_t begin = from > 0 ? ceil_divide(from, a.stride) : 0;
    const int64_t end = to > 0 ? smaller(a.outputs, ceil_divide(to, a.stride)) : 0;
    sum += larger(0, end - begin);
  }
  return sum;
}

// What a row of tiles over `pixels` pixels costs, in pixels.
WEFT_INLINE double tile_cost(int64_t pixels) {
  return static_cast<double>(larger(pixels, ceil_divide(pixels, kTileRows) * kLeastRows));
}

// The cheapest way, by the multiply-adds that it makes; bands if nothing else is clearly cheaper.
Way way_of(const Convolution& conv, const Cut& cut, bool bands_fit) {
  const ConvShape& s = conv.shape;
  if (cut.dot) return Way::kBands;
  if (cut.steps == 0) return Way::kPatches;
  const Axis y = axis_y(s), x = axis_x(s);
  const double taps_y = static_cast<double>(all_taps_inside(y)), taps_x = static_cast<double>(all_taps_inside(x));
  const double bands = static_cast<double>(s.n * s.kw) * taps_y * tile_cost(cut.columns * conv.out.pool.w);
  const double images = 1.05 * taps_y * taps_x * tile_cost(s.n);
  // A patch is copied once for all panels.
  const double patches = (1.05 + 3.0 / static_cast<double>(s.f)) * static_cast<double>(s.kh * s.kw) *
                         tile_cost(s.n * cut.rows * cut.columns * cut.area);
  const bool aliasing = s.stride_x * s.c % 512 == 0;  // the pixels of a tile would collide in L1
  // Short runs are cheap only with a table of their offsets; small products are not worth a copy.
  const bool long_runs = cut.run >= kPanel;
  const int64_t block = smaller(kTileRows, s.n);  // images
  const bool expanded = conv.images.argmax != nullptr;
  const bool images_fit = long_runs && block * cut.area * kTileColumns <= kStripFloats &&
                          (!expanded || block * row_stride(extent(y, conv.out.pool.h) * s.w * s.c) <= kScratch);
  if (bands_fit && !aliasing && (!images_fit || bands <= images) && (!long_runs || bands <= patches)) {
    return Way::kBands;
  }
  return images_fit && images <= patches ? Way::kImages : Way::kPatches;
}

Cut cut_of(const Convolution& conv, int n_tiles) {
  const ConvShape& s = conv.shape;
  const ConvPool pool = conv.out.pool;
  const Axis y = axis_y(s), x = axis_x(s);
  Cut cut = {};
  cut.run = s.dilation_x == 1 ? s.kw * s.c : s.c;
  cut.steps = s.kh * s.kw * s.c;
  cut.rows = s.oh / pool.h, cut.columns = s.ow / pool.w, cut.area = pool.h * pool.w;
  if (cut.rows == 0 || cut.columns == 0) return cut;

  // Bands: as many rows as fit the scratch, of the whole width if one does.
  const int64_t room = kScratch / s.c;  // pixels
  const int64_t columns = smaller(cut.columns, outputs_within(x, room / larger(1, extent(y, pool.h))) / pool.w);
  // A function of the shape alone, because it decides on the order of the sums.
  cut.dot = s.f <= kDotOutputs && cut.run >= kChunk && columns > 0 &&
            s.kh * s.kw * s.c / cut.run * round_up(cut.run, kChunk) * s.f <= kDotWeights;
  cut.groups = cut.dot ? 1 : ceil_divide(s.f, kTileColumns);
  cut.way = way_of(conv, cut, columns > 0);
  const int64_t wanted = n_tiles == 1 ? 1 : ceil_divide(3 * int64_t{n_tiles}, cut.groups);  // bands or chunks

  if (cut.way == Way::kImages) {
    cut.image_blocks = near_equal_blocks(s.n, ceil_divide(s.n, kTileRows));
    // In place, row by row. Where it is expanded, as many rows as fit, since neighbours need the same input.
    const int64_t image_room = kScratch / smaller(kTileRows, s.n) - 2 * kPanel;
    int64_t rows = 1;
    if (conv.images.argmax != nullptr) rows = outputs_within(y, image_room / (s.w * s.c)) / pool.h;
    if (conv.images.argmax != nullptr && s.h * s.w * s.c <= image_room) rows = cut.rows;
    const int64_t for_block = ceil_divide(wanted, cut.image_blocks.count);
    cut.row_blocks =
        near_equal_blocks(cut.rows, larger(ceil_divide(cut.rows, larger(1, rows)), smaller(cut.rows, for_block)));
  } else if (cut.way == Way::kPatches) {
    const int64_t windows = s.n * cut.rows * cut.columns;
    const int64_t most = smaller(kScratch / row_stride(larger(1, cut.steps)) / kTileRows * kTileRows, kMostPixels);
    const int64_t pixels =
        smaller(larger(kTileRows, most), round_up(ceil_divide(windows * cut.area, wanted), kTileRows));
    cut.chunk = larger(1, pixels / cut.area);
    cut.chunks = ceil_divide(windows, cut.chunk);
    cut.pass = cut.steps;
    const int64_t each = kScratch / (cut.chunk * cut.area);
    if (row_stride(cut.steps) > each) cut.pass = each / kPanel * kPanel - kPanel;  // so that row_stride(pass) <= each
    if (cut.pass < cut.steps && cut.pass >= s.c) cut.pass = cut.pass / s.c * s.c;
  } else {
    const int64_t rows = larger(1, outputs_within(y, room / extent(x, columns * pool.w)) / pool.h);
    const int64_t for_image = ceil_divide(wanted, larger(1, s.n));
    const int64_t bands = larger(ceil_divide(cut.rows, rows), smaller(cut.rows, for_image));
    const int64_t narrowest = ceil_divide(cut.columns * pool.w, kTileRows);
    const int64_t across = larger(ceil_divide(cut.columns, columns), smaller(narrowest, ceil_divide(for_image, bands)));
    cut.row_blocks = near_equal_blocks(cut.rows, bands);
    cut.column_blocks = near_equal_blocks(cut.columns, smaller(across, cut.columns));
  }
  return cut;
}

}  // namespace
}  // namespace weft::WEFT_ISA
