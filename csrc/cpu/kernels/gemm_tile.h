// The register tile of every matrix product: out[i][j] = start[i][j] + the sum over steps of
// a(i, step)*b(step, j), with kRows x kVecs accumulators, one chain of FMAs each. The three roles of a dense
// layer differ only in where a and b stand (ASource). Every row count is instantiated, so that any number of
// rows splits into near-equal tiles without masks. One call is serial; each thread has its own tiles.
#pragma once

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {
namespace {

// Tile shapes: as many accumulators as leave registers for one operand's vectors and one of the other. 14x32 is 28 of
// 32 registers, 6x16 is 12 of 16 (24 of NEON's 32). Without FMA each row also costs a shuffle and a temporary, and 3x16
// is the fastest.
#if defined(__AVX512F__)
constexpr int kTileRows = 14, kTilePanels = 2, kNarrowRows = 14;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kTileRows = 6, kTilePanels = 1, kNarrowRows = 12;
#else
constexpr int kTileRows = 3, kTilePanels = 1, kNarrowRows = 6;
#endif
constexpr int kTileColumns = kTilePanels * kPanel;

struct TileShape {
  int rows, panels;
};
constexpr TileShape kTile = {kTileRows, kTilePanels};

// A half panel, for the last columns of a product. Half a register costs half a cycle where the hardware
// executes 512 bits in two passes (Zen 4), and the same as a whole one elsewhere.
constexpr int kNarrow = kPanel / 2;
#if defined(__AVX512F__)
typedef float NarrowVec __attribute__((vector_size(4 * kNarrow)));
#else
typedef Vec NarrowVec;
#endif

enum class ASource {
  kRows,       // a(i, step) = a[i*a_stride + step]: rows of activations; b is panels of weights
  kColumns,    // a(i, step) = a[step*a_stride + i]: columns of activations, the transposed product
  kPanelRows,  // a(i, step) = a[step/16*a_stride + i*16 + step%16]: rows of weights stored in panels
};

// What the three roles have in common, and the strides that differ from call to call; those that a role
// fixes are constants in Strides, because a short reduction feels every instruction around its loop.
struct TileArgs {
  int64_t steps;       // length of the reduced axis
  const float* a;      // see ASource
  const float* b;      // b(step, column) = b[step*b_step + column/16*b_panel + column%16]
  const float* start;  // start[i*start_stride + column/16*out_panel + column%16]; null for zeros
  float* out;          // out(i, column) = out[i*out_stride + column/16*out_panel + column%16]
  int64_t a_stride;
  int64_t b_step;        // kColumns, kPanelRows
  int64_t b_panel;       // kRows
  int64_t start_stride;  // 0 repeats a bias
  int64_t out_stride;    // kRows
  int64_t out_panel;     // kColumns
  int64_t a_ahead;       // kPanelRows: how far from what is read it fetches
  bool relu;             // kRows: apply relu to what is stored
};

struct Strides {
  int64_t a_row;  // from a(i, step) to a(i + 1, step)
  int64_t b_step, b_panel, out_stride, out_panel;
};
template <ASource kSource>
WEFT_INLINE Strides strides_of(const TileArgs& args) {
  if constexpr (kSource == ASource::kRows)
    return {args.a_stride, kPanel, args.b_panel, args.out_stride, kPanel};
  else if constexpr (kSource == ASource::kColumns)
    return {1, args.b_step, kPanel, kPanel, args.out_panel};
  else
    return {kPanel, args.b_step, kPanel, kTileColumns, kPanel};
}

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

// Without FMA the products of a step need registers, too.
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kMayHoldElements = true;
#else
constexpr bool kMayHoldElements = false;
#endif

// acc[i][j] += a(i)*b(j) for one step; a_at(i) gives the element to broadcast. Registers hold all of the operand with
// fewer vectors; the other passes through one.
template <class V, int kRows, int kVecs, class Element>
WEFT_INLINE void multiply_step(V (&acc)[kRows][kVecs], const float* b, int64_t b_panel, Element a_at) {
  if constexpr (kMayHoldElements && kRows < kVecs) {
    V element[kRows];
    WEFT_UNROLL
    for (int i = 0; i < kRows; i++) element[i] = a_at(i) - V{};
    WEFT_UNROLL
    for (int j = 0; j < kVecs; j++) {
      const V vec = load_as<V>(b + vec_offset<V>(j, b_panel));
      WEFT_UNROLL
      for (int i = 0; i < kRows; i++) acc[i][j] = element[i] * vec + acc[i][j];
    }
  } else {
    V vec[kVecs];
    WEFT_UNROLL
    for (int j = 0; j < kVecs; j++) vec[j] = load_as<V>(b + vec_offset<V>(j, b_panel));
    WEFT_UNROLL
    for (int i = 0; i < kRows; i++) {
      const V element = a_at(i) - V{};
      WEFT_UNROLL
      for (int j = 0; j < kVecs; j++) acc[i][j] = element * vec[j] + acc[i][j];
    }
  }
}

// Rows of a that stand far apart (ASource::kRows) are addressed in two halves, the second from this pointer on: their
// distances from it are the same, and those of 14 rows would not fit into the 16 registers of x86-64 for addresses
// (AVX-512: 94 % of the FMA peak instead of 97).
constexpr int rows_of_upper_half(int rows) { return (rows + 1) / 2; }
WEFT_INLINE const float* lower_half(const float* a, int rows, int64_t a_stride) {
  const float* lower = a + rows_of_upper_half(rows) * a_stride;
  asm("" : "+r"(lower));  // or the compiler addresses it from `a` again
  return lower;
}
template <class V, int kRows, int kVecs>
WEFT_INLINE void multiply_step_of_rows(V (&acc)[kRows][kVecs], const float* a, const float* lower, int64_t a_stride,
                                       const float* b, int64_t b_panel) {
  constexpr int kUpper = rows_of_upper_half(kRows);
  multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) {
    return i < kUpper ? a[i * a_stride] : lower[(i - kUpper) * a_stride];
  });
}

// acc += the products of the next `steps` steps. `a` and `b` are moved past them.
template <ASource kSource, class V, int kRows, int kVecs>
WEFT_INLINE void multiply(V (&acc)[kRows][kVecs], const TileArgs& args, const float*& a, const float*& b,
                          int64_t steps) {
  const int64_t a_stride = args.a_stride;
  const int64_t b_step = strides_of<kSource>(args).b_step, b_panel = strides_of<kSource>(args).b_panel;
  if constexpr (kSource == ASource::kRows) {
    const float* lower = lower_half(a, kRows, a_stride);
    for (const float* end = a + steps; a < end; a++, lower++, b += b_step)
      multiply_step_of_rows(acc, a, lower, a_stride, b, b_panel);
  } else if constexpr (kSource == ASource::kColumns) {
    for (const float* end = b + steps * b_step; b != end; a += a_stride, b += b_step)
      multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) { return a[i]; });
  } else {
    for (; steps > 0; steps -= kPanel, a += a_stride) {
      // Each panel stands K*64 bytes after the last, where no hardware prefetcher looks. Into L2: L1 has no room to
      // spare.
      WEFT_UNROLL
      for (int i = 0; i < kRows; i++) __builtin_prefetch(a + args.a_ahead + i * kPanel, 0, 2);
      const float* end = a + (steps < kPanel ? steps : kPanel);
      for (const float* p = a; p < end; p++, b += b_step)
        multiply_step(acc, b, b_panel, [&](int i) __attribute__((always_inline)) { return p[i * kPanel]; });
    }
  }
}

template <ASource kSource, class V, int kRows, int kVecs>
WEFT_INLINE void load_start(V (&acc)[kRows][kVecs], const TileArgs& args) {
  const int64_t panel = strides_of<kSource>(args).out_panel;
  WEFT_UNROLL
  for (int i = 0; i < kRows; i++) WEFT_UNROLL
  for (int j = 0; j < kVecs; j++)
    acc[i][j] = args.start ? load_as<V>(args.start + i * args.start_stride + vec_offset<V>(j, panel)) : V{};
}

template <ASource kSource, class V, int kRows, int kVecs>
WEFT_INLINE void store_tile(V (&acc)[kRows][kVecs], const TileArgs& args) {
  if (kSource == ASource::kRows && args.relu) {
    // Not x > 0 ? x : 0, which would turn NaN into 0.
    WEFT_UNROLL
    for (int i = 0; i < kRows; i++) WEFT_UNROLL
    for (int j = 0; j < kVecs; j++) acc[i][j] = acc[i][j] < 0 ? V{} : acc[i][j];
  }
  const int64_t stride = strides_of<kSource>(args).out_stride, panel = strides_of<kSource>(args).out_panel;
  WEFT_UNROLL
  for (int i = 0; i < kRows; i++) WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) store_as(args.out + i * stride + vec_offset<V>(j, panel), acc[i][j]);
}

// From one tile to the next `rows` rows.
template <ASource kSource>
WEFT_INLINE void advance(TileArgs& args, int rows) {
  args.a += rows * strides_of<kSource>(args).a_row;
  args.out += rows * strides_of<kSource>(args).out_stride;
  if (args.start) args.start += rows * args.start_stride;
}

// `tiles` tiles, one below the other; args is left at the last. A call for each would cost up to 15 cycles more, where
// 6 rows of 32 steps take 192.
template <ASource kSource, class V, int kRows, int kVecs>
__attribute__((noinline)) void tile(TileArgs& args, int64_t tiles) {
  for (;;) {
    V acc[kRows][kVecs];
    load_start<kSource>(acc, args);
    const float *a = args.a, *b = args.b;
    multiply<kSource>(acc, args, a, b, args.steps);
    store_tile<kSource>(acc, args);
    if (--tiles <= 0) return;
    advance<kSource>(args, kRows);
    asm volatile("" ::: "memory");  // keeps the compiler from hoisting more offsets than there are registers
  }
}

// Calls tiles of `rows` rows each, 1 <= rows <= kRows.
template <ASource kSource, class V, int kRows, int kVecs>
void run_tile(int rows, TileArgs& args, int64_t tiles = 1) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_tile<kSource, V, kRows - 1, kVecs>(rows, args, tiles);
  }
  tile<kSource, V, kRows, kVecs>(args, tiles);
}

template <ASource kSource, TileShape kShape = kTile>
WEFT_INLINE void run_panels(int panels, int rows, TileArgs& args, int64_t tiles = 1) {
  if (panels == kShape.panels)
    run_tile<kSource, Vec, kShape.rows, kShape.panels * kPanelVecs>(rows, args, tiles);
  else
    run_tile<kSource, Vec, kShape.rows, kPanelVecs>(rows, args, tiles);
}

}  // namespace
}  // namespace weft::WEFT_ISA
