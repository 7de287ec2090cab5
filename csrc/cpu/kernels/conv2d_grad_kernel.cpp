// conv2d_grad_kernel: the gradient of a convolution's kernel in panels, or the optimizer's update with it. A
// register tile is up to 14 kernel elements (broadcast operand) of a pair of panels (vector operand), summed over
// positions: pixels of x against dy; through patches of x where c is small; or with the roles of x and dy exchanged
// where f is small. A unit of work is one register tile; a thread owns a contiguous share of the units for all
// images and takes them in groups, whose sums wait in a buffer from one block of positions to the next.

#include "cpu/kernels/conv_patches.h"
#include "cpu/kernels/conv_sum.h"
#include "cpu/kernels/conv_winograd.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/vector_math.h"
#include "ops/update_rules.h"

namespace weft::WEFT_ISA {
namespace {

// A function of the shape alone: positions that see the zeros around an image are skipped or not.
enum class Way {
  kDirect,     // a tile has channels of one (ky, kx), and skips positions that see the zeros around the image
  kPatches,    // a tile has any kernel elements, from patches of x
  kExchanged,  // patches of dy against pixels of x: kernel elements (ky, kx, f), panels of c
};
constexpr int64_t kDirectChannels = 5;

// Scratch of a thread, in floats: the sums of a group of units; copies of the operands.
constexpr int64_t kSumFloats = 32 * 1024, kPatchFloats = 16 * 1024, kVectorFloats = 16 * 1024;
constexpr int64_t kTileFloats = kMostRows * kTileColumns;
constexpr int64_t kGroupUnits = kSumFloats / kTileFloats;
// With patches, so many that those of 32 positions have room.
constexpr int64_t kPatchUnits = kPatchFloats / (48 * kMostRows);
static_assert(row_stride(32 + kPanel - 1) <= 48);

// Positions of a block: enough to make the way in and out of a tile cheap, few enough for L2.
constexpr int64_t kMostPositions = 256;

struct Scratch {
  alignas(64) float sums[kSumFloats];
  alignas(64) float vectors[kVectorFloats];
  alignas(64) float patches[kPatchFloats];
  PatchScratch patch;
};

// The gradient as one product: kernel elements x columns, summed over the positions of a grid.
struct Product {
  Way way;
  Conv2dGradKernelArgs args;
  ConvImages scalars, vectors;  // x and dy, or dy and x when exchanged
  PatchShape patches;           // of scalars
  int64_t grid_h, grid_w;       // positions of an image
  int64_t elements;             // kh*kw*c, or kh*kw*f when exchanged
  int64_t columns;              // f, or c when exchanged
  int64_t blocks;               // register tiles of a pair of panels
};

// How many positions make a block.
struct BlockSize {
  int64_t images, rows, columns;
};

WEFT_INLINE int64_t kernel_pixels(const ConvShape& s) { return s.kh * s.kw; }
WEFT_INLINE int64_t direct_parts(const ConvShape& s) { return ceil_divide(s.c, kTileRows); }
WEFT_INLINE int64_t exchanged_pixels(const ConvShape& s) { return larger(1, kTileRows / s.f); }  // of a tile

// What the output sees of x.
PatchShape patches_of_x(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  PatchShape p = {};
  p.images = images_of_x(args);
  p.kh = s.kh, p.kw = s.kw, p.stride_y = s.stride_y, p.stride_x = s.stride_x;
  p.dilation_y = s.dilation_y, p.dilation_x = s.dilation_x;
  p.row = -s.top, p.column = -s.left;
  return p;
}

// What the input is seen by of dy; with strides of 1.
PatchShape patches_of_dy(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  PatchShape p = {};
  p.images = images_of_dy(args);
  p.kh = s.kh, p.kw = s.kw, p.stride_y = p.stride_x = 1;
  p.dilation_y = s.dilation_y, p.dilation_x = s.dilation_x;
  p.row = s.top - (s.kh - 1) * s.dilation_y, p.column = s.left - (s.kw - 1) * s.dilation_x;
  p.reversed = true;
  return p;
}

Way way_of(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  const bool strided = s.stride_y > 1 || s.stride_x > 1;
  const bool cheaper = s.f * round_up(s.c, kPanel) < s.c * kPanel;
  if (s.f <= kMostExchanged && !strided && cheaper && window_fits(patches_of_dy(args), 1, smaller(s.w, kPanel)))
    return Way::kExchanged;
  if (s.c < kDirectChannels && window_fits(patches_of_x(args), 1, smaller(s.ow, kPanel))) return Way::kPatches;
  return Way::kDirect;
}

Product product_of(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  Product p = {};
  p.args = args;
  p.way = way_of(args);
  const bool exchanged = p.way == Way::kExchanged;
  p.patches = exchanged ? patches_of_dy(args) : patches_of_x(args);
  p.scalars = p.patches.images;
  p.vectors = exchanged ? images_of_x(args) : images_of_dy(args);
  // What pooling has dropped has no gradient.
  p.grid_h = exchanged ? s.h : s.oh / args.pool.h * args.pool.h;
  p.grid_w = exchanged ? s.w : s.ow / args.pool.w * args.pool.w;
  p.elements = kernel_pixels(s) * p.scalars.c, p.columns = p.vectors.c;
  p.blocks = p.way == Way::kDirect    ? kernel_pixels(s) * direct_parts(s)
             : p.way == Way::kPatches ? ceil_divide(p.elements, kTileRows)
                                      : ceil_divide(kernel_pixels(s), exchanged_pixels(s));
  return p;
}

WEFT_INLINE int64_t pair_count(const Product& p) { return ceil_divide(p.columns, kTileColumns); }
WEFT_INLINE int64_t unit_count(const Product& p) { return pair_count(p) * p.blocks; }

// One register tile of the result.
struct Unit {
  int64_t panel, panels;  // the first one, and how many
  Range elements;
  int64_t at;  // where it begins in the weights' panels; not when exchanged
  // kDirect: channels of x; position (y, x) sees pixel (y*stride_y + row, x*stride_x + column); positions that see
  // one within the image.
  Range channels;
  int64_t row, column;
  Range rows, columns;
};

// Positions of [0, count) that see a pixel of [0, size), at position*stride + offset.
WEFT_INLINE Range inside(int64_t count, int64_t stride, int64_t offset, int64_t size) {
  const int64_t begin = offset < 0 ? ceil_divide(-offset, stride) : 0;
  const int64_t end = size > offset ? (size - 1 - offset) / stride + 1 : 0;
  return {begin, smaller(count, end)};
}

// In the order in which a thread takes them: units with the same channels or patches are neighbours.
Unit unit_at(const Product& p, int64_t index) {
  const ConvShape& s = p.args.shape;
  const int64_t pixels = p.way == Way::kDirect ? kernel_pixels(s) : 1;
  const int64_t pixel = index % pixels, pair = index / pixels % pair_count(p), block = index / pixels / pair_count(p);
  Unit unit = {};
  if (p.way == Way::kDirect) {
    unit.channels = block_at(near_equal_blocks(s.c, direct_parts(s)), block);
    unit.elements = {pixel * s.c + unit.channels.begin, pixel * s.c + unit.channels.end};
    unit.row = pixel / s.kw * s.dilation_y - s.top, unit.column = pixel % s.kw * s.dilation_x - s.left;
    unit.rows = inside(p.grid_h, s.stride_y, unit.row, s.h);
    unit.columns = inside(p.grid_w, s.stride_x, unit.column, s.w);
  } else if (p.way == Way::kPatches) {
    unit.elements = block_at(near_equal_blocks(p.elements, p.blocks), block);
  } else {
    const Range part = block_at(near_equal_blocks(kernel_pixels(s), p.blocks), block);
    unit.elements = {part.begin * s.f, part.end * s.f};
  }
  unit.panel = pair * kTilePanels;
  unit.panels = smaller(kTilePanels, ceil_divide(p.columns, kPanel) - unit.panel);
  unit.at = (unit.panel * p.elements + unit.elements.begin) * kPanel;
  return unit;
}

// Units that share a pass over the images.
struct Group {
  Unit units[kGroupUnits];
  int64_t count;
  Range panels, elements, channels;  // those that occur
};

void fill_group(const Product& p, Range units, Group& group) {
  group.count = length(units);
  group.panels = group.elements = group.channels = {};
  for (int64_t i = 0; i < group.count; i++) {
    const Unit unit = group.units[i] = unit_at(p, units.begin + i);
    const Range panels = {unit.panel, unit.panel + unit.panels};
    if (i == 0) group.panels = panels, group.elements = unit.elements, group.channels = unit.channels;
    group.panels = hull(group.panels, panels);
    group.elements = hull(group.elements, unit.elements);
    group.channels = hull(group.channels, unit.channels);
  }
}

// --- Operands of a block ---

// The vectors: in place, or copied together.
struct Vectors {
  const float* data;  // (pairs of panels, images, rows, columns, kTileColumns) at these strides
  int64_t pair, image, row, pixel;
};

// Whether the vectors of a block end beyond the last image, when read in place.
WEFT_INLINE bool reads_beyond(const Product& p, const ConvBlock& block) {
  const ConvImages& v = p.vectors;
  const int64_t last = (block.rows.end - 1) * v.w + block.columns.end - 1;
  return block.images.end == p.args.shape.n && last * v.c + round_up(v.c, kPanel) > v.x_stride;
}

Vectors vectors_of(const Product& p, const ConvBlock& block, const Group& group, float* scratch) {
  const ConvImages& v = p.vectors;
  if (v.argmax || reads_beyond(p, block)) {
    pack_vectors(v, block, group.panels, scratch);
    const int64_t row = length(block.columns) * kTileColumns, image = length(block.rows) * row;
    return {scratch, length(block.images) * image, image, row, kTileColumns};
  }
  const int64_t first = (block.rows.begin * v.w + block.columns.begin) * v.c + group.panels.begin * kPanel;
  return {v.x + block.images.begin * v.x_stride + first, kTileColumns, v.x_stride, v.w * v.c, v.c};
}

// Adds a block's products to the sums of a unit of kDirect.
void sum_direct(const Product& p, const ConvBlock& block, const Vectors& v, const Unit& unit, Sum& sum) {
  const ConvShape& s = p.args.shape;
  const ConvImages& x = p.scalars;
  const Range rows = intersection(block.rows, unit.rows), columns = intersection(block.columns, unit.columns);
  if (length(rows) <= 0 || length(columns) <= 0) return;
  const int64_t row = rows.begin * s.stride_y + unit.row, column = columns.begin * s.stride_x + unit.column;
  sum.image = {length(block.images), x.x_stride, v.image};
  sum.row = {length(rows), s.stride_y * s.w * s.c, v.row};
  sum.pixel = {length(columns), s.stride_x * s.c, v.pixel};
  sum.a = x.x + block.images.begin * x.x_stride + (row * s.w + column) * s.c + unit.channels.begin;
  sum.b += (rows.begin - block.rows.begin) * v.row + (columns.begin - block.columns.begin) * v.pixel;
  run_sum<false>(unit.panels, length(unit.elements), sum);
}

// --- Passes over the images ---

WEFT_INLINE bool block_fits(const Product& p, const Group& group, BlockSize size) {
  const int64_t positions = size.images * size.rows * size.columns;
  if (positions > kMostPositions && p.way == Way::kDirect) return false;
  const bool copies = p.vectors.argmax || p.vectors.c % kPanel != 0;
  if (copies && positions * round_up(length(group.panels), kTilePanels) * kPanel > kVectorFloats) return false;
  if (p.way == Way::kDirect) return true;
  return patch_stride(positions) * length(group.elements) <= kPatchFloats &&
         window_fits(p.patches, size.rows, size.columns);
}

// As many positions as fit, in near equal parts: whole images; or whole rows of one; or a part of one row.
BlockSize block_size(const Product& p, const Group& group, int64_t images) {
  BlockSize size = {1, 1, p.grid_w};
  for (int64_t parts = 1; !block_fits(p, group, size) && size.columns > 1; parts++)
    size.columns = ceil_divide(p.grid_w, parts);
  if (size.columns < p.grid_w) return size;
  size.rows = p.grid_h;
  for (int64_t parts = 1; !block_fits(p, group, size) && size.rows > 1; parts++)
    size.rows = ceil_divide(p.grid_h, parts);
  if (size.rows < p.grid_h) return size;
  size.images = images;
  for (int64_t parts = 1; !block_fits(p, group, size) && size.images > 1; parts++)
    size.images = ceil_divide(images, parts);
  return size;
}

// Where the sums of unit i of a group are: in the gradient itself where possible.
struct Sums {
  float* data;  // (panels, elements, 16), panel stride `panel`
  int64_t panel;
};
WEFT_INLINE bool in_place(const Product& p) { return p.args.grad && p.way != Way::kExchanged; }
WEFT_INLINE Sums sums_of(const Product& p, const Group& group, int64_t i, float* buffer) {
  const Unit& unit = group.units[i];
  if (in_place(p)) return {p.args.grad + unit.at, p.elements * kPanel};
  return {buffer + i * kTileFloats, length(unit.elements) * kPanel};
}

void sum_block(const Product& p, const ConvBlock& block, const ConvBlock* next, const Group& group, Scratch& scratch) {
  const Vectors v = vectors_of(p, block, group, scratch.vectors);
  const bool direct = p.way == Way::kDirect;
  const int64_t rows = length(block.rows), columns = length(block.columns),
                stride = patch_stride(position_count(block));
  Ahead scalars = {}, vectors = {};
  if (!direct) {
    make_patches(p.patches, block, group.elements, scratch.patch, scratch.patches);
  } else if (next) {
    const ConvWindow seen = patch_window(p.patches, next->rows, next->columns);
    scalars = ahead_of(p.scalars, next->images, intersection({seen.row, seen.row + seen.rows}, {0, p.scalars.h}),
                       group.channels);
    vectors = ahead_of(p.vectors, next->images, next->rows,
                       {group.panels.begin * kPanel, smaller(p.columns, group.panels.end * kPanel)});
  }
  const int64_t scalars_per_unit = ceil_divide(scalars.pixels, group.count);
  const int64_t vectors_per_unit = ceil_divide(vectors.pixels, group.count);
  for (int64_t i = 0; i < group.count; i++) {
    const Unit& unit = group.units[i];
    const Sums sums = sums_of(p, group, i, scratch.sums);
    Sum sum = {};
    sum.b = v.data + (unit.panel - group.panels.begin) / kTilePanels * v.pair;
    sum.sums = sums.data, sum.sums_panel = sums.panel;
    if (direct) {
      fetch_pixels(scalars, scalars_per_unit);
      fetch_pixels(vectors, vectors_per_unit);
      sum_direct(p, block, v, unit, sum);
    } else {
      sum.image = {length(block.images), rows * columns, v.image};
      sum.row = {rows, columns, v.row};
      sum.pixel = {columns, 1, v.pixel};
      sum.a = scratch.patches + (unit.elements.begin - group.elements.begin) * stride;
      sum.a_row = stride;
      run_sum<true>(unit.panels, length(unit.elements), sum);
    }
  }
}

void sum_images(const Product& p, Range images, const Group& group, Scratch& scratch) {
  const BlockSize size = block_size(p, group, length(images));
  const int64_t columns = ceil_divide(p.grid_w, size.columns), rows = ceil_divide(p.grid_h, size.rows);
  const int64_t count = ceil_divide(length(images), size.images) * rows * columns;
  const auto block_of = [&](int64_t i) {
    const int64_t image = images.begin + i / columns / rows * size.images;
    const int64_t row = i / columns % rows * size.rows, column = i % columns * size.columns;
    return ConvBlock{{image, smaller(images.end, image + size.images)},
                     {row, smaller(p.grid_h, row + size.rows)},
                     {column, smaller(p.grid_w, column + size.columns)}};
  };
  ConvBlock block = block_of(0);
  for (int64_t i = 0; i < count; i++) {
    const ConvBlock next = block_of(i + 1);
    sum_block(p, block, i + 1 < count ? &next : nullptr, group, scratch);
    block = next;
  }
}

// --- What becomes of the sums ---

// `rows` x 16 floats of the gradient, from `at` on in the panels, are stored or applied.
void deliver(const Conv2dGradKernelArgs& args, int64_t at, float* grad, int64_t rows) {
  const int64_t floats = rows * kPanel;
  if (args.grad) {
    for (int64_t i = 0; i < floats; i += kWidth) store(args.grad + at + i, load(grad + i));
  } else {
    if (needs_preparation(args.update)) prepare_update(args.update, grad, args.w + at, floats);
    apply_update(args.update, args.w, at, grad, floats);
  }
}

void finish_unit(const Product& p, const Unit& unit, Sums sums) {
  const int64_t rows = length(unit.elements);
  for (int64_t i = 0; i < unit.panels; i++) {
    float* grad = sums.data + i * sums.panel;  // (rows, 16)
    // The vectors may hold anything behind the last column; the gradient there is 0.
    for (int64_t row = 0; row < rows; row++)
      for (int64_t c = p.columns - (unit.panel + i) * kPanel; c < kPanel; c++) grad[row * kPanel + c] = 0;
    if (!in_place(p)) deliver(p.args, unit.at + i * p.elements * kPanel, grad, rows);
  }
}

// Sums (ky, kx, f) x c become rows (ky, kx, c) of the one panel of f.
void finish_exchanged(const Product& p, const Unit& unit, Sums sums) {
  const ConvShape& s = p.args.shape;
  alignas(64) float grad[kPanel * kPanel];
  for (int64_t i = 0; i < unit.panels; i++) {
    const int64_t channel = (unit.panel + i) * kPanel, channels = smaller(kPanel, s.c - channel);
    const float* from = sums.data + i * sums.panel;  // (elements, 16)
    for (int64_t k = unit.elements.begin; k < unit.elements.end; k += s.f, from += s.f * kPanel) {
      zero_floats(grad, kPanel * kPanel);
      for (int64_t f = 0; f < s.f; f++)
        for (int64_t c = 0; c < channels; c++) grad[c * kPanel + f] = from[f * kPanel + c];
      deliver(p.args, (k / s.f * s.c + channel) * kPanel, grad, channels);
    }
  }
}

void run_units(const Product& p, Range images, Range units) {
  Scratch scratch;
  Group group;
  const int64_t most = p.way == Way::kDirect ? kGroupUnits : smaller(kGroupUnits, kPatchUnits);
  const Blocks groups = near_equal_blocks(length(units), ceil_divide(length(units), most));
  for (int64_t g = 0; g < groups.count; g++) {
    const Range share = block_at(groups, g);
    fill_group(p, {units.begin + share.begin, units.begin + share.end}, group);
    for (int64_t i = 0; i < group.count; i++) {
      const Sums sums = sums_of(p, group, i, scratch.sums);
      for (int64_t panel = 0; panel < group.units[i].panels; panel++)
        zero_floats(sums.data + panel * sums.panel, length(group.units[i].elements) * kPanel);
    }
    if (length(images) > 0) sum_images(p, images, group, scratch);
    for (int64_t i = 0; i < group.count; i++) {
      const Sums sums = sums_of(p, group, i, scratch.sums);
      if (p.way == Way::kExchanged)
        finish_exchanged(p, group.units[i], sums);
      else
        finish_unit(p, group.units[i], sums);
    }
  }
}

// --- The kernels ---

int64_t work_of(const Product& p) {
  return p.args.shape.n * p.grid_h * p.grid_w * p.elements * round_up(p.columns, kPanel);
}

int conv2d_grad_kernel_tiles(const Conv2dGradKernelArgs& args, int threads) {
  const Product p = product_of(args);
  return suitable_tiles(work_of(p), unit_count(p), threads);
}

void conv2d_grad_kernel_run(const Conv2dGradKernelArgs& args, int tile, int n_tiles) {
  const Product p = product_of(args);
  run_units(p, {0, args.shape.n}, split(unit_count(p), 1, tile, n_tiles));
}

WEFT_INLINE int64_t partial_units(const Conv2dGradKernelPartialsArgs& args) {
  return args.winograd ? winograd_units(args.gradient.shape) : 1;
}

int partials_tiles(const Conv2dGradKernelPartialsArgs& args, int threads) {
  return suitable_tiles(work_of(product_of(args.gradient)), args.groups * partial_units(args), threads);
}

void partials_run(const Conv2dGradKernelPartialsArgs& args, int tile, int n_tiles) {
  const int64_t units = partial_units(args);
  const Range share = split(args.groups * units, 1, tile, n_tiles);
  for (int64_t i = share.begin; i < share.end; i++) {
    const int64_t g = i / units;
    Conv2dGradKernelArgs gradient = args.gradient;
    gradient.grad = args.partials + g * args.partials_stride;
    gradient.update.rule = UpdateRule::kNone;
    const ImageRange run = conv2d_group(gradient.shape.n, args.groups, g);
    const Range images = {run.begin, run.end};
    if (args.winograd) {
      winograd_grad_run(gradient, images, i % units);
    } else {
      const Product p = product_of(gradient);
      run_units(p, images, {0, unit_count(p)});
    }
  }
}

}  // namespace

void fill_conv2d_grad_kernel(KernelTable& table) {
  table.conv2d_grad_kernel = {conv2d_grad_kernel_tiles, conv2d_grad_kernel_run};
  table.conv2d_grad_kernel_partials = {partials_tiles, partials_run};
}

}  // namespace weft::WEFT_ISA
