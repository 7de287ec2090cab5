// The register tile of conv2d_grad_kernel: sums[i][j] += the sum over positions of a(position, i) * b(position, j),
// i being kernel elements and j columns of a pair of panels. Positions are three nested loops, over images, rows and
// pixels, so that a is read where it is: pixels of x, or patches. One chain of FMAs for each sum.
#pragma once

#include "cpu/kernels/gemm_tile.h"

namespace weft::WEFT_ISA {
namespace {

// Filters that may be rows of a tile, all of them in one.
constexpr int kMostExchanged = 4;
constexpr int kMostRows = kTileRows > kMostExchanged ? kTileRows : kMostExchanged;

// With patches there are few tiles for a block. They fetch the vectors so many positions ahead themselves: without,
// 1->32 channels of 28x28 run at 42 instead of 60 % of peak on AVX2, when they come from memory.
constexpr int64_t kAhead = 256;

// One of the nested loops over positions: how many, and how far a and b move.
struct Level {
  int64_t count, a, b;
};
struct Sum {
  Level image, row, pixel;
  const float *a, *b;
  int64_t a_row;  // from one kernel element to the next: patch_stride, or 1
  float* sums;    // sums[panel*sums_panel + row*16 + column]
  int64_t sums_panel;
};

// `outer` and `inner` as one level, where the positions of a row follow on those of the row before.
WEFT_INLINE void merge(Level& outer, Level& inner) {
  if (outer.a != inner.count * inner.a || outer.b != inner.count * inner.b) return;
  inner.count *= outer.count;
  outer.count = 1;
}

template <bool kFromPatches, int kRows, int kVecs>
__attribute__((noinline)) void sum_tile(const Sum& s) {
  Vec acc[kRows][kVecs];
  float* const sums = s.sums;
  const int64_t panel = s.sums_panel;
  WEFT_UNROLL
  for (int i = 0; i < kRows; i++) WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) acc[i][j] = load(sums + i * kPanel + vec_offset<Vec>(j, panel));
  const int64_t a_step = kFromPatches ? 1 : s.pixel.a, a_row = kFromPatches ? s.a_row : 1, b_step = s.pixel.b;
  [[maybe_unused]] const int64_t b_ahead = kAhead * b_step;
  const float *a_image = s.a, *b_image = s.b;
  for (int64_t image = s.image.count; image > 0; image--, a_image += s.image.a, b_image += s.image.b) {
    const float *a_line = a_image, *b_line = b_image;
    for (int64_t row = s.row.count; row > 0; row--, a_line += s.row.a, b_line += s.row.b) {
      const float *a = a_line, *end = b_line + s.pixel.count * b_step;
      for (const float* b = b_line; b != end; a += a_step, b += b_step) {
        WEFT_UNROLL
        for (int j = 0; kFromPatches && j < kVecs / kPanelVecs; j++) __builtin_prefetch(b + b_ahead + j * kPanel);
        multiply_step(acc, b, kPanel, [&](int i) __attribute__((always_inline)) { return a[i * a_row]; });
      }
    }
  }
  WEFT_UNROLL
  for (int i = 0; i < kRows; i++) WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) store(sums + i * kPanel + vec_offset<Vec>(j, panel), acc[i][j]);
}

template <bool kFromPatches, int kVecs, int kRows = kMostRows>
void run_sum_rows(int64_t rows, const Sum& s) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_sum_rows<kFromPatches, kVecs, kRows - 1>(rows, s);
  }
  sum_tile<kFromPatches, kRows, kVecs>(s);
}

// The tile of `rows` elements and kTilePanels panels or one.
template <bool kFromPatches>
WEFT_INLINE void run_sum(int64_t panels, int64_t rows, Sum& s) {
  merge(s.row, s.pixel);
  merge(s.image, s.row.count == 1 ? s.pixel : s.row);
  if (panels == kTilePanels)
    run_sum_rows<kFromPatches, kTilePanels * kPanelVecs>(rows, s);
  else
    run_sum_rows<kFromPatches, kPanelVecs>(rows, s);
}

}  // namespace
}  // namespace weft::WEFT_ISA
