// The register tile of every matrix product: out[i][j] = start[i][j] + sum over steps of a(i, step)*b(step, j)
// with kRows x kVecs accumulators, one chain of FMAs each. The three roles of a dense layer differ only in
// where a and b stand (ASource). Every row count is instantiated, so that any number of rows splits into
// near-equal tiles without masks. One call is serial; the kernels give each thread its own tiles.
#pragma once

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {
namespace {

// Tile shapes: as many accumulators as leave registers for the b vectors and one broadcast. 14x32 is 28 of
// 32 registers, 6x16 is 12 of 16 (24 of NEON's 32). Without FMA each row also costs a shuffle and a
// temporary, and 3x16 is the fastest.
#if defined(__AVX512F__)
constexpr int kTileRows = 14, kTilePanels = 2, kNarrowRows = 14;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kTileRows = 6, kTilePanels = 1, kNarrowRows = 12;
#else
constexpr int kTileRows = 3, kTilePanels = 1, kNarrowRows = 6;
#endif
constexpr int kPanelVecs = kPanel / kWidth;
constexpr int kTileColumns = kTilePanels * kPanel;

// A half panel, for the last columns of a product. Half a register costs half a cycle where the hardware
// executes 512 bits in two passes (Zen 4), and the same as a whole one elsewhere.
constexpr int kNarrow = kPanel / 2;
#if defined(__AVX512F__)
typedef float NarrowVec __attribute__((vector_size(4 * kNarrow)));
#else
typedef Vec NarrowVec;
#endif

enum class ASource {
  kRows,       // a(i, step) = a[i*a_stride + step]: rows of activations
  kColumns,    // a(i, step) = a[step*a_stride + i]: columns of activations, the transposed product
  kPanelRows,  // a(i, step) = a[step/16*a_stride + i*16 + step%16]: rows of weights stored in panels
};

struct TileArgs {
  int64_t steps;        // length of the reduced axis
  const float* a;       // see ASource
  const float* b;       // b(step, column) = b[step*b_step + column/16*b_panel + column%16]
  const float* start;   // (rows, columns): like out; a stride of 0 repeats a bias, or zeros
  float* out;           // out(i, column) = out[i*out_stride + column/16*out_panel + column%16]
  int64_t a_stride, b_panel, start_stride, start_panel, out_stride, out_panel;
  int64_t b_step;       // with kRows b is a panel of weights and b_step is 16, whatever is given here
  bool relu;            // apply relu to what is stored
};

alignas(64) constexpr float kZeros[2 * kPanel] = {};

template <class V>
WEFT_INLINE V load_as(const float* p) {
  typedef float U __attribute__((vector_size(sizeof(V)), aligned(4), may_alias));
  return *reinterpret_cast<const U*>(p);
}
template <class V>
WEFT_INLINE void store_as(float* p, V x) {
  typedef float U __attribute__((vector_size(sizeof(V)), aligned(4), may_alias));
  *reinterpret_cast<U*>(p) = x;
}

// Where vector j of a tile row stands.
template <class V>
WEFT_INLINE int64_t vec_offset(int j, int64_t panel) {
  constexpr int kLanes = sizeof(V) / 4, kPerPanel = kPanel / kLanes;
  return j / kPerPanel * panel + j % kPerPanel * kLanes;
}

// acc[i][j] += a(i)*b(j) for one step; a_at(i) gives the element to broadcast.
template <class V, int kRows, int kVecs, class Element>
WEFT_INLINE void multiply_step(V (&acc)[kRows][kVecs], const float* b, int64_t b_panel, Element a_at) {
  V vec[kVecs];
  WEFT_UNROLL for (int j = 0; j < kVecs; j++) vec[j] = load_as<V>(b + vec_offset<V>(j, b_panel));
  WEFT_UNROLL for (int i = 0; i < kRows; i++) {
    const V element = a_at(i) - V{};
    WEFT_UNROLL for (int j = 0; j < kVecs; j++) acc[i][j] = element * vec[j] + acc[i][j];
  }
}

// acc += the `steps` products from step `first` on. `a` and `b` are moved past them.
template <ASource kSource, class V, int kRows, int kVecs>
WEFT_INLINE void multiply(V (&acc)[kRows][kVecs], const TileArgs& args, const float*& a, const float*& b,
                          int64_t steps) {
  const int64_t a_stride = args.a_stride, b_panel = args.b_panel;
  const int64_t b_step = kSource == ASource::kRows ? kPanel : args.b_step;
  if constexpr (kSource == ASource::kRows) {
    for (const float* end = a + steps; a < end; a++, b += b_step)
      multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) { return a[i * a_stride]; });
  } else if constexpr (kSource == ASource::kColumns) {
    for (const float* end = b + steps * b_step; b != end; a += a_stride, b += b_step)
      multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) { return a[i]; });
  } else {
    for (; steps > 0; steps -= kPanel, a += a_stride) {
      const float* end = a + (steps < kPanel ? steps : kPanel);
      for (const float* p = a; p < end; p++, b += b_step)
        multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) { return p[i * kPanel]; });
    }
  }
}

template <class V, int kRows, int kVecs>
WEFT_INLINE void load_start(V (&acc)[kRows][kVecs], const TileArgs& args) {
  WEFT_UNROLL for (int i = 0; i < kRows; i++)
    WEFT_UNROLL for (int j = 0; j < kVecs; j++)
      acc[i][j] = load_as<V>(args.start + i * args.start_stride + vec_offset<V>(j, args.start_panel));
}

template <class V, int kRows, int kVecs>
WEFT_INLINE void store_tile(V (&acc)[kRows][kVecs], const TileArgs& args) {
  if (args.relu) {
    // Not x > 0 ? x : 0, which would turn NaN into 0.
    WEFT_UNROLL for (int i = 0; i < kRows; i++)
      WEFT_UNROLL for (int j = 0; j < kVecs; j++) acc[i][j] = acc[i][j] < 0 ? V{} : acc[i][j];
  }
  WEFT_UNROLL for (int i = 0; i < kRows; i++)
    WEFT_UNROLL for (int j = 0; j < kVecs; j++)
      store_as(args.out + i * args.out_stride + vec_offset<V>(j, args.out_panel), acc[i][j]);
}

template <ASource kSource, class V, int kRows, int kVecs>
__attribute__((noinline)) void tile(const TileArgs& args) {
  V acc[kRows][kVecs];
  load_start(acc, args);
  const float *a = args.a, *b = args.b;
  multiply<kSource>(acc, args, a, b, args.steps);
  store_tile(acc, args);
}

// Calls the tile of `rows` rows, 1 <= rows <= kRows.
template <ASource kSource, class V, int kRows, int kVecs>
void run_tile(int rows, const TileArgs& args) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_tile<kSource, V, kRows - 1, kVecs>(rows, args);
  }
  tile<kSource, V, kRows, kVecs>(args);
}

template <ASource kSource>
WEFT_INLINE void run_panels(int panels, int rows, const TileArgs& args) {
  if (panels == kTilePanels) run_tile<kSource, Vec, kTileRows, kTilePanels * kPanelVecs>(rows, args);
  else run_tile<kSource, Vec, kTileRows, kPanelVecs>(rows, args);
}

}  // namespace
}  // namespace weft::WEFT_ISA
