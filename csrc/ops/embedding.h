// embedding: rows of a table by their number. A number that the table does not have gives a row of NaN, so that the
// check of the loss finds it, and no gradient.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

// y[i] = table[ids[i]]. ids come in rows of `per_row`, and y in rows of as many table rows.
struct EmbeddingArgs {
  int64_t rows, per_row, vocabulary, features;
  const int32_t* ids;  // (rows, per_row), stride ids_stride
  const float* table;  // (vocabulary, features), stride table_stride
  float* y;            // (rows, per_row, features), row stride y_stride
  int64_t ids_stride, table_stride, y_stride;
};

// grad[v] = the sum of dy[i] over all i with ids[i] = v, in their order.
struct EmbeddingGradArgs {
  int64_t rows, per_row, vocabulary, features;
  const int32_t* ids;  // (rows, per_row), stride ids_stride
  const float* dy;     // (rows, per_row, features), row stride dy_stride
  float* grad;         // (vocabulary, features), stride grad_stride
  int64_t ids_stride, dy_stride, grad_stride;
};

}  // namespace weft
