// Reductions over neighbouring threads, always by the same tree, and the grid of kernels that give every row a group of
// threads: 8 lanes for short rows, a warp, or the whole block for long ones.
#pragma once

#include <type_traits>

#include "cuda/launch.h"

namespace weft::cuda {

struct Plus {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
// Two sums at a time.
struct Sums {
  double first, second;
};
struct AddSums {
  __device__ __forceinline__ Sums operator()(Sums a, Sums b) const { return {a.first + b.first, a.second + b.second}; }
};
// Ignores NaN.
struct QuickMaximum {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// Over groups of 2, 4, ... 32 lanes; all lanes of the warp take part, and each gets the result of its group.
template <int lanes, class T, class Op>
__device__ __forceinline__ T fold_lanes(T x, Op op) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2) x = op(x, __shfl_xor_sync(~0u, x, distance));
  return x;
}

// Over groups of `size` threads, a power of 2, that stand `unit` apart; index is a thread's place in its group. The
// result is that of the group's first thread. All threads of the block take part.
template <class T, class Op>
__device__ __forceinline__ T fold_threads(T x, int index, int size, int unit, T* scratch /* (threads) */, Op op) {
  scratch[threadIdx.x] = x;
  for (int half = size / 2; half > 0; half /= 2) {
    __syncthreads();
    if (index < half) scratch[threadIdx.x] = x = op(x, scratch[threadIdx.x + half * unit]);
  }
  return x;
}

// A thread of the group that a row has. Threads of groups without a row have no columns, but take part in folds.
template <int lanes>
struct RowGroup {
  static constexpr int kPerBlock = kThreads / lanes;
  int64_t row;
  int64_t columns;  // of the row
  int lane;

  __device__ __forceinline__ RowGroup(int64_t rows, int64_t row_size)
      : row(int64_t{blockIdx.x} * kPerBlock + threadIdx.x / lanes),
        columns(row < rows ? row_size : 0),
        lane(static_cast<int>(threadIdx.x % lanes)) {}

  // The first thread of a row.
  __device__ __forceinline__ bool leads() const { return lane == 0 && columns > 0; }

  // body(column) for the thread's share of the row.
  template <class Body>
  __device__ __forceinline__ void for_each_column(Body body) const {
#pragma unroll 4
    for (int64_t column = lane; column < columns; column += lanes) body(column);
  }

  // Over the group; every thread gets the result. A whole block needs shared memory for it, see launch_rows.
  template <class T, class Op>
  __device__ __forceinline__ T fold(T x, Op op) const {
    if constexpr (lanes <= kWarp) {
      return fold_lanes<lanes>(x, op);
    } else {
      T* scratch = static_cast<T*>(shared_memory());  // (warps)
      x = fold_lanes<kWarp>(x, op);
      if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = x;
      __syncthreads();
      x = fold_lanes<kThreads / kWarp>(scratch[threadIdx.x % (kThreads / kWarp)], op);
      __syncthreads();
      return x;
    }
  }
};

// visit(std::integral_constant<int, lanes>{}) with the size of the groups for rows of row_size.
template <class Visit>
void with_lanes(int64_t row_size, Visit visit) {
  if (row_size <= 16) return visit(std::integral_constant<int, 8>{});
  if (row_size <= 2048) return visit(std::integral_constant<int, kWarp>{});
  visit(std::integral_constant<int, kThreads>{});
}

// Starts body(args), whose threads find their rows by RowGroup<lanes>.
template <class Args, void (*body)(const Args&), int lanes>
void launch_rows(int64_t rows, const Args& args) {
  const size_t shared_bytes = lanes > kWarp ? kThreads / kWarp * sizeof(double) : 0;
  launch<Args, body>(dim3(static_cast<unsigned>(ceil_divide(rows, RowGroup<lanes>::kPerBlock))), args, shared_bytes);
}

}  // namespace weft::cuda
