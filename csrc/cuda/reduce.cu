// Sums, means, products and extrema over axes, and argmax. A block computes a few results, with a few threads for each:
// neighbouring threads read neighbouring elements, of one result where the reduced elements are contiguous (along), of
// neighbouring results otherwise (across). A long reduction to few results runs in two grids. The order of each result
// is fixed by the shape alone.
#include "cuda/axes.h"
#include "cuda/fold.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct Sum : Plus {
  static constexpr float identity = 0.0f;
};
struct Product {
  static constexpr float identity = 1.0f;
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a * b;
  }
};
// These two give NaN if either is NaN.
struct Largest {
  static constexpr float identity = -kInfinity;
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct Smallest {
  static constexpr float identity = kInfinity;
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

// What the blocks of the first grid leave for the second, (splits, results), for each branch of a graph.
constexpr int64_t kMaxPartials = 1 << 15;
__device__ double partial_results[kBranches][kMaxPartials];

// A long reduction is split among so many blocks at most. The number is not that of the GPU's multiprocessors, so that
// all GPUs add in the same order.
constexpr int64_t kBlocks = 256;
constexpr int kBatch = 8;  // elements of a thread that are loaded together

struct ReduceGridArgs {
  const float* x;   // kept by reduced; null: partial_results
  float* y;         // kept; null: partial_results
  Axes<2> kept;     // of x and y
  Axes<1> reduced;  // of x
  int results;      // of a block, a power of 2
  bool across;
  int64_t per_split;  // reduced elements
  double divisor;     // of the total: the count for means, else 1
  int branch;         // whose partial_results
};

// The sum, or whatever Op makes, of a thread's elements first, first + step, ... below end: float32 in small trees,
// which are added up in double.
template <class Op, class T>
__device__ __forceinline__ double reduce_elements(const T* x, const Axes<1>& axes, int64_t first, int64_t end,
                                                  int64_t step) {
  double total = Op::identity;
  for (int64_t i = first; i < end; i += kBatch * step) {
    T value[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; j++) {
      value[j] = Op::identity;
      if (i + j * step >= end) continue;
      int64_t offset[1];
      axes.locate(i + j * step, offset);
      value[j] = x[offset[0]];
    }
#pragma unroll
    for (int half = kBatch / 2; half > 0; half /= 2) {
#pragma unroll
      for (int j = 0; j < half; j++) value[j] = Op{}(value[j], value[j + half]);
    }
    total = Op{}(total, static_cast<double>(value[0]));
  }
  return total;
}

template <class Op>
__device__ void reduce_body(const ReduceGridArgs& args) {
  const int thread = static_cast<int>(threadIdx.x), per_result = kThreads / args.results;
  const int k = args.across ? thread % args.results : thread / per_result;
  const int r = args.across ? thread / args.results : thread % per_result;
  const int64_t result = int64_t{blockIdx.x} * args.results + k;
  const bool exists = result < args.kept.count;
  int64_t offset[2] = {};
  if (exists) args.kept.locate(result, offset);
  double total = Op::identity;
  if (exists) {
    const int64_t begin = blockIdx.y * args.per_split, after = begin + args.per_split;
    const int64_t end = after < args.reduced.count ? after : args.reduced.count;
    const double* partials = partial_results[args.branch];
    total = args.x ? reduce_elements<Op>(args.x + offset[0], args.reduced, begin + r, end, per_result)
                   : reduce_elements<Op>(partials + offset[0], args.reduced, begin + r, end, per_result);
  }
  total = fold_threads(total, r, per_result, args.across ? args.results : 1, &shared<double>(), Op{});
  if (!exists || r != 0) return;
  if (args.y)
    args.y[offset[1]] = static_cast<float>(total / args.divisor);
  else
    partial_results[args.branch][blockIdx.y * args.kept.count + result] = total;
}

int64_t power_of_2_from(int64_t n) {
  int64_t power = 1;
  while (power < n) power *= 2;
  return power;
}
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Results of a block: as many threads for each as have a few elements to add up.
int64_t results_of_block(const ReduceGridArgs& grid) {
  const int64_t enough = power_of_2_from(ceil_divide(grid.reduced.count, grid.across ? kBatch : kBatch / 2));
  const int64_t side_by_side = grid.across ? power_of_2_from(smaller(grid.kept.count, kWarp)) : 1;
  return kThreads / smaller(enough, kThreads / side_by_side);
}

template <class Op>
void launch_reduce(ReduceGridArgs& grid, int64_t splits) {
  grid.results = static_cast<int>(results_of_block(grid));
  grid.per_split = ceil_divide(grid.reduced.count, splits);
  const dim3 blocks(static_cast<unsigned>(ceil_divide(grid.kept.count, grid.results)), static_cast<unsigned>(splits));
  launch<ReduceGridArgs, reduce_body<Op>>(blocks, grid, kThreads * sizeof(double));
}

template <class Op>
void reduce_with(const ReduceArgs& args) {
  Strided<2> kept = merge_axes<2>(args.kept_rank, args.kept_shape, {args.kept_x_stride, args.kept_y_stride});
  Strided<1> reduced = merge_axes<1>(args.reduced_rank, args.reduced_shape, {args.reduced_x_stride});
  ReduceGridArgs grid = {};
  grid.across = !move_contiguous_last(reduced);
  if (grid.across) move_contiguous_last(kept);
  grid.x = args.x, grid.y = args.y;
  grid.branch = launch_context().branch;
  grid.kept = axes_of(kept), grid.reduced = axes_of(reduced);
  if (grid.kept.count == 0) return;
  grid.divisor = args.fn == ReduceFn::kMean ? static_cast<double>(grid.reduced.count) : 1.0;

  // Splits: to fill the GPU, but not so many that a thread has fewer than 64 elements.
  const int64_t results = results_of_block(grid), per_result = kThreads / results;
  int64_t splits = smaller(kBlocks / ceil_divide(grid.kept.count, results), grid.reduced.count / (64 * per_result));
  splits = smaller(splits, kMaxPartials / grid.kept.count);
  if (splits <= 1) return launch_reduce<Op>(grid, 1);

  grid.y = nullptr;
  launch_reduce<Op>(grid, splits);
  Strided<1> partials = {1, {splits}, {{grid.kept.count}}};
  int64_t stride = 1;
  for (int axis = kept.rank - 1; axis >= 0; stride *= kept.shape[axis--]) kept.stride[0][axis] = stride;
  grid.x = nullptr, grid.y = args.y;
  grid.kept = axes_of(kept), grid.reduced = axes_of(partials);
  grid.across = true;
  launch_reduce<Op>(grid, 1);
}

void reduce(const ReduceArgs& args) {
  switch (args.fn) {
    case ReduceFn::kSum:
    case ReduceFn::kMean:
      return reduce_with<Sum>(args);
    case ReduceFn::kMax:
      return reduce_with<Largest>(args);
    case ReduceFn::kMin:
      return reduce_with<Smallest>(args);
    case ReduceFn::kProd:
      return reduce_with<Product>(args);
  }
}

// Whether (a, i) comes before (b, j): a NaN before any number, as in NumPy, and of equals the first.
__device__ __forceinline__ bool is_better(float a, int32_t i, float b, int32_t j) {
  if (a != a || b != b) return a != a && (b == b || i < j);
  return a > b || (a == b && i < j);
}

template <int lanes>
__device__ void argmax_body(const ArgmaxArgs& args) {
  const RowGroup<lanes> group(args.rows, args.row_size);
  const float* x = args.x + group.row * args.x_stride;
  float best = -kInfinity;
  int32_t index = INT32_MAX;
  group.for_each_column([&](int64_t column) {
    const float value = args.smallest ? -x[column] : x[column];
    const int32_t i = static_cast<int32_t>(column);
    if (is_better(value, i, best, index)) best = value, index = i;
  });
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(~0u, best, distance);
    const int32_t other_index = __shfl_xor_sync(~0u, index, distance);
    if (is_better(other, other_index, best, index)) best = other, index = other_index;
  }
  if (group.leads()) args.y[group.row] = index;
}

void argmax(const ArgmaxArgs& args) {
  if (args.row_size <= 16) return launch_rows<ArgmaxArgs, argmax_body<8>, 8>(args.rows, args);
  launch_rows<ArgmaxArgs, argmax_body<kWarp>, kWarp>(args.rows, args);
}

}  // namespace

void fill_reduce(KernelTable& table) {
  table.reduce = kernel_of<ReduceArgs, reduce>();
  table.argmax = kernel_of<ArgmaxArgs, argmax>();
}

}  // namespace weft::cuda
