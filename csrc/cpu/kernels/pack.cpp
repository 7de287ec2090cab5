// Changes of layout: pack (rows to panels), unpack (panels to rows) and transpose; and scale_panels. Panels are
// P[n/16][k][16]; a thread's tile is a share of them, of transpose a share of the columns of x.

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/transpose.h"

namespace weft::WEFT_ISA {
namespace {

// A copied element costs about what 16 multiply-adds of a product do.
constexpr int64_t kCopyWork = 16;

int pack_tiles(const PackArgs& args, int threads) {
  return suitable_tiles(args.k * args.n * kCopyWork, ceil_divide(args.n, kPanel), threads);
}

void pack_run(const PackArgs& args, int tile, int n_tiles) {
  const Range columns = split(args.n, kPanel, tile, n_tiles);
  for (int64_t column = columns.begin; column < columns.end; column += kPanel) {
    const int64_t count = smaller(kPanel, args.n - column);
    const float* row = args.rows + column;         // (k, count), stride row_stride
    float* panel = args.panels + column * args.k;  // (k, 16)
    for (int64_t k = 0; k < args.k; k++, row += args.row_stride, panel += kPanel) {
      if (count == kPanel) {
        WEFT_UNROLL
        for (int c = 0; c < kPanel; c += kWidth) store(panel + c, load(row + c));
      } else {
        for (int64_t c = 0; c < kPanel; c++) panel[c] = c < count ? row[c] : 0;
      }
    }
  }
}

int unpack_tiles(const UnpackArgs& args, int threads) {
  return suitable_tiles(args.k * args.n * kCopyWork, ceil_divide(args.n, kPanel), threads);
}

void unpack_run(const UnpackArgs& args, int tile, int n_tiles) {
  const Range columns = split(args.n, kPanel, tile, n_tiles);
  for (int64_t column = columns.begin; column < columns.end; column += kPanel) {
    const int64_t count = smaller(kPanel, args.n - column);
    const float* panel = args.panels + column * args.k;  // (k, 16)
    float* row = args.rows + column;                     // (k, count), stride row_stride
    for (int64_t k = 0; k < args.k; k++, row += args.row_stride, panel += kPanel) {
      if (count == kPanel) {
        WEFT_UNROLL
        for (int c = 0; c < kPanel; c += kWidth) store(row + c, load(panel + c));
      } else {
        for (int64_t c = 0; c < count; c++) row[c] = panel[c];
      }
    }
  }
}

int transpose_tiles(const TransposeArgs& args, int threads) {
  return suitable_tiles(args.rows * args.columns * kCopyWork, ceil_divide(args.columns, kPanel), threads);
}

void transpose_run(const TransposeArgs& args, int tile, int n_tiles) {
  const auto as_it_is = [](int64_t, int64_t, Vec v) __attribute__((always_inline)) { return v; };
  const Range columns = split(args.columns, kPanel, tile, n_tiles);
  alignas(64) float edge[kPanel * kPanel];  // the last rows of x, with rows of 0 below
  for (int64_t column = columns.begin; column < columns.end; column += kPanel) {
    const int64_t count = smaller(kPanel, args.columns - column);
    float* y = args.y + column * args.y_stride;  // (count, rows)
    int64_t row = 0;
    for (; row + kPanel <= args.rows; row += kPanel) {
      const float* x = args.x + row * args.x_stride + column;
      transpose_block(x, args.x_stride, y + row, args.y_stride, count, as_it_is);
    }
    if (row < args.rows) {
      const float* x = args.x + row * args.x_stride + column;
      for (int64_t r = 0; r < kPanel; r++)
        for (int64_t c = 0; c < kPanel; c += kWidth)
          store(edge + r * kPanel + c, row + r < args.rows ? load(x + r * args.x_stride + c) : Vec{});
      transpose_block(edge, kPanel, y + row, args.y_stride, count, as_it_is);
    }
  }
}

int scale_panels_tiles(const ScalePanelsArgs& args, int threads) {
  return suitable_tiles(args.k * args.n * kCopyWork, ceil_divide(args.n, kPanel), threads);
}

void scale_panels_run(const ScalePanelsArgs& args, int tile, int n_tiles) {
  const Range columns = split(args.n, kPanel, tile, n_tiles);
  for (int64_t column = columns.begin; column < columns.end; column += kPanel) {
    // Not what may stand behind the last factor: the padding lanes stay 0.
    const Chunk scale = load_partial_chunk(args.scale + column, args.n - column, 0);
    const float* w = args.w + column * args.k;  // (k, 16)
    float* y = args.y + column * args.k;        // (k, 16)
    for (int64_t k = 0; k < args.k; k++, w += kPanel, y += kPanel)
      store_chunk(y, map(load_chunk(w), scale, Multiply()));
  }
}

}  // namespace

void fill_pack(KernelTable& table) {
  table.pack = {pack_tiles, pack_run};
  table.unpack = {unpack_tiles, unpack_run};
  table.transpose = {transpose_tiles, transpose_run};
  table.scale_panels = {scale_panels_tiles, scale_panels_run};
}

}  // namespace weft::WEFT_ISA
