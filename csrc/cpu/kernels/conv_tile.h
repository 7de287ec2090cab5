// Register tiles of a convolution. A window in NHWC is a few contiguous runs of the reduced axis, one for each row
// of the kernel (for each of its elements where it is dilated), so a tile is that of gemm_tile.h with its reduced
// axis in pieces: rows are pixels, a_stride is the distance of neighbours.
#pragma once

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/gemm_tile.h"

namespace weft::WEFT_ISA {
namespace {

struct ConvTileArgs {
  TileArgs product;            // kRows; a: the first run of the first pixel, steps: of one run
  int64_t runs_y, runs_x;      // runs
  int64_t y_step, x_step;      // floats from run to run in a
  int64_t b_y_step, b_x_step;  // in b
  const int32_t* offsets;      // (runs_y*runs_x*steps) of each element from a on, where runs are short; else null
  const float* saved;          // as product.out, or null: what is stored is scale * a sum where saved > 0, else 0
  float scale;
};

// With few steps each instruction for an output shows: a bias is loaded once, and relu is a single instruction.
template <class V, int kRows, int kVecs>
WEFT_INLINE void begin_conv_tile(V (&acc)[kRows][kVecs], const ConvTileArgs& args) {
  const TileArgs& t = args.product;
  // Fetched here, lines arrive while the tile multiplies: 32 images of 30x30x32 went from 81 to 92 % of peak on Zen 4
  // with AVX2.
  WEFT_UNROLL
  for (int i = 0; i < kRows; i++) WEFT_UNROLL
  for (int c = 0; c < kVecs * static_cast<int>(sizeof(V)) / 4; c += kPanel) {
    __builtin_prefetch(t.out + i * t.out_stride + c, 1);
    if (args.saved != nullptr) __builtin_prefetch(args.saved + i * t.out_stride + c);
  }
  if (t.start_stride != 0) return load_start<ASource::kRows>(acc, t);
  WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) {
    const V start = t.start ? load_as<V>(t.start + vec_offset<V>(j, kPanel)) : V{};
    WEFT_UNROLL
    for (int i = 0; i < kRows; i++) acc[i][j] = start;
  }
}
template <class V, int kRows, int kVecs>
WEFT_INLINE void end_conv_tile(V (&acc)[kRows][kVecs], const ConvTileArgs& args) {
  const TileArgs& t = args.product;
  if (t.relu) {
    WEFT_UNROLL
    for (int i = 0; i < kRows; i++) WEFT_UNROLL
    for (int j = 0; j < kVecs; j++) acc[i][j] = QuickMaximum()(V{}, acc[i][j]);  // its second argument, if NaN
  }
  if (args.saved != nullptr) {
    const V scale = args.scale - V{};
    WEFT_UNROLL
    for (int i = 0; i < kRows; i++) WEFT_UNROLL
    for (int j = 0; j < kVecs; j++) {
      const V saved = load_as<V>(args.saved + i * t.out_stride + vec_offset<V>(j, kPanel));
      acc[i][j] = saved <= 0 ? V{} : acc[i][j] * scale;
    }
  }
  WEFT_UNROLL
  for (int i = 0; i < kRows; i++) WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) store_as(t.out + i * t.out_stride + vec_offset<V>(j, kPanel), acc[i][j]);
}

template <class V, int kRows, int kVecs>
__attribute__((noinline)) void long_runs_tile(const ConvTileArgs& args) {
  V acc[kRows][kVecs];
  begin_conv_tile(acc, args);
  for (int64_t y = 0; y < args.runs_y; y++) {
    for (int64_t x = 0; x < args.runs_x; x++) {
      const float* a = args.product.a + y * args.y_step + x * args.x_step;
      const float* b = args.product.b + y * args.b_y_step + x * args.b_x_step;
      multiply<ASource::kRows>(acc, args.product, a, b, args.product.steps);
    }
  }
  end_conv_tile(acc, args);
}

template <class V, int kRows, int kVecs>
__attribute__((noinline)) void short_runs_tile(const ConvTileArgs& args) {
  V acc[kRows][kVecs];
  begin_conv_tile(acc, args);
  const int64_t a_stride = args.product.a_stride, b_panel = args.product.b_panel;
  const float* b = args.product.b;
  const float *a = args.product.a, *lower = lower_half(a, kRows, a_stride);
  const int32_t* end = args.offsets + args.runs_y * args.runs_x * args.product.steps;
  for (const int32_t* offset = args.offsets; offset < end; offset++, b += kPanel)
    multiply_step_of_rows(acc, a + *offset, lower + *offset, a_stride, b, b_panel);
  end_conv_tile(acc, args);
}

// Calls the tile of `rows` rows, 1 <= rows <= kRows.
template <bool kShortRuns, class V, int kRows, int kVecs>
void run_conv_tile(int rows, const ConvTileArgs& args) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_conv_tile<kShortRuns, V, kRows - 1, kVecs>(rows, args);
  }
  if constexpr (kShortRuns)
    short_runs_tile<V, kRows, kVecs>(args);
  else
    long_runs_tile<V, kRows, kVecs>(args);
}

// A tile `columns` wide: kTileColumns, kPanel, or kNarrow for half a panel.
template <bool kShortRuns>
WEFT_INLINE void run_conv_columns(int columns, int rows, const ConvTileArgs& args) {
  if (columns == kTileColumns)
    run_conv_tile<kShortRuns, Vec, kTileRows, kTilePanels * kPanelVecs>(rows, args);
  else if (columns == kPanel)
    run_conv_tile<kShortRuns, Vec, kTileRows, kPanelVecs>(rows, args);
  else
    run_conv_tile<kShortRuns, NarrowVec, kNarrowRows, kNarrow * sizeof(float) / sizeof(NarrowVec)>(rows, args);
}

// --- Few outputs: the reduced axis is the vector axis ------------------------------------------------------
// A panel would hold mostly padding. Sixteen partial sums for each output, over the runs one after the other.

constexpr int kDotOutputs = 4;

// Pixels of a tile: as many as leave registers for their sums.
constexpr int dot_pixels(int outputs) {
  if (kWidth == 16) return 4;
  if (kWidth == 8) return outputs == 1 ? 4 : outputs == 2 ? 2 : 1;
  return 1;
}

// y[p][j] = bias[j] + the sum over all runs of a(p, k) * w(j, k). `product.b` holds, for each run and output,
// round_up(steps, 16) weights, zeros behind the last; product.start is the bias.
template <int kPixels, int kOutputs>
WEFT_INLINE void dot_tile(const ConvTileArgs& args, int64_t pixel) {
  const TileArgs& t = args.product;
  Chunk acc[kPixels][kOutputs];
  WEFT_UNROLL
  for (int p = 0; p < kPixels; p++) WEFT_UNROLL
  for (int j = 0; j < kOutputs; j++) acc[p][j] = broadcast_chunk(0);
  const int64_t run = round_up(t.steps, kChunk);
  const auto multiply_chunk = [&](const float* w, Chunk x, int p, int64_t k) __attribute__((always_inline)) {
    WEFT_UNROLL
    for (int j = 0; j < kOutputs; j++) {
      const Chunk weights = load_chunk(w + j * run + k);
      WEFT_UNROLL
      for (int i = 0; i < kParts; i++) acc[p][j].part[i] = x.part[i] * weights.part[i] + acc[p][j].part[i];
    }
  };
  for (int64_t y = 0; y < args.runs_y; y++) {
    for (int64_t x = 0; x < args.runs_x; x++) {
      const float* w = t.b + y * args.b_y_step + x * args.b_x_step;
      const float* a = t.a + pixel * t.a_stride + y * args.y_step + x * args.x_step;
      int64_t k = 0;
      for (; k + kChunk <= t.steps; k += kChunk) {
        WEFT_UNROLL
        for (int p = 0; p < kPixels; p++) multiply_chunk(w, load_chunk(a + p * t.a_stride + k), p, k);
      }
      if (k < t.steps) {
        WEFT_UNROLL
        for (int p = 0; p < kPixels; p++)
          multiply_chunk(w, load_partial_chunk(a + p * t.a_stride + k, t.steps - k, 0), p, k);
      }
    }
  }
  WEFT_UNROLL
  for (int p = 0; p < kPixels; p++) {
    float* out = t.out + (pixel + p) * t.out_stride;
    WEFT_UNROLL
    for (int j = 0; j < kOutputs; j++) {
      const float sum = fold(acc[p][j], Add()) + (t.start ? t.start[j] : 0.0f);
      out[j] = t.relu && sum < 0 ? 0.0f : sum;
    }
  }
}

template <int kOutputs>
__attribute__((noinline)) void dot_pixels_of(int64_t pixels, const ConvTileArgs& args) {
  constexpr int kPixels = dot_pixels(kOutputs);
  int64_t pixel = 0;
  for (; pixel + kPixels <= pixels; pixel += kPixels) dot_tile<kPixels, kOutputs>(args, pixel);
  for (; pixel < pixels; pixel++) dot_tile<1, kOutputs>(args, pixel);
}

WEFT_INLINE void run_dot(int outputs, int64_t pixels, const ConvTileArgs& args) {
  if (outputs == 1) return dot_pixels_of<1>(pixels, args);
  if (outputs == 2) return dot_pixels_of<2>(pixels, args);
  if (outputs == 3) return dot_pixels_of<3>(pixels, args);
  dot_pixels_of<4>(pixels, args);
}

}  // namespace
}  // namespace weft::WEFT_ISA
