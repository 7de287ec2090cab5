// One small function for each BinaryFn. As in unary_functions.h, the includer has said what a Vec is.
#pragma once

#include "ops/binary.h"

namespace weft::WEFT_ISA {

WEFT_INLINE Vec add(Vec a, Vec b) { return a + b; }
WEFT_INLINE Vec subtract(Vec a, Vec b) { return a - b; }
WEFT_INLINE Vec multiply(Vec a, Vec b) { return a * b; }
WEFT_INLINE Vec divide(Vec a, Vec b) { return a / b; }
WEFT_INLINE Vec maximum(Vec a, Vec b) { return select((a > b) | (a != a), a, b); }  // NaN if either is NaN
WEFT_INLINE Vec minimum(Vec a, Vec b) { return select((a < b) | (a != a), a, b); }
WEFT_INLINE Vec equal(Vec a, Vec b) { return one_if(a == b); }
WEFT_INLINE Vec not_equal(Vec a, Vec b) { return one_if(a != b); }
WEFT_INLINE Vec less(Vec a, Vec b) { return one_if(a < b); }
WEFT_INLINE Vec less_equal(Vec a, Vec b) { return one_if(a <= b); }
WEFT_INLINE Vec greater(Vec a, Vec b) { return one_if(a > b); }
WEFT_INLINE Vec greater_equal(Vec a, Vec b) { return one_if(a >= b); }
WEFT_INLINE Vec logical_and(Vec a, Vec b) { return one_if((a != 0.0f) & (b != 0.0f)); }
WEFT_INLINE Vec logical_or(Vec a, Vec b) { return one_if((a != 0.0f) | (b != 0.0f)); }

// As NumPy: the remainder has the sign of b, and the quotient matches it. fmod is exact for any quotient,
// which no short vector formula is.
WEFT_FUNCTION float modulo(float a, float b) {
  float rest = __builtin_fmodf(a, b);
  if (rest == 0.0f) return __builtin_copysignf(0.0f, b);
  return (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;  // NaN stays NaN
}
WEFT_FUNCTION float floor_divide(float a, float b) {
  if (b == 0.0f) return a / b;
  const float rest = __builtin_fmodf(a, b);
  float quotient = (a - rest) / b;
  if (rest != 0.0f && (rest < 0.0f) != (b < 0.0f)) quotient -= 1.0f;
  if (quotient == 0.0f) return __builtin_copysignf(0.0f, a / b);
  // The quotient is a whole number but for its own rounding, which may have gone below.
  const float whole = __builtin_floorf(quotient);
  return quotient - whole > 0.5f ? whole + 1.0f : whole;
}

// One of them, as a type: of whole lanes, or of single floats.
template <Vec (*f)(Vec, Vec)>
struct LaneFunction {
  static constexpr bool of_lanes = true;
  static constexpr auto value = f;
};
template <float (*f)(float, float)>
struct ScalarFunction {
  static constexpr bool of_lanes = false;
  static constexpr auto value = f;
};

// visit(LaneFunction<...>{} or ScalarFunction<...>{}) for the function.
WEFT_CALLS_HOST_OR_DEVICE
template <class Visit>
WEFT_DISPATCH void with_function(BinaryFn fn, Visit visit) {
  switch (fn) {
    case BinaryFn::kAdd:
      return visit(LaneFunction<add>{});
    case BinaryFn::kSubtract:
      return visit(LaneFunction<subtract>{});
    case BinaryFn::kMultiply:
      return visit(LaneFunction<multiply>{});
    case BinaryFn::kDivide:
      return visit(LaneFunction<divide>{});
    case BinaryFn::kMaximum:
      return visit(LaneFunction<maximum>{});
    case BinaryFn::kMinimum:
      return visit(LaneFunction<minimum>{});
    case BinaryFn::kPower:
      return visit(LaneFunction<pow>{});
    case BinaryFn::kFloorDivide:
      return visit(ScalarFunction<floor_divide>{});
    case BinaryFn::kMod:
      return visit(ScalarFunction<modulo>{});
    case BinaryFn::kEqual:
      return visit(LaneFunction<equal>{});
    case BinaryFn::kNotEqual:
      return visit(LaneFunction<not_equal>{});
    case BinaryFn::kLess:
      return visit(LaneFunction<less>{});
    case BinaryFn::kLessEqual:
      return visit(LaneFunction<less_equal>{});
    case BinaryFn::kGreater:
      return visit(LaneFunction<greater>{});
    case BinaryFn::kGreaterEqual:
      return visit(LaneFunction<greater_equal>{});
    case BinaryFn::kLogicalAnd:
      return visit(LaneFunction<logical_and>{});
    case BinaryFn::kLogicalOr:
      return visit(LaneFunction<logical_or>{});
  }
}

}  // namespace weft::WEFT_ISA
