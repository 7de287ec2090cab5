// How lstm, gru and simple_rnn and their gradients go through time. Forwards and Backwards are the bodies of the
// kernels; what a step computes is the op's Cell, see lstm.cu. For the product in the middle of each step see
// recurrent.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/recurrent.h"

namespace weft::cuda {

// One hidden unit of one row of the block, at one step.
struct RecurrentUnit {
  int row, j;        // (rows of the block, h)
  int64_t sequence;  // its row in values (n, ...)
  int64_t at;        // its row in values (n*t, ...)
  int64_t step;
  bool last;  // the last step
};

__device__ __forceinline__ RecurrentUnit unit_at(const RecurrentShape& s, int64_t first, int row, int j, int64_t step) {
  const int64_t sequence = first + row;
  return {row, j, sequence, sequence * s.t + time_at(s, step), step, step == s.t - 1};
}

// The hidden units of a block's rows, (count, h), one after the other over its threads. It is always the same thread
// that works on a unit.
class RecurrentUnits {
 public:
  __device__ RecurrentUnits(const RecurrentShape& shape, const RecurrentGrid& grid)
      : shape_(shape),
        grid_(grid),
        first_row_(static_cast<int>(threadIdx.x) / grid.h),
        first_unit_(static_cast<int>(threadIdx.x) % grid.h) {}
  // body(unit) for `count` rows from row `first` of the batch on.
  template <class Body>
  __device__ __forceinline__ void for_each(int64_t first, int count, int64_t step, Body body) const {
    for (int row = first_row_, unit = first_unit_; row < count;) {
      body(unit_at(shape_, first, row, unit, step));
      row += grid_.unit_rows, unit += grid_.unit_columns;
      if (unit >= grid_.h) unit -= grid_.h, row++;
    }
  }

 private:
  const RecurrentShape& shape_;
  const RecurrentGrid& grid_;
  int first_row_, first_unit_;
};

// body(first, count) for the groups of rows that a block takes through time, one group after the other.
template <class Body>
__device__ __forceinline__ void for_each_rows(const RecurrentGrid& grid, Body body) {
  for (int64_t first = int64_t{blockIdx.x} * grid.rows(); first < grid.n; first += int64_t{gridDim.x} * grid.rows()) {
    body(first, static_cast<int>(grid.n - first < grid.rows() ? grid.n - first : grid.rows()));
  }
}

__device__ __forceinline__ float masked(float x, const float* mask, int64_t at) { return mask ? x * mask[at] : x; }

// What Forwards needs of an op's arguments.
struct ForwardSteps {
  const float* xp;    // (n*t, kGates*h), stride xp_stride
  const float* h0;    // (n, h), stride stride, or null for zeros
  const float* mask;  // (n, h), stride stride, or null
  float* y;           // (n*t, h) or (n, h), stride stride
  float* h_prev;      // (n*t, h), stride stride: h * mask before each step; or null
  int64_t xp_stride, stride;
};

// An op, from the first step to the last. Its Cell{op, memory} has
//   kGates: xp and the product h U have kGates*h columns
//   kMoreUnits: times h, the columns that it keeps in memory.out behind the product
//   kWholeSums: whether take_product must be given whole sums, and not a partial one for each split
//   kStates: floats that it keeps for each unit from step to step, in memory.state
//   steps()
//   begin(unit): sets its states before the first step
//   take_product(act, split, row, column, sum, x): is given each element of the step's product and of xp, in whatever
//     thread has it, and leaves in memory.out what `step` is to read
//   step(act, unit): returns h after the step, and stores what is its own
template <class Cell>
struct Forwards {
  template <class Activations, int rows>
  static __device__ void body(const Recurrence<typename Cell::Args>& args) {
    const RecurrentGrid& grid = args.grid;
    const RecurrentShape& s = args.op.shape;
    const RecurrentMemory memory(grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(s, grid);
    const Activations act(args.op.act);
    const Cell cell = {args.op, memory};
    const ForwardSteps op = cell.steps();
    for_each_rows(grid, [&](int64_t first, int count) {
      __syncthreads();
      units.for_each(first, count, 0, [&](const RecurrentUnit& u) {
        const int64_t state = u.sequence * op.stride + u.j;
        memory.left_at(u.row, u.j) = masked(op.h0 ? op.h0[state] : 0.0f, op.mask, state);
        cell.begin(u);
      });
      __syncthreads();
      for (int64_t step = 0; step < s.t; step++) {
        const int64_t time = time_at(s, step);
        const auto input = [&](int row, int column) {
          if (row >= count || column >= grid.columns) return 0.0f;
          return op.xp[((first + row) * s.t + time) * op.xp_stride + column];
        };
        product.run(step == 0 && !op.h0, input, [&](int split, int row, int column, float sum, float x) {
          if (column < grid.columns) cell.take_product(act, split, row, column, sum, x);
        });
        __syncthreads();
        units.for_each(first, count, step, [&](const RecurrentUnit& u) {
          const int64_t state = u.sequence * op.stride + u.j, at = u.at * op.stride + u.j;
          const float h = cell.step(act, u);
          if (op.h_prev) op.h_prev[at] = memory.left_at(u.row, u.j);
          memory.left_at(u.row, u.j) = masked(h, op.mask, state);
          if (s.sequences || u.last) op.y[s.sequences ? at : state] = h;
        });
        __syncthreads();
      }
    });
  }
};

template <class Cell>
void start_forwards(const typename Cell::Args& args) {
  const RecurrentShape& s = args.shape;
  const bool products = s.t > 1 || args.h0;  // the first step has none if h is 0
  start_recurrence<Forwards<Cell>>(
      args, {s, args.u, s.h, Cell::kGates * s.h, Cell::kMoreUnits * s.h, Cell::kStates, 0, products, Cell::kWholeSums});
}

// What Backwards needs of a gradient's arguments.
struct BackwardSteps {
  const float* dy;  // (n*t, h) or (n, h), stride stride
  int64_t stride;
  bool wants_state;  // the gradients of the initial states
};

// A gradient, from the last step to the first. Its Cell{op, memory} has
//   kGates: the left side of the product, dpre U^T, has kGates*h columns
//   kStates: as above
//   kSaved: values of the forward run that a unit needs for a step; they are fetched one step ahead
//   steps()
//   saved_at(which, unit): the address of one of them, or null for 0
//   step(act, unit, dh, saved): given the gradient of h after the step, and saved(which), leaves dpre in memory.left
//   dh_before(unit): the gradient of h before the step, once the product is there
//   finish_states(unit): stores the gradients of the initial states
//   finish_rows(first, count): comes last; all threads of the block see what the others stored
template <class Cell>
struct Backwards {
  static constexpr int kDy = Cell::kSaved;  // dy is fetched with them
  static constexpr int kFetched = kDy + 1;

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<typename Cell::Args>& args) {
    const RecurrentGrid& grid = args.grid;
    const RecurrentShape& s = args.op.shape;
    const RecurrentMemory memory(grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(s, grid);
    const Activations act(args.op.act);
    const Cell cell = {args.op, memory};
    const BackwardSteps op = cell.steps();
    const auto address = [&](int which, const RecurrentUnit& u) -> const float* {
      if (which < Cell::kSaved) return cell.saved_at(which, u);
      if (s.sequences) return op.dy + u.at * op.stride + u.j;
      return u.last ? op.dy + u.sequence * op.stride + u.j : nullptr;
    };
    for_each_rows(grid, [&](int64_t first, int count) {
      // By the thread that works on the unit.
      const auto fetch_unit = [&](const RecurrentUnit& u) {
#pragma unroll
        for (int which = 0; which < kFetched; which++) {
          const float* from = address(which, u);
          if (from) copy_async_4(&memory.state(grid.states + which, u.row, u.j), from, true);
        }
      };
      const auto fetch = [&](int64_t step) {
        if (grid.fetched > 0) units.for_each(first, count, step, fetch_unit);
        copy_async_commit();
      };
      fetch(s.t - 1);
      __syncthreads();
      for (int64_t step = s.t - 1; step >= 0; step--) {
        copy_async_wait<0>();  // of this thread, for its own units
        units.for_each(first, count, step, [&](const RecurrentUnit& u) {
          const auto fetched = [&](int which) {
            const float* from = address(which, u);
            if (!from) return 0.0f;
            return grid.fetched > 0 ? memory.state(grid.states + which, u.row, u.j) : *from;
          };
          const float dh = (u.last ? 0.0f : cell.dh_before(u)) + fetched(kDy);
          cell.step(act, u, dh, fetched);
        });
        if (step == 0 && !op.wants_state) break;
        if (step > 0) fetch(step - 1);
        __syncthreads();
        product.run_plain();
        __syncthreads();
      }
      if (op.wants_state) {
        units.for_each(first, count, 0, [&](const RecurrentUnit& u) { cell.finish_states(u); });
      }
      __syncthreads();
      cell.finish_rows(first, count);
    });
  }
};

template <class Cell>
void start_backwards(const typename Cell::Args& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<Backwards<Cell>>(args, {s, args.u_t, Cell::kGates * s.h, s.h, 0, Cell::kStates,
                                           Backwards<Cell>::kFetched, s.t > 1 || args.wants_state, false});
}

// to = the sum of `from` over time, from the last step to the first, for the block's rows.
__device__ __forceinline__ void sum_over_time(const RecurrentShape& s, int64_t first, int count, int columns,
                                              int64_t stride, const float* from, float* to) {
  for (int i = threadIdx.x; i < count * columns; i += kRecurrentThreads) {
    const int64_t row = first + i / columns;
    const int column = i % columns;
    float sum = 0.0f;
#pragma unroll 8
    for (int64_t step = s.t - 1; step >= 0; step--) sum += from[(row * s.t + time_at(s, step)) * stride + column];
    to[row * stride + column] = sum;
  }
}

}  // namespace weft::cuda
