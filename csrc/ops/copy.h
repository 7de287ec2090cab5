// Moving elements: any permutation, broadcast, slice, concatenation or change of stride is one strided
// copy; conversions between the element types; and the two ends of a plan, the gather of a batch from
// the data set and the store of a result.
#pragma once

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"

namespace weft {

// y[i...] = x[i...] over `shape`; 4-byte elements of either type. An x stride of 0 repeats.
struct CopyArgs {
  const void* x;
  void* y;
  int rank;
  int64_t shape[kMaxRank], x_stride[kMaxRank], y_stride[kMaxRank];  // strides in elements
};

// float32 <-> int32 (truncating, as NumPy's astype).
struct CastArgs {
  const void* x;  // (rows, row_size), stride x_stride
  void* y;        // (rows, row_size), stride y_stride
  int64_t rows, row_size, x_stride, y_stride;
  DType from, to;
};

// fill: y = value, 4-byte elements.
struct FillArgs {
  float* y;  // (size)
  int64_t size;
  float value;
};

// An array that a user feeds or receives, bound before a run; rows are contiguous.
struct Binding {
  void* data;  // (n, row_size)
  DType dtype;
};

// y[r] = convert(data[order ? order[state->row + r] : state->row + r])
struct LoadBatchArgs {
  const Binding* source;
  const int32_t* const* order;  // (n), points at null when rows are read in place
  const StepState* state;
  void* y;  // (rows, row_size), stride y_stride
  int64_t rows, row_size, y_stride;
  DType to;             // kFloat32 or kInt32
  float scale, offset;  // y = x*scale + offset, float32 only (Rescaling fused into the loader)
};

// The rows of the data set that make up a batch.
struct BatchRows {
  const Binding* source;
  const int32_t* const* order;  // points at null when rows are read in place
  const int64_t* end;           // rows of the order
  const StepState* state;
  int64_t rows, row_size;
};

// data[state->row + r] = x[r], in x's own type (float32 or int32).
struct StoreBatchArgs {
  const Binding* target;
  const StepState* state;
  const void* x;  // (rows, row_size), stride x_stride
  int64_t rows, row_size, x_stride;
};

}  // namespace weft
