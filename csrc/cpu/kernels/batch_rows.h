// A batch as rows of the data set. float32 rows are read where they are: a copy would be written by one
// core and read by the others in every step, and moving its lines between caches took 10 us of a small
// network's 67. The rows of the next batch are fetched into the cache a few lines per register tile.
#pragma once

#include "cpu/kernels/vec.h"
#include "ops/copy.h"

namespace weft::WEFT_ISA {
namespace {

WEFT_INLINE int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
    case DType::kInt8:
    case DType::kBool:
      return 1;
    case DType::kUInt16:
    case DType::kInt16:
      return 2;
    case DType::kInt64:
    case DType::kUInt64:
    case DType::kFloat64:
      return 8;
    default:
      return 4;
  }
}

// Whether a kernel reads x from the data set, and where. (The row of the data set for row r of the batch.)
struct InPlaceRows {
  const float* data;     // (n, row_size); null: x is a value of the plan
  const int32_t* order;  // null: rows follow each other
  int64_t first, row_size;
};
WEFT_INLINE InPlaceRows in_place_rows(const BatchRows* batch) {
  if (!batch || batch->source->dtype != DType::kFloat32) return {nullptr, nullptr, 0, 0};
  return {static_cast<const float*>(batch->source->data), *batch->order, batch->state->row, batch->row_size};
}
WEFT_INLINE int64_t row_offset(const InPlaceRows& rows, int64_t row) {
  return (rows.order ? rows.order[rows.first + row] : rows.first + row) * rows.row_size;
}

struct BatchPrefetch {
  const char* data;
  const int32_t* order;
  int64_t row_bytes, row, end_row, offset, bytes_per_unit;
};

// For the units `range` of `units` of a kernel; the rows are shared out alike. `next` may be null.
WEFT_INLINE BatchPrefetch prefetch_of(const BatchRows* next, Range range, int64_t units) {
  BatchPrefetch p = {};
  if (!next || !*next->order || range.begin >= range.end) return p;
  const int64_t first = next->state->row + next->rows;
  if (first + next->rows > *next->end) return p;
  p.data = static_cast<const char*>(next->source->data);
  p.order = *next->order + first;
  p.row_bytes = next->row_size * size_of(next->source->dtype);
  p.row = next->rows * range.begin / units;
  p.end_row = next->rows * range.end / units;
  const int64_t lines = (p.row_bytes / 64 + 1) * (p.end_row - p.row);
  p.bytes_per_unit = 64 * (lines / (range.end - range.begin) + 1);
  return p;
}

// Called once for each unit.
WEFT_INLINE void prefetch_some(BatchPrefetch& p) {
  for (int64_t bytes = p.bytes_per_unit; p.row < p.end_row && bytes > 0; bytes -= 64) {
    __builtin_prefetch(p.data + p.order[p.row] * p.row_bytes + p.offset, 0, 2);
    p.offset += 64;
    if (p.offset >= p.row_bytes) {
      p.offset = 0;
      p.row++;
    }
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
