// What the kernels of lstm, gru and simple_rnn share. Rows of the batch are independent, so a block takes a few of them
// through all time steps in one launch and waits for no other block. Every step is a product of the rows' hidden
// states, which stand in shared memory, with the recurrent kernel, and then the cell's function on its result.
//
// The recurrent kernel is the same in every step, so a block keeps as much of it as fits: some tiles in registers, more
// in shared memory; what is left is read from L2 in every step. Take LSTM(128) at batch 128 on an H200, one row a
// block. U has 256 KiB. Read from L2 in every step it would be 128 * 256 KiB = 34 MB, or 6.1 us a step at 5.5 TB/s.
// Here half of it stays in registers and half in shared memory, and this much is read once. What is left of a step are
// 128 * 64 Ki multiply-adds, 0.28 us at 60 TFLOP/s, and 128 KiB from shared memory at 128 bytes a clock, 0.6 us; with
// the sums over lanes, the cell's function and two barriers about 1 us, by estimate.
//
// The order of every sum depends on the shape of the product alone: a row's result is the same in every batch and on
// every GPU.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/recurrent_grid.h"
#include "ops/recurrent.h"
#include "ops/unary_functions.h"

namespace weft::cuda {

// An op's arguments with its grid.
template <class OpArgs>
struct Recurrence {
  OpArgs op;
  RecurrentGrid grid;
};

// The shared memory of a block.
struct RecurrentMemory {
  const RecurrentGrid& grid;
  float4* weights;  // (shared_tiles, splits, across, 8, lanes)
  float* left;      // (rows, 32*k_tiles): the left side of the product, zeros behind k
  float* out;       // (splits, rows, out_columns): the product, a partial sum for each split
  float* states;    // (states + fetched, rows, h)

  __device__ explicit RecurrentMemory(const RecurrentGrid& grid) : grid(grid) {
    float* memory = static_cast<float*>(shared_memory());
    weights = reinterpret_cast<float4*>(memory);
    left = memory + grid.weight_floats();
    out = left + grid.left_floats();
    states = out + grid.out_floats();
    for (int i = threadIdx.x; i < grid.left_floats(); i += kRecurrentThreads) left[i] = 0.0f;
  }
  __device__ float& left_at(int row, int column) const { return left[row * grid.k_tiles * kTile + column]; }
  __device__ float& out_at(int split, int row, int column) const {
    return out[(split * grid.rows() + row) * grid.out_columns + column];
  }
  __device__ float product_at(int row, int column) const {
    float sum = out_at(0, row, column);
    for (int split = 1; split < grid.splits; split++) sum += out_at(split, row, column);
    return sum;
  }
  __device__ float& state(int which, int row, int unit) const {
    return states[(which * grid.rows() + row) * grid.h + unit];
  }
};

// A warp's part of the product of every step: `rows` rows, and its own tiles of the recurrent kernel. Each lane sums
// over its rows of the tiles; the lanes with the same columns are then added up.
template <int rows>
class RecurrentProduct {
 public:
  // Fetches the tiles that stay. All threads of the block call it, and wait for each other before run.
  __device__ explicit RecurrentProduct(const RecurrentMemory& memory) : memory_(memory), grid_(memory.grid) {
    // The compiler does not see that all lanes have the same; told so, it needs fewer registers for what follows.
    const int warp = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / kWarp, 0);
    group_ = warp / (grid_.across * grid_.splits);
    split_ = warp / grid_.across % grid_.splits;
    across_ = warp % grid_.across;
    const int left = grid_.k_tiles - split_ * grid_.split_tiles;
    tiles_ = left < grid_.split_tiles ? left : grid_.split_tiles;
    if (!grid_.products || group_ >= grid_.groups) return;
#pragma unroll
    for (int i = 0; i < kHeld; i++) {
      if (i < tiles_) held_[i] = tile_in_memory(across_, i);
    }
    if (group_ > 0) return;  // all groups share what is in shared memory
    for (int round = 0; round * grid_.across + across_ < grid_.column_tiles; round++) {
      for (int i = round == 0 ? kHeld : 0; i < tiles_ && number(round, i) < grid_.shared_tiles; i++) {
        fetch(number(round, i), round * grid_.across + across_, i);
      }
    }
    copy_async_commit();
    copy_async_wait<0>();
  }

  // out = left x weights, or zeros. start(row, column) of a value is asked for early and given back to
  // finish(split, row, column, product, start) at the end; rows and columns may be beyond the last ones.
  template <class Start, class Finish>
  __device__ __forceinline__ void run(bool is_zero, Start start, Finish finish) const {
    if (group_ >= grid_.groups) return;
    const int first_row = group_ * rows;
    for (int round = 0; round * grid_.across + across_ < grid_.column_tiles; round++) {
      const int column_tile = round * grid_.across + across_, column = column_tile * kTile + own_column();
      float begin[rows], sum[rows][8] = {};
#pragma unroll
      for (int r = 0; r < rows; r++) begin[r] = split_ == 0 ? start(first_row + r, column) : 0.0f;
      if (!is_zero) sum_tiles(sum, round, column_tile);
#pragma unroll
      for (int r = 0; r < rows; r++) finish(split_, first_row + r, column, sum_of_lanes(sum[r]), begin[r]);
    }
  }

  // The product alone.
  __device__ __forceinline__ void run_plain() const {
    run(
        false, [](int, int) { return 0.0f; },
        [&](int split, int row, int column, float sum, float) { memory_.out_at(split, row, column) = sum; });
  }

 private:
  static constexpr int kHeld = held_tiles(rows);

  // A lane's part of a tile.
  struct Tile {
    float4 weights[2][4];  // [panel][row]
  };

  static __device__ __forceinline__ int lane() { return threadIdx.x % kWarp; }
  // The column of a tile that sum_of_lanes leaves in this lane.
  static __device__ __forceinline__ int own_column() {
    const int l = lane();
    return (l >> 4 & 1) * 16 + (l & 3) * 4 + (l >> 3 & 1) * 2 + (l >> 2 & 1);
  }
  // Numbers a warp's tiles that are not in registers.
  __device__ __forceinline__ int number(int round, int i) const {
    const int held = kHeld < tiles_ ? kHeld : tiles_;
    return round * tiles_ + i - held;
  }
  __device__ __forceinline__ float4* place(int number) const {
    const int slot = (number * grid_.splits + split_) * grid_.across + across_;
    return memory_.weights + slot * (kTileBytes / 16) + lane();
  }
  // body(panel, row, address, exists) for the lane's part of a tile in device memory.
  template <class Body>
  __device__ __forceinline__ void for_each_part(int column_tile, int i, Body body) const {
    const int k = (split_ * grid_.split_tiles + i) * kTile + lane() / 4 * 4;
    const float* address = grid_.weights + (2 * column_tile * grid_.k + k) * kPanel + lane() % 4 * 4;
#pragma unroll
    for (int panel = 0; panel < 2; panel++) {
      const bool panel_exists = column_tile * kTile + panel * kPanel < grid_.columns;
#pragma unroll
      for (int row = 0; row < 4; row++) {
        const bool exists = panel_exists && k + row < grid_.k;
        body(panel, row, address + (panel * grid_.k + row) * kPanel, exists);
      }
    }
  }
  __device__ __forceinline__ Tile tile_in_memory(int column_tile, int i) const {
    Tile tile;
    for_each_part(column_tile, i, [&](int panel, int row, const float* address, bool exists) {
      tile.weights[panel][row] = exists ? *reinterpret_cast<const float4*>(address) : float4{0.0f, 0.0f, 0.0f, 0.0f};
    });
    return tile;
  }
  __device__ __forceinline__ void fetch(int number, int column_tile, int i) const {
    float4* const to = place(number);
    for_each_part(column_tile, i, [&](int panel, int row, const float* address, bool exists) {
      copy_async_16(to + (panel * 4 + row) * kWarp, exists ? address : grid_.weights, exists ? 16 : 0);
    });
  }
  __device__ __forceinline__ Tile shared_tile(int number) const {
    const float4* const from = place(number);
    Tile tile;
#pragma unroll
    for (int part = 0; part < 8; part++) tile.weights[part / 4][part % 4] = from[part * kWarp];
    return tile;
  }

  // left: the lane's four values of the warp's first row.
  __device__ __forceinline__ void multiply(float (&sum)[rows][8], const Tile& tile, const float* left) const {
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const float4 x = *reinterpret_cast<const float4*>(left + r * grid_.k_tiles * kTile);
      const float values[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
      for (int panel = 0; panel < 2; panel++) {
#pragma unroll
        for (int row = 0; row < 4; row++) {
          const float4& w = tile.weights[panel][row];
          sum[r][4 * panel] += values[row] * w.x;
          sum[r][4 * panel + 1] += values[row] * w.y;
          sum[r][4 * panel + 2] += values[row] * w.z;
          sum[r][4 * panel + 3] += values[row] * w.w;
        }
      }
    }
  }

  __device__ __forceinline__ void sum_tiles(float (&sum)[rows][8], int round, int column_tile) const {
    const float* left =
        memory_.left + (group_ * rows * grid_.k_tiles + split_ * grid_.split_tiles) * kTile + lane() / 4 * 4;
    int i = 0;
    if (round == 0) {
#pragma unroll
      for (int held = 0; held < kHeld; held++) {
        if (held < tiles_) multiply(sum, held_[held], left + held * kTile);
      }
      i = kHeld;
    }
    for (; i < tiles_ && number(round, i) < grid_.shared_tiles; i++) {
      multiply(sum, shared_tile(number(round, i)), left + i * kTile);
    }
    for (; i < tiles_; i++) multiply(sum, tile_in_memory(column_tile, i), left + i * kTile);
  }

  // Adds eight values over the eight lanes with the same columns; each lane keeps one of the sums. Lanes exchange the
  // half of their values that the other one is to keep.
  static __device__ __forceinline__ float sum_of_lanes(float (&values)[8]) {
#pragma unroll
    for (int half = 4; half > 0; half /= 2) {
      const bool upper = lane() & (half * 4);
#pragma unroll
      for (int i = 0; i < half; i++) {
        const float sent = upper ? values[i] : values[i + half], kept = upper ? values[i + half] : values[i];
        values[i] = kept + __shfl_xor_sync(~0u, sent, half * 4);
      }
    }
    return values[0];
  }

  const RecurrentMemory& memory_;
  const RecurrentGrid& grid_;
  int group_, split_, across_, tiles_;
  Tile held_[kHeld > 0 ? kHeld : 1];
};

// Keras's defaults, tanh and sigmoid. Derivatives are functions of the value.
struct DefaultActivations {
  explicit __device__ DefaultActivations(const RecurrentActivations&) {}
  static constexpr bool offers_rows(int) { return true; }
  __device__ float cell(float x) const { return tanh(x); }
  __device__ float gate(float x) const { return sigmoid(x); }
  __device__ float cell_grad(float dy, float y) const { return tanh_grad(dy, y, {}); }
  __device__ float gate_grad(float dy, float y) const { return sigmoid_grad(dy, y, {}); }
};

// Any others whose derivative is a function of their value, by calls: there are many, and kernels stay small.
template <class Visit>
__device__ __forceinline__ void with_function_of_value(UnaryFn fn, Visit visit) {
  if (!derivative_uses_value(fn)) return;
  with_function(UnarySpec{fn, 0.0f, 0.0f, 0.0f}, visit);
}
[[maybe_unused]] static __device__ __attribute__((noinline)) float any_value(UnaryFn fn, float x) {
  float y = 0.0f;
  with_function_of_value(fn, [&]<class Function>(Function) { y = Function::value(x, {}); });
  return y;
}
[[maybe_unused]] static __device__ __attribute__((noinline)) float any_grad(UnaryFn fn, float dy, float y) {
  float dx = 0.0f;
  with_function_of_value(fn, [&]<class Function>(Function) { dx = Function::grad(dy, y, {}); });
  return dx;
}
struct AnyActivations {
  const RecurrentActivations& functions;

  explicit __device__ AnyActivations(const RecurrentActivations& functions) : functions(functions) {}
  static constexpr bool offers_rows(int rows) { return rows == 1 || rows == 4; }  // two kernels are enough
  __device__ float cell(float x) const { return any_value(functions.cell.fn, x); }
  __device__ float gate(float x) const { return any_value(functions.gate.fn, x); }
  __device__ float cell_grad(float dy, float y) const { return any_grad(functions.cell.fn, dy, y); }
  __device__ float gate_grad(float dy, float y) const { return any_grad(functions.gate.fn, dy, y); }
};

// Launches Op::body<Activations, rows> on the grid that seems fastest.
template <class Op, class Activations, class OpArgs>
void launch_recurrence(const OpArgs& op, const RecurrentNeeds& needs) {
  const Recurrence<OpArgs> args{op, fastest_recurrent_grid(needs, &Activations::offers_rows)};
  const auto start = [&]<int rows>(std::integral_constant<int, rows>) {
    if constexpr (Activations::offers_rows(rows)) {
      if (args.grid.rows_of_warp != rows) return;
      launch<Recurrence<OpArgs>, Op::template body<Activations, rows>, kRecurrentThreads>(
          dim3(static_cast<unsigned>(args.grid.blocks)), args, static_cast<size_t>(args.grid.shared_bytes()));
    }
  };
  start(std::integral_constant<int, 1>{});
  start(std::integral_constant<int, 2>{});
  start(std::integral_constant<int, 4>{});
  start(std::integral_constant<int, kMostRowsOfWarp>{});
}

template <class Op, class OpArgs>
void start_recurrence(const OpArgs& op, const RecurrentNeeds& needs) {
  if (op.act.cell.fn == UnaryFn::kTanh && op.act.gate.fn == UnaryFn::kSigmoid)
    launch_recurrence<Op, DefaultActivations>(op, needs);
  else
    launch_recurrence<Op, AnyActivations>(op, needs);
}

}  // namespace weft::cuda
