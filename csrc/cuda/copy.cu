// Strided copies, conversions between element types, and fill.
#include "cuda/axes.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

// Bits are only moved, so int32 may pass as float32.
struct CopyGridArgs {
  float* y;
  const float* x;
  Axes<2> axes;  // of y, x
};

__device__ void copy_body(const CopyGridArgs& args) {
  store_each(args.axes, args.y, [&](const int64_t(&offset)[2]) { return args.x[offset[1]]; });
}

void copy(const CopyArgs& args) {
  const Axes<2> axes = merged_axes<2>(args.rank, args.shape, {args.y_stride, args.x_stride});
  launch<CopyGridArgs, copy_body>(blocks_for(axes.count),
                                  {static_cast<float*>(args.y), static_cast<const float*>(args.x), axes});
}

// As NumPy's astype on x86: what does not fit becomes the smallest number.
__device__ int32_t truncated(float x) {
  return x >= -2147483648.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN;
}

struct CastGridArgs {
  CastArgs args;
  Divisor row_size;
};

__device__ void cast_body(const CastGridArgs& grid) {
  const CastArgs& a = grid.args;
  for_each_item(a.rows * a.row_size, [&](int64_t i) {
    const int64_t row = divide(i, grid.row_size), column = i - row * a.row_size;
    const int64_t from = row * a.x_stride + column, to = row * a.y_stride + column;
    if (a.from == a.to) {
      static_cast<float*>(a.y)[to] = static_cast<const float*>(a.x)[from];
    } else if (a.to == DType::kInt32) {
      static_cast<int32_t*>(a.y)[to] = truncated(static_cast<const float*>(a.x)[from]);
    } else {
      static_cast<float*>(a.y)[to] = static_cast<float>(static_cast<const int32_t*>(a.x)[from]);
    }
  });
}

void cast(const CastArgs& args) {
  if (args.row_size == 0) return;
  launch<CastGridArgs, cast_body>(blocks_for(args.rows * args.row_size), {args, divisor_of(args.row_size)});
}

__device__ void fill_body(const FillArgs& args) {
  for_each_item(args.size, [&](int64_t i) { args.y[i] = args.value; });
}

void fill(const FillArgs& args) { launch<FillArgs, fill_body>(blocks_for(args.size), args); }

}  // namespace

void fill_copy(KernelTable& table) {
  table.copy = kernel_of<CopyArgs, copy>();
  table.cast = kernel_of<CastArgs, cast>();
  table.fill = kernel_of<FillArgs, fill>();
}

}  // namespace weft::cuda
