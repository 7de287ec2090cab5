// The two ends of a plan: the gather of a batch from the data set, with its conversion, and the store of a result.
#include "cuda/axes.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/saturate.h"

namespace weft::cuda {
namespace {

__device__ float as_float(const LoadBatchArgs& args, float x) {
  return args.scale == 1.0f && args.offset == 0.0f ? x : x * args.scale + args.offset;
}

struct LoadBatchGridArgs {
  LoadBatchArgs args;
  Divisor row_size;
};

template <class T>
__device__ void load_rows(const LoadBatchGridArgs& grid) {
  const LoadBatchArgs& args = grid.args;
  const T* data = static_cast<const T*>(args.source->data);
  const int32_t* order = args.order ? *args.order : nullptr;
  const int64_t first_row = args.state->row;
  for_each_item(args.rows * args.row_size, [&](int64_t i) {
    const int64_t row = divide(i, grid.row_size), column = i - row * args.row_size;
    const int64_t source_row = order ? order[first_row + row] : first_row + row;
    const T x = data[source_row * args.row_size + column];
    const int64_t to = row * args.y_stride + column;
    if (args.to == DType::kInt32)
      static_cast<int32_t*>(args.y)[to] = saturate(x);
    else
      static_cast<float*>(args.y)[to] = as_float(args, static_cast<float>(x));
  });
}

// The type is that of the array bound at run time, so the choice is made on the device.
__device__ void load_batch_body(const LoadBatchGridArgs& grid) {
  switch (grid.args.source->dtype) {
    case DType::kFloat32:
      return load_rows<float>(grid);
    case DType::kInt32:
      return load_rows<int32_t>(grid);
    case DType::kUInt8:
    case DType::kBool:
      return load_rows<uint8_t>(grid);
    case DType::kInt8:
      return load_rows<int8_t>(grid);
    case DType::kUInt16:
      return load_rows<uint16_t>(grid);
    case DType::kInt16:
      return load_rows<int16_t>(grid);
    case DType::kUInt32:
      return load_rows<uint32_t>(grid);
    case DType::kInt64:
      return load_rows<int64_t>(grid);
    case DType::kUInt64:
      return load_rows<uint64_t>(grid);
    case DType::kFloat64:
      return load_rows<double>(grid);
  }
}

void load_batch(const LoadBatchArgs& args) {
  if (args.row_size == 0) return;
  launch<LoadBatchGridArgs, load_batch_body>(blocks_for(args.rows * args.row_size), {args, divisor_of(args.row_size)});
}

struct StoreBatchGridArgs {
  StoreBatchArgs args;
  Divisor row_size;
};

__device__ void store_batch_body(const StoreBatchGridArgs& grid) {
  const StoreBatchArgs& args = grid.args;
  uint32_t* data = static_cast<uint32_t*>(args.target->data) + args.state->row * args.row_size;
  const uint32_t* x = static_cast<const uint32_t*>(args.x);  // bits are only moved
  for_each_item(args.rows * args.row_size,
                [&](int64_t i) { data[i] = x[i / args.row_size * args.x_stride + i % args.row_size]; });
}

void store_batch(const StoreBatchArgs& args) {
  if (args.row_size == 0) return;
  launch<StoreBatchGridArgs, store_batch_body>(blocks_for(args.rows * args.row_size),
                                               {args, divisor_of(args.row_size)});
}

}  // namespace

void fill_batch(KernelTable& table) {
  table.load_batch = kernel_of<LoadBatchArgs, load_batch>();
  table.store_batch = kernel_of<StoreBatchArgs, store_batch>();
}

}  // namespace weft::cuda
