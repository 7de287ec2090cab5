// Matrix product with a kernel stored in panels, in its three roles, with what follows it fused into
// the store. Each output element is one chain of FMAs over the reduced axis, in its order, starting
// from the bias or 0: the same on every tile shape, thread count and instruction set.
#pragma once

#include <cstdint>

#include "core/types.h"
#include "ops/copy.h"
#include "ops/dropout.h"
#include "ops/unary.h"
#include "ops/update.h"

namespace weft {

// y = dropout(act(x W + bias))
struct DenseForwardArgs {
  int64_t m, k, n;
  const float* x;            // (m, k), stride x_stride
  const float* w;            // panels (n/16, k, 16)
  const float* bias;         // (round_up(n, 16)), or null
  float* y;                  // (m, n), stride y_stride; columns up to round_up(n, 16) are written
  const uint64_t* row_bits;  // where x is not 0 (FindNonzerosArgs); null if that is not known
  int64_t x_stride, y_stride;
  int threads;   // that share the work
  bool w_stays;  // whether w is a variable that no kernel of the program changes
  UnarySpec act;
  DropoutSpec dropout;        // over y: row_size n
  const BatchRows* prefetch;  // as in DenseGradKernelArgs
};

// dx = (dy W^T) * dropout mask * act'(saved), what lies before this layer's input.
// saved is that input as stored: act's value after dropout. (Only functions whose derivative uses
// their value are fused; with dropout on, the value before dropout is saved / scale where kept.)
struct DenseGradInputArgs {
  int64_t m, k, n;
  const float* dy;           // (m, n), or (n, m) if KernelTable::transposes_dy; stride dy_stride, padding is readable
  const float* w;            // panels (n/16, k, 16)
  const float* saved;        // (m, k), stride dx_stride; null when act is kIdentity and dropout is off
  float* dx;                 // (m, k), stride dx_stride
  const uint64_t* row_bits;  // where dy is not 0 (FindNonzerosArgs); null if that is not known
  const float* dy_rows;      // (m, n), stride dy_rows_stride, with row_bits only: dy as it is
  int64_t dy_stride, dx_stride, dy_rows_stride;
  int threads;  // that share the work
  UnarySpec act;
  DropoutSpec dropout;  // over dx: row_size k
};

// grad = x^T dy, in panels; with an update rule it is applied at once and never stored.
struct DenseGradKernelArgs {
  int64_t m, k, n;
  const float* x;               // (m, k), stride x_stride
  const float* dy;              // (m, n), stride dy_stride; columns up to round_up(n, 16) are readable, any value
  float* grad;                  // panels (n/16, k, 16), padding lanes 0; null when an update rule is given
  float* w;                     // panels (n/16, k, 16), updated in place; padding lanes stay 0
  const uint32_t* column_bits;  // where x is not 0 (FindNonzerosArgs); null if that is not known
  const float* x_columns;       // (k, m), stride x_columns_stride: x^T, for column_bits; may be null
  int64_t x_stride, dy_stride, x_columns_stride;
  int threads;  // that share the work
  UpdateSpec update;
  const BatchRows* prefetch;  // the batch whose successor is to be fetched into the cache, or null
};

// grad = column sums of dy; with an update rule as above. Serves any sum over rows. The rows come in
// blocks: one of a batch of rows, or one for each image of a convolution.
struct DenseGradBiasArgs {
  int64_t blocks, m, n;
  const float* dy;  // (blocks, m, n), strides block_stride and dy_stride
  float* grad;      // (n), padding up to round_up(n, 16) becomes 0; null when an update rule is given
  float* bias;      // (n)
  int64_t block_stride, dy_stride;
  UpdateSpec update;
};

// Panels from rows, or rows from panels: (k, n).
struct PackArgs {
  int64_t k, n;
  const float* rows;  // (k, n), stride row_stride
  float* panels;      // panels (n/16, k, 16), padding lanes 0
  int64_t row_stride;
};
struct UnpackArgs {
  int64_t k, n;
  const float* panels;  // panels (n/16, k, 16)
  float* rows;          // (k, n), stride row_stride
  int64_t row_stride;
};

// y = x^T, with columns from rows up to round_up(rows, 16) set to 0.
struct TransposeArgs {
  int64_t rows, columns;
  const float* x;  // (rows, columns), stride x_stride; readable up to round_up(columns, 16)
  float* y;        // (columns, rows), stride y_stride
  int64_t x_stride, y_stride;
};

}  // namespace weft
