// What the kernels of lstm, gru and simple_rnn share. A tile owns blocks of rows of the batch and takes them through
// all time steps on its own: the rows of one step are multiplied with the recurrent kernel by the register tile of the
// dense layers, then the cell's function follows on the same rows while they are in L1 or L2. No thread ever waits
// for another between two steps.
#pragma once

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_tile.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/vector_math.h"
#include "ops/recurrent.h"

namespace weft::WEFT_ISA {
namespace {

// Blocks of rows that go from step to step together: a pair of panels then serves all of them from L1. With more blocks
// what was fetched for the next step falls out of L2: LSTM(128) with four loses 1 to 2 %.
constexpr int64_t kGroupBlocks = 2;

WEFT_INLINE Chunk operator*(Chunk a, Chunk b) {
  return map(a, b, [](Vec x, Vec y) __attribute__((always_inline)) { return x * y; });
}
WEFT_INLINE Chunk operator-(Chunk a, Chunk b) {
  return map(a, b, [](Vec x, Vec y) __attribute__((always_inline)) { return x - y; });
}
WEFT_INLINE Chunk multiply_add(Chunk a, Chunk b, Chunk c) {
  return map(a, b, c,
             [](Vec x, Vec y, Vec z) __attribute__((always_inline)) { return weft::WEFT_ISA::multiply_add(x, y, z); });
}

// Keras's defaults, tanh and sigmoid. Derivatives are functions of the value.
struct DefaultActivations {
  Chunk cell(Chunk x) const {
    return map(x, [](Vec v) __attribute__((always_inline)) { return tanh(v); });
  }
  Chunk gate(Chunk x) const {
    return map(x, [](Vec v) __attribute__((always_inline)) { return sigmoid(v); });
  }
  Chunk cell_grad(Chunk dy, Chunk y) const {
    return map(dy, y, [](Vec d, Vec v) __attribute__((always_inline)) { return d * (1.0f - v * v); });
  }
  Chunk gate_grad(Chunk dy, Chunk y) const {
    return map(dy, y, [](Vec d, Vec v) __attribute__((always_inline)) { return d * (v * (1.0f - v)); });
  }
};

// Any others whose derivative is a function of their value.
struct AnyActivations {
  RecurrentActivations act;

  Chunk cell(Chunk x) const { return apply(act.cell, x); }
  Chunk gate(Chunk x) const { return apply(act.gate, x); }
  Chunk cell_grad(Chunk dy, Chunk y) const { return grad(act.cell, dy, y); }
  Chunk gate_grad(Chunk dy, Chunk y) const { return grad(act.gate, dy, y); }

  static Chunk apply(const UnarySpec& spec, Chunk x) {
    alignas(64) float buffer[kChunk];
    store_chunk(buffer, x);
    unary_apply(spec, buffer, buffer, kChunk);
    return load_chunk(buffer);
  }
  static Chunk grad(const UnarySpec& spec, Chunk dy, Chunk y) {
    alignas(64) float buffer[kChunk], saved[kChunk];
    store_chunk(buffer, dy);
    store_chunk(saved, y);
    unary_grad_apply(spec, buffer, saved, buffer, kChunk);
    return load_chunk(buffer);
  }
};

// Calls run(activations).
template <class Run>
WEFT_INLINE void with_activations(const RecurrentActivations& act, Run run) {
  if (act.cell.fn == UnaryFn::kTanh && act.gate.fn == UnaryFn::kSigmoid)
    run(DefaultActivations{});
  else
    run(AnyActivations{act});
}

int recurrent_tiles(const RecurrentShape& s, int64_t gates, int threads) {
  return suitable_tiles(s.n * s.t * s.h * round_up(gates * s.h, kPanel), ceil_divide(s.n, kTileRows), threads);
}

// out = start + a P for some rows, P in panels.
struct RowsProduct {
  const float* a;       // (rows, steps), stride a_stride
  const float* panels;  // (columns/16, steps, 16)
  const float* start;   // (rows, columns), stride start_stride (0 repeats a row), or null for zeros
  float* out;           // (rows, columns), stride out_stride
  int64_t steps, columns;
  int64_t a_stride, start_stride, out_stride;
};

// Blocks of rows that one tile takes through time together.
struct RowGroup {
  Blocks blocks;
  Range which;  // of the blocks
  Range rows;
};

void multiply_rows(const RowsProduct& p, const RowGroup& group) {
  const int64_t panels = ceil_divide(p.columns, kPanel);
  for (int64_t panel = 0; panel < panels; panel += kTilePanels) {
    const int64_t column = panel * kPanel;
    for (int64_t b = group.which.begin; b < group.which.end; b++) {
      const Range rows = block_at(group.blocks, b);
      TileArgs t = {};
      t.steps = p.steps;
      t.a = p.a + rows.begin * p.a_stride;
      t.a_stride = p.a_stride;
      t.b = p.panels + column * p.steps;
      t.b_panel = p.steps * kPanel;
      t.start = p.start ? p.start + rows.begin * p.start_stride + column : nullptr;
      t.start_stride = p.start_stride;
      t.out = p.out + rows.begin * p.out_stride + column;
      t.out_stride = p.out_stride;
      run_panels<ASource::kRows>(static_cast<int>(smaller(kTilePanels, panels - panel)),
                                 static_cast<int>(rows.end - rows.begin), t);
    }
  }
}

// body(group) for the groups of a tile. There are as many blocks for every tile, so that none waits for another.
template <class Body>
WEFT_INLINE void for_each_group(int64_t n, int tile, int n_tiles, Body body) {
  const int64_t count = round_up(ceil_divide(n, kTileRows), n_tiles);
  RowGroup group = {near_equal_blocks(n, count), {0, 0}, {0, 0}};
  const Range mine = split(count, 1, tile, n_tiles);
  for (int64_t b = mine.begin; b < mine.end; b += kGroupBlocks) {
    group.which = {b, smaller(b + kGroupBlocks, mine.end)};
    group.rows = {block_at(group.blocks, b).begin, block_at(group.blocks, group.which.end - 1).end};
    body(group);
  }
}

// to = from * mask for (rows, columns) at one stride, up to whole chunks; zeros without `from`.
WEFT_INLINE void copy_masked(float* to, const float* from, const float* mask, int64_t stride, int64_t columns,
                             Range rows) {
  for (int64_t r = rows.begin; r < rows.end; r++) {
    for (int64_t j = r * stride; j < r * stride + columns; j += kChunk) {
      const Chunk x = from ? load_chunk(from + j) : broadcast_chunk(0.0f);
      store_chunk(to + j, mask ? x * load_chunk(mask + j) : x);
    }
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
