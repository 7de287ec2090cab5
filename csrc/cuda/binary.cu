// Elementwise functions of two arguments, and select, with broadcasting. The function is chosen on the host: one grid
// for each.
#include "cuda/axes.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/binary_functions.h"

namespace weft::cuda {
namespace {

struct BinaryGridArgs {
  float* y;
  const float* a;
  const float* b;
  Axes<3> axes;  // of y, a, b
};

template <class Function>
__device__ void binary_body(const BinaryGridArgs& args) {
  store_each(args.axes, args.y,
             [&](const int64_t(&offset)[3]) { return Function::value(args.a[offset[1]], args.b[offset[2]]); });
}

void binary(const BinaryArgs& args) {
  const Axes<3> axes = merged_axes<3>(args.rank, args.shape, {args.y_stride, args.a_stride, args.b_stride});
  const BinaryGridArgs grid = {args.y, args.a, args.b, axes};
  with_function(args.fn, [&]<class Function>(Function) {
    launch<BinaryGridArgs, binary_body<Function>>(blocks_for(axes.count), grid);
  });
}

struct SelectGridArgs {
  float* y;
  const float* condition;
  const float* a;
  const float* b;
  Axes<4> axes;  // of y, condition, a, b
};

__device__ void select_body(const SelectGridArgs& args) {
  store_each(args.axes, args.y, [&](const int64_t(&offset)[4]) {
    // Both are read, so that no load waits for the condition.
    const float a = args.a[offset[2]], b = args.b[offset[3]];
    return args.condition[offset[1]] != 0.0f ? a : b;
  });
}

void select_elements(const SelectArgs& args) {
  const Axes<4> axes =
      merged_axes<4>(args.rank, args.shape, {args.y_stride, args.condition_stride, args.a_stride, args.b_stride});
  launch<SelectGridArgs, select_body>(blocks_for(axes.count), {args.y, args.condition, args.a, args.b, axes});
}

}  // namespace

void fill_binary(KernelTable& table) {
  table.binary = kernel_of<BinaryArgs, binary>();
  table.select = kernel_of<SelectArgs, select_elements>();
}

}  // namespace weft::cuda
