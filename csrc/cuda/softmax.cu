// Softmax and log softmax with their gradients, and softmax with cross-entropy: loss and gradient in one grid. A row
// has a group of threads and is read two or three times, all but the first from the cache.
#include "cuda/fold.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/softmax.h"

namespace weft::cuda {
namespace {

// NaN is ignored: it comes back with exp(x - maximum).
template <int lanes>
__device__ __forceinline__ float row_maximum(const RowGroup<lanes>& group, const float* x) {
  float largest = -kInfinity;
  group.for_each_column([&](int64_t column) { largest = fmaxf(largest, x[column]); });
  return group.fold(largest, QuickMaximum{});
}

template <int lanes>
__device__ void softmax_body(const SoftmaxArgs& args) {
  const RowGroup<lanes> group(args.rows, args.row_size);
  const float* x = args.x + group.row * args.x_stride;
  float* y = args.y + group.row * args.y_stride;
  const float shift = row_maximum(group, x);
  float sum = 0.0f;
  group.for_each_column([&](int64_t column) { sum += exp(x[column] - shift); });
  sum = group.fold(sum, Plus{});
  if (args.log) {
    const float log_sum = log(sum);
    group.for_each_column([&](int64_t column) { y[column] = (x[column] - shift) - log_sum; });
  } else {
    const float inverse = 1.0f / sum;
    group.for_each_column([&](int64_t column) { y[column] = exp(x[column] - shift) * inverse; });
  }
}

void softmax(const SoftmaxArgs& args) {
  with_lanes(args.row_size, [&]<int lanes>(std::integral_constant<int, lanes>) {
    launch_rows<SoftmaxArgs, softmax_body<lanes>, lanes>(args.rows, args);
  });
}

template <int lanes>
__device__ void softmax_grad_body(const SoftmaxGradArgs& args) {
  const RowGroup<lanes> group(args.rows, args.row_size);
  const float* dy = args.dy + group.row * args.dy_stride;
  const float* y = args.y + group.row * args.y_stride;
  float* dx = args.dx + group.row * args.dx_stride;
  float sum = 0.0f;
  group.for_each_column([&](int64_t column) { sum += args.log ? dy[column] : dy[column] * y[column]; });
  sum = group.fold(sum, Plus{});
  group.for_each_column([&](int64_t column) {
    const float d = dy[column], value = y[column];
    dx[column] = args.log ? d - exp(value) * sum : value * (d - sum);
  });
}

void softmax_grad(const SoftmaxGradArgs& args) {
  with_lanes(args.row_size, [&]<int lanes>(std::integral_constant<int, lanes>) {
    launch_rows<SoftmaxGradArgs, softmax_grad_body<lanes>, lanes>(args.rows, args);
  });
}

// How the true distribution t of a row is given.
enum class Truth { kLabels, kSmoothedLabels, kTargets };

template <Truth truth, int lanes>
__device__ void cross_entropy_body(const SoftmaxCrossEntropyArgs& args) {
  const RowGroup<lanes> group(args.rows, args.row_size);
  const float* x = args.x + group.row * args.x_stride;
  const bool exists = group.columns > 0;
  const int64_t label = truth != Truth::kTargets && exists ? args.labels[group.row] : 0;
  const bool valid = truth == Truth::kTargets || (label >= 0 && label < args.row_size);
  const float share = args.smoothing / static_cast<float>(args.row_size), rest = 1.0f - args.smoothing;
  const auto t = [&](int64_t column) {
    if constexpr (truth == Truth::kTargets)
      return args.targets[group.row * args.targets_stride + column] * rest + share;
    else if constexpr (truth == Truth::kSmoothedLabels)
      return column == label ? rest + share : share;
    else
      return column == label ? 1.0f : 0.0f;
  };

  // loss = log(sum) * truth_sum - expected, where expected is the sum of t*(x - maximum).
  const float shift = row_maximum(group, x);
  float sum = 0.0f, expected = 0.0f, truth_sum = 0.0f;
  group.for_each_column([&](int64_t column) {
    const float z = x[column] - shift, weight = t(column);
    sum += exp(z);
    if (weight != 0.0f) expected += weight * z;  // a t of 0 counts for nothing even where x is -inf
    if (truth == Truth::kTargets) truth_sum += weight;
  });
  sum = group.fold(sum, Plus{});
  expected = group.fold(expected, Plus{});
  truth_sum = truth == Truth::kTargets ? group.fold(truth_sum, Plus{}) : 1.0f;

  if (args.dx) {
    float* dx = args.dx + group.row * args.dx_stride;
    const float scale = 1.0f / sum * truth_sum, dloss = exists ? args.dloss[group.row] : 0.0f;
    group.for_each_column([&](int64_t column) {
      const float gradient = (exp(x[column] - shift) * scale - t(column)) * dloss;
      dx[column] = valid ? gradient : 0.0f;
    });
  }
  if (!args.loss || !group.leads()) return;
  const float loss = valid ? log(sum) * truth_sum - expected : kNaN;
  args.loss[group.row] = loss;
  // Several threads may find this at a time; all of them write the same.
  if (args.state && !(fabsf(loss) <= kFloatMax)) args.state->abort_step = 1;
}

template <Truth truth>
void cross_entropy(const SoftmaxCrossEntropyArgs& args) {
  with_lanes(args.row_size, [&]<int lanes>(std::integral_constant<int, lanes>) {
    launch_rows<SoftmaxCrossEntropyArgs, cross_entropy_body<truth, lanes>, lanes>(args.rows, args);
  });
}

void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args) {
  if (!args.labels) return cross_entropy<Truth::kTargets>(args);
  if (args.smoothing != 0.0f) return cross_entropy<Truth::kSmoothedLabels>(args);
  cross_entropy<Truth::kLabels>(args);
}

}  // namespace

void fill_softmax(KernelTable& table) {
  table.softmax = kernel_of<SoftmaxArgs, softmax>();
  table.softmax_grad = kernel_of<SoftmaxGradArgs, softmax_grad>();
  table.softmax_cross_entropy = kernel_of<SoftmaxCrossEntropyArgs, softmax_cross_entropy>();
}

}  // namespace weft::cuda
