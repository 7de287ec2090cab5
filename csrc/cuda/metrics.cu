// What an epoch adds up, the check that a loss is finite, in-top-k and one-hot.
#include "cuda/axes.h"
#include "cuda/divisor.h"
#include "cuda/fold.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

// One block: batches are short, and the sums belong to nobody else.
__device__ void accumulate_body(const AccumulateArgs& args) {
  Sums total = {};  // of weight * value, and of the weights
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < args.size; i += kThreads) {
    const double weight = args.weights ? static_cast<double>(args.weights[i]) : 1.0;
    total.first += static_cast<double>(args.values[i]) * weight;
    total.second += weight;
  }
  total = fold_threads(total, static_cast<int>(threadIdx.x), kThreads, 1, &shared<Sums>(), AddSums{});
  if (threadIdx.x != 0) return;
  args.state->sums[args.slot] += total.first;
  args.state->sums[args.slot + 1] += total.second;
}

void accumulate(const AccumulateArgs& args) {
  launch<AccumulateArgs, accumulate_body>(dim3(1), args, kThreads * sizeof(Sums));
}

__device__ void check_finite_body(const CheckFiniteArgs& args) {
  if (!(fabsf(*args.loss) <= kFloatMax)) args.state->abort_step = 1;
}

void check_finite(const CheckFiniteArgs& args) { launch<CheckFiniteArgs, check_finite_body, 1>(dim3(1), args); }

template <int lanes>
__device__ void in_top_k_body(const InTopKArgs& args) {
  const RowGroup<lanes> group(args.rows, args.row_size);
  const float* scores = args.scores + group.row * args.scores_stride;
  const int32_t label = group.columns > 0 ? args.labels[group.row] : -1;
  const bool valid = label >= 0 && label < args.row_size;
  const float own = valid ? scores[label] : kNaN;
  int count = 0;
  group.for_each_column([&](int64_t column) { count += scores[column] > own; });
  count = group.fold(count, Plus{});
  if (group.leads()) args.y[group.row] = fabsf(own) <= kFloatMax && count < args.k ? 1.0f : 0.0f;
}

void in_top_k(const InTopKArgs& args) {
  with_lanes(args.row_size, [&]<int lanes>(std::integral_constant<int, lanes>) {
    launch_rows<InTopKArgs, in_top_k_body<lanes>, lanes>(args.rows, args);
  });
}

struct OneHotGridArgs {
  OneHotArgs one_hot;
  Divisor depth;
};

__device__ void one_hot_body(const OneHotGridArgs& args) {
  const OneHotArgs& a = args.one_hot;
  for_each_item(a.rows * a.depth, [&](int64_t i) {
    const int64_t row = divide(i, args.depth), column = i - row * a.depth;
    a.y[row * a.y_stride + column] = a.labels[row] == column ? 1.0f : 0.0f;
  });
}

void one_hot(const OneHotArgs& args) {
  const int64_t count = args.rows * args.depth;
  if (count > 0) launch<OneHotGridArgs, one_hot_body>(blocks_for(count), {args, divisor_of(args.depth)});
}

}  // namespace

void fill_metrics(KernelTable& table) {
  table.accumulate = kernel_of<AccumulateArgs, accumulate>();
  table.check_finite = kernel_of<CheckFiniteArgs, check_finite>();
  table.in_top_k = kernel_of<InTopKArgs, in_top_k>();
  table.one_hot = kernel_of<OneHotArgs, one_hot>();
}

}  // namespace weft::cuda
