// What dense_grad_input multiplies dx with.
#pragma once

#include "cpu/kernels/epilogue.h"
#include "ops/dense.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kMostMasked = 112;  // columns at once

// dx *= dropout mask * act'(saved) over `columns` columns of one row; the general,
// slower way.
void apply_mask(const DenseGradInputArgs& args, int64_t row, int64_t column, int64_t columns) {
  float* dx = args.dx + row * args.dx_stride + column;              // (columns)
  const float* saved = args.saved + row * args.dx_stride + column;  // (columns)
  alignas(64) float value[kMostMasked];                             // (columns)
  if (args.dropout.threshold != 0) {
    dropout_apply(args.dropout, dx, dx, row * round_up(args.k, kPanel) + column, columns);
    if (args.act.fn == UnaryFn::kIdentity) return;
    const Vec scale = broadcast(args.dropout.scale);
    for (int64_t c = 0; c < columns; c += kWidth) store(value + c, load(saved + c) / scale);
    saved = value;
  }
  unary_grad_apply(args.act, dx, saved, dx, columns);
}

}  // namespace
}  // namespace weft::WEFT_ISA
