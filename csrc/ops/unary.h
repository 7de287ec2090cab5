// Elementwise functions of one argument, and their derivatives.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace weft {

enum class UnaryFn : uint8_t {
  kIdentity,
  // Activations whose derivative is a function of their value.
  kRelu,
  kLeakyRelu /* a = slope */,
  kElu /* a = alpha */,
  kSelu,
  kSigmoid,
  kTanh,
  kSoftplus,
  kSoftsign,
  kExp,
  kHardSigmoid,
  kRelu6,
  kStep,
  // Functions whose derivative needs their argument.
  kGelu,
  kGeluTanh,
  kSilu,
  kHardSilu,
  kLogSigmoid,
  kMish,
  kReluGeneral /* a = slope, b = max_value, c = threshold */,
  kNegative,
  kAbs,
  kSign,
  kSquare,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kLog,
  kLog1p,
  kExpm1,
  kSin,
  kCos,
  kFloor,
  kCeil,
  kRound,
  kErf,
  kLogCosh,
  kIsNan,
  kIsFinite,
  kLogicalNot,
  kPowScalar /* x^a */,
  kClip /* a <= x <= b */,
  kAffine /* a*x + b */,
  kReverseDivide /* a / x */,
};

struct UnarySpec {
  UnaryFn fn;
  float a, b, c;
};

// y = fn(x) for `rows` rows of `row_size` elements.
struct UnaryArgs {
  const float* x;  // (rows, row_size), stride x_stride
  float* y;        // (rows, row_size), stride y_stride; may be x
  int64_t rows, row_size, x_stride, y_stride;
  UnarySpec spec;
};

// dx = dy * fn'(saved): saved is fn's value where its derivative is a function of it (kIdentity to
// kStep), else fn's argument. A derivative at a kink is 0 (relu at 0), as in Keras.
struct UnaryGradArgs {
  const float* dy;     // (rows, row_size)
  const float* saved;  // (rows, row_size)
  float* dx;           // (rows, row_size); may be dy
  int64_t rows, row_size, dy_stride, saved_stride, dx_stride;
  UnarySpec spec;
};

static constexpr bool derivative_uses_value(UnaryFn fn) { return fn <= UnaryFn::kStep; }

}  // namespace weft
