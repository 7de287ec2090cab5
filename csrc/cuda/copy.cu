// Strided copies, conversions between element types, and fill.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/strided.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct CountedCopyArgs {
  CopyArgs copy;
  int64_t count;
};

__device__ void copy_body(const CountedCopyArgs& args) {
  const CopyArgs& c = args.copy;
  const uint32_t* x = static_cast<const uint32_t*>(c.x);  // bits are only moved
  uint32_t* y = static_cast<uint32_t*>(c.y);
  for_each_item(args.count, [&](int64_t i) {
    y[strided_offset(i, c.rank, c.shape, c.y_stride)] = x[strided_offset(i, c.rank, c.shape, c.x_stride)];
  });
}

void copy(const CopyArgs& args) {
  const int64_t count = count_elements(args.rank, args.shape);
  launch<CountedCopyArgs, copy_body>(blocks_for(count), {args, count});
}

// As NumPy's astype on x86: what does not fit becomes the smallest number.
__device__ int32_t truncated(float x) {
  return x >= -2147483648.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN;
}

__device__ void cast_body(const CastArgs& args) {
  for_each_item(args.rows * args.row_size, [&](int64_t i) {
    const int64_t row = i / args.row_size, column = i % args.row_size;
    const int64_t from = row * args.x_stride + column, to = row * args.y_stride + column;
    if (args.to == DType::kInt32) {
      const int32_t value = args.from == DType::kInt32 ? static_cast<const int32_t*>(args.x)[from]
                                                       : truncated(static_cast<const float*>(args.x)[from]);
      static_cast<int32_t*>(args.y)[to] = value;
    } else {
      const float value = args.from == DType::kInt32 ? static_cast<float>(static_cast<const int32_t*>(args.x)[from])
                                                     : static_cast<const float*>(args.x)[from];
      static_cast<float*>(args.y)[to] = value;
    }
  });
}

void cast(const CastArgs& args) { launch<CastArgs, cast_body>(blocks_for(args.rows * args.row_size), args); }

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
