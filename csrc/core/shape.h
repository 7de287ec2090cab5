// Shapes, and how a value of a shape lies in memory: rows of the first axis, each padded to row_stride.
#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "core/types.h"

namespace weft {

using Shape = std::vector<int64_t>;

inline int64_t element_count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

// A value of rank 0 or 1 is one unpadded run; of higher rank, shape[0] rows at a padded stride.
struct RowLayout {
  int64_t rows, row_size, stride;
  bool gapless() const { return rows == 1 || stride == row_size; }
  int64_t storage() const { return round_up(rows * stride, kPanel); }
  bool operator==(const RowLayout&) const = default;
};

inline RowLayout row_layout(const Shape& shape) {
  if (shape.size() < 2) {
    const int64_t n = element_count(shape);
    return {1, n, n};
  }
  const int64_t row_size = shape[0] == 0 ? 0 : element_count(shape) / shape[0];
  return {shape[0], row_size, row_stride(row_size)};
}

// Rows of a shape seen as a matrix for panels: all axes but the last.
inline int64_t panel_rows(const Shape& shape) {
  int64_t k = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) k *= shape[i];
  return k;
}
inline int64_t panel_size(const Shape& shape) { return panel_size(panel_rows(shape), shape.back()); }

// Elements from one index to the next along each axis.
inline Shape strides_of(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (int i = static_cast<int>(shape.size()) - 2; i >= 0; --i) strides[i] = strides[i + 1] * shape[i + 1];
  if (shape.size() >= 2) strides[0] = row_layout(shape).stride;
  return strides;
}

inline std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (size_t i = 0; i < shape.size(); ++i) out << (i ? ", " : "") << shape[i];
  return out << (shape.size() == 1 ? ",)" : ")");
}

}  // namespace weft
