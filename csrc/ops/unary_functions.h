// One small function for each UnaryFn, and one for each derivative: y = f(x, c), dx = f_grad(dy, saved, c);
// `saved` is the value for identity to step, else the argument. c holds the constants of UnarySpec.
// Where a product like x * 0 would make NaN of an infinity, x is first limited to where the limit is reached.
//
// The formulas stand here once for all devices. Whoever includes this has defined, in weft::WEFT_ISA, what a Vec is (a
// vector register, or a float on a GPU) and the elementary functions on it: cpu/kernels/vector_math.h or cuda/lane.h.
#pragma once

#include "ops/unary.h"

namespace weft::WEFT_ISA {

struct Constants {
  Vec a, b, c;
};

static constexpr float kSeluScale = 1.05070098f;
static constexpr float kSeluAlpha = 1.67326324f;
static constexpr float kInverseSqrt2 = 0.707106781186547524f;
static constexpr float kInverseSqrt2Pi = 0.398942280401432678f;
static constexpr float kSqrt2OverPi = 0.797884560802865356f;

WEFT_INLINE Constants constants_of(const UnarySpec& spec) {
  return {broadcast(spec.a), broadcast(spec.b), broadcast(spec.c)};
}

// Activations whose derivative is a function of their value y.

WEFT_INLINE Vec identity(Vec x, Constants) { return x; }
WEFT_INLINE Vec identity_grad(Vec dy, Vec, Constants) { return dy; }

WEFT_INLINE Vec relu(Vec x, Constants) { return at_least(x, 0.0f); }
WEFT_INLINE Vec relu_grad(Vec dy, Vec y, Constants) { return select(y <= 0.0f, Vec{}, dy); }

WEFT_INLINE Vec leaky_relu(Vec x, Constants c) { return select(x < 0.0f, x * c.a, x); }
WEFT_INLINE Vec leaky_relu_grad(Vec dy, Vec y, Constants c) { return select(y > 0.0f, dy, dy * c.a); }

WEFT_INLINE Vec elu(Vec x, Constants c) { return select(x < 0.0f, expm1(x) * c.a, x); }
WEFT_INLINE Vec elu_grad(Vec dy, Vec y, Constants c) { return select(y > 0.0f, dy, dy * (y + c.a)); }

WEFT_INLINE Vec selu(Vec x, Constants) { return select(x < 0.0f, expm1(x) * kSeluAlpha, x) * kSeluScale; }
WEFT_INLINE Vec selu_grad(Vec dy, Vec y, Constants) {
  return dy * select(y > 0.0f, broadcast(kSeluScale), y + kSeluScale * kSeluAlpha);
}

WEFT_INLINE Vec sigmoid(Vec x, Constants) { return sigmoid(x); }
WEFT_INLINE Vec sigmoid_grad(Vec dy, Vec y, Constants) { return dy * (y * (1.0f - y)); }

WEFT_INLINE Vec tanh(Vec x, Constants) { return tanh(x); }
WEFT_INLINE Vec tanh_grad(Vec dy, Vec y, Constants) { return dy * (1.0f - y * y); }

WEFT_INLINE Vec softplus(Vec x, Constants) { return softplus(x); }
WEFT_INLINE Vec softplus_grad(Vec dy, Vec y, Constants) { return -dy * expm1(-y); }

WEFT_INLINE Vec softsign(Vec x, Constants) {
  const Vec limited = at_least(at_most(x, kFloatMax), -kFloatMax);
  return limited / (absolute(limited) + 1.0f);
}
WEFT_INLINE Vec softsign_grad(Vec dy, Vec y, Constants) {
  const Vec root = 1.0f - absolute(y);
  return dy * (root * root);
}

WEFT_INLINE Vec exp(Vec x, Constants) { return exp(x); }
WEFT_INLINE Vec exp_grad(Vec dy, Vec y, Constants) { return dy * y; }

WEFT_INLINE Vec hard_sigmoid(Vec x, Constants) { return at_most(at_least(x + 3.0f, 0.0f), 6.0f) * (1.0f / 6.0f); }
WEFT_INLINE Vec hard_sigmoid_grad(Vec dy, Vec y, Constants) {
  return select((y <= 0.0f) | (y >= 1.0f), Vec{}, dy * (1.0f / 6.0f));
}

WEFT_INLINE Vec relu6(Vec x, Constants) { return at_most(at_least(x, 0.0f), 6.0f); }
WEFT_INLINE Vec relu6_grad(Vec dy, Vec y, Constants) { return select((y <= 0.0f) | (y >= 6.0f), Vec{}, dy); }

WEFT_INLINE Vec step(Vec x, Constants) { return one_if(x > 0.0f); }

// The derivative of step, sign, rounding and logic.
WEFT_INLINE Vec zero_grad(Vec, Vec, Constants) { return Vec{}; }

// Functions whose derivative needs their argument x.

WEFT_INLINE Vec gelu(Vec x, Constants) {
  const Vec half = at_least(x, -20.0f) * 0.5f;
  return half * (erf(x * kInverseSqrt2) + 1.0f);
}
WEFT_INLINE Vec gelu_grad(Vec dy, Vec x, Constants) {  // Phi(x) + x*phi(x)
  x = at_least(at_most(x, 20.0f), -20.0f);
  const Vec twice_cumulative = erf(x * kInverseSqrt2) + 1.0f;
  const Vec twice_density = exp(x * x * -0.5f) * (2 * kInverseSqrt2Pi);
  return dy * ((x * twice_density + twice_cumulative) * 0.5f);
}

// (1 + tanh(u)) / 2 = sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3)
WEFT_INLINE Vec gelu_tanh(Vec x, Constants) {
  x = at_least(x, -100.0f);
  const Vec inner = x * x * 0.044715f + 1.0f;
  return x * sigmoid(x * inner * (2 * kSqrt2OverPi));
}
WEFT_INLINE Vec gelu_tanh_grad(Vec dy, Vec x, Constants) {
  x = at_least(at_most(x, 100.0f), -100.0f);
  const Vec square = x * x;
  const Vec s = sigmoid(x * (square * 0.044715f + 1.0f) * (2 * kSqrt2OverPi));
  const Vec slope = x * (square * (3 * 0.044715f) + 1.0f) * (2 * kSqrt2OverPi);
  return dy * (s * ((1.0f - s) * slope + 1.0f));
}

WEFT_INLINE Vec silu(Vec x, Constants) { return at_least(x, -200.0f) * sigmoid(x); }
WEFT_INLINE Vec silu_grad(Vec dy, Vec x, Constants) {
  x = at_least(at_most(x, 200.0f), -200.0f);
  const Vec s = sigmoid(x);
  return dy * (s * ((1.0f - s) * x + 1.0f));
}

WEFT_INLINE Vec hard_silu(Vec x, Constants c) { return at_least(x, -3.0f) * hard_sigmoid(x, c); }
WEFT_INLINE Vec hard_silu_grad(Vec dy, Vec x, Constants) {
  const Vec inner = select(x >= 3.0f, dy, dy * (x * (1.0f / 3.0f) + 0.5f));
  return select(x <= -3.0f, Vec{}, inner);
}

WEFT_INLINE Vec log_sigmoid(Vec x, Constants) { return -softplus(-x); }
WEFT_INLINE Vec log_sigmoid_grad(Vec dy, Vec x, Constants) { return dy * sigmoid(-x); }

// x*tanh(log(1 + e^x)) = x*n / (n + 2), n = e^x (e^x + 2)
WEFT_INLINE Vec mish(Vec x, Constants) {
  const Vec e = exp(at_most(x, 20.0f));
  const Vec n = e * (e + 2.0f);
  return at_least(x, -200.0f) * (n / (n + 2.0f));
}
WEFT_INLINE Vec mish_grad(Vec dy, Vec x, Constants) {
  x = at_least(at_most(x, 20.0f), -200.0f);
  const Vec e = exp(x);
  const Vec n = e * (e + 2.0f);
  const Vec inverse = 1.0f / (n + 2.0f);
  const Vec slope = 4.0f * e * (e + 1.0f) * inverse;  // (1 - tanh^2) sigmoid(x) (n + 2)
  return dy * ((x * slope + n) * inverse);
}

// Keras's relu(x, negative_slope=a, max_value=b, threshold=c); b = inf is no maximum, not even the clip at 0.
WEFT_INLINE Vec relu_general(Vec x, Constants c) {
  const Vec clipped = at_most(at_least(x, 0.0f), c.b);
  const Vec above = select(c.b < kInfinity, clipped, x);
  const Vec below = select(c.a == 0.0f, Vec{}, c.a * (x - c.c));
  return select(x <= c.c, below, above);
}
WEFT_INLINE Vec relu_general_grad(Vec dy, Vec x, Constants c) {
  const IntVec flat = (c.b < kInfinity) & ((x <= 0.0f) | (x >= c.b));
  return select(x <= c.c, dy * c.a, select(flat, Vec{}, dy));
}

WEFT_INLINE Vec negative(Vec x, Constants) { return -x; }
WEFT_INLINE Vec negative_grad(Vec dy, Vec, Constants) { return -dy; }

WEFT_INLINE Vec sign(Vec x, Constants) {
  return select(x > 0.0f, broadcast(1.0f), select(x < 0.0f, broadcast(-1.0f), x));
}
WEFT_INLINE Vec abs(Vec x, Constants) { return absolute(x); }
WEFT_INLINE Vec abs_grad(Vec dy, Vec x, Constants c) { return dy * sign(x, c); }

WEFT_INLINE Vec square(Vec x, Constants) { return x * x; }
WEFT_INLINE Vec square_grad(Vec dy, Vec x, Constants) { return dy * (x * 2.0f); }

WEFT_INLINE Vec sqrt(Vec x, Constants) { return square_root(x); }
WEFT_INLINE Vec sqrt_grad(Vec dy, Vec x, Constants) { return dy * (0.5f / square_root(x)); }

WEFT_INLINE Vec rsqrt(Vec x, Constants) { return 1.0f / square_root(x); }
WEFT_INLINE Vec rsqrt_grad(Vec dy, Vec x, Constants) { return dy * (-0.5f / (x * square_root(x))); }

WEFT_INLINE Vec reciprocal(Vec x, Constants) { return 1.0f / x; }
WEFT_INLINE Vec reciprocal_grad(Vec dy, Vec x, Constants) { return -dy / (x * x); }

WEFT_INLINE Vec log(Vec x, Constants) { return log(x); }
WEFT_INLINE Vec log_grad(Vec dy, Vec x, Constants) { return dy / x; }

WEFT_INLINE Vec log1p(Vec x, Constants) { return log1p(x); }
WEFT_INLINE Vec log1p_grad(Vec dy, Vec x, Constants) { return dy / (x + 1.0f); }

WEFT_INLINE Vec expm1(Vec x, Constants) { return expm1(x); }
WEFT_INLINE Vec expm1_grad(Vec dy, Vec x, Constants) { return dy * exp(x); }

WEFT_INLINE Vec sin(Vec x, Constants) { return sin(x); }
WEFT_INLINE Vec sin_grad(Vec dy, Vec x, Constants) { return dy * cos(x); }

WEFT_INLINE Vec cos(Vec x, Constants) { return cos(x); }
WEFT_INLINE Vec cos_grad(Vec dy, Vec x, Constants) { return -dy * sin(x); }

WEFT_INLINE Vec floor(Vec x, Constants) { return floor(x); }
WEFT_INLINE Vec ceil(Vec x, Constants) { return ceil(x); }
WEFT_INLINE Vec round(Vec x, Constants) { return round_half_even(x); }

WEFT_INLINE Vec erf(Vec x, Constants) { return erf(x); }
WEFT_INLINE Vec erf_grad(Vec dy, Vec x, Constants) { return dy * (exp(-(x * x)) * 1.12837916709551257f); }

// log(cosh(x)): for |x| < 1 as log1p(cosh(x) - 1) with cosh(x) - 1 = (1 - e)^2 / (2e), e = exp(-|x|), which
// keeps the digits of small results; beyond as |x| - ln2 + log1p(e^2).
WEFT_INLINE Vec log_cosh(Vec x, Constants) {
  const Vec magnitude = absolute(x);
  const Vec e_minus_1 = expm1(-magnitude);
  const Vec e = e_minus_1 + 1.0f;
  const IntVec small = magnitude < 1.0f;
  const Vec argument = select(small, e_minus_1 * e_minus_1 / (e * 2.0f), e * e);
  return select(small, Vec{}, magnitude - kLn2) + log1p(argument);
}
WEFT_INLINE Vec log_cosh_grad(Vec dy, Vec x, Constants) { return dy * tanh(x); }

WEFT_INLINE Vec is_nan(Vec x, Constants) { return one_if(x != x); }
WEFT_INLINE Vec is_finite(Vec x, Constants) { return one_if(absolute(x) <= kFloatMax); }
WEFT_INLINE Vec logical_not(Vec x, Constants) { return one_if(x == 0.0f); }

WEFT_INLINE Vec pow_scalar(Vec x, Constants c) { return pow(x, c.a); }
WEFT_INLINE Vec pow_scalar_grad(Vec dy, Vec x, Constants c) { return dy * (c.a * pow(x, c.a - 1.0f)); }
WEFT_INLINE Vec cube(Vec x, Constants) { return x * x * x; }
WEFT_INLINE Vec cube_grad(Vec dy, Vec x, Constants) { return dy * (x * x * 3.0f); }

// At the limits the derivative is 1, as in the frameworks Keras runs on.
WEFT_INLINE Vec clip(Vec x, Constants c) { return at_most(at_least(x, c.a), c.b); }
WEFT_INLINE Vec clip_grad(Vec dy, Vec x, Constants c) { return select((x < c.a) | (x > c.b), Vec{}, dy); }

WEFT_INLINE Vec affine(Vec x, Constants c) { return x * c.a + c.b; }
WEFT_INLINE Vec affine_grad(Vec dy, Vec, Constants c) { return dy * c.a; }

WEFT_INLINE Vec reverse_divide(Vec x, Constants c) { return c.a / x; }
WEFT_INLINE Vec reverse_divide_grad(Vec dy, Vec x, Constants c) { return dy * (-c.a / (x * x)); }

// One of them, as a type.
template <Vec (*f)(Vec, Constants), Vec (*f_grad)(Vec, Vec, Constants)>
struct Function {
  static WEFT_INLINE_MEMBER Vec value(Vec x, Constants c) { return f(x, c); }
  static WEFT_INLINE_MEMBER Vec grad(Vec dy, Vec saved, Constants c) { return f_grad(dy, saved, c); }
};

// visit(Function<...>{}) for the function of the spec.
WEFT_CALLS_HOST_OR_DEVICE
template <class Visit>
WEFT_DISPATCH void with_function(const UnarySpec& spec, Visit visit) {
  switch (spec.fn) {
    case UnaryFn::kIdentity:
      return visit(Function<identity, identity_grad>{});
    case UnaryFn::kRelu:
      return visit(Function<relu, relu_grad>{});
    case UnaryFn::kLeakyRelu:
      return visit(Function<leaky_relu, leaky_relu_grad>{});
    case UnaryFn::kElu:
      return visit(Function<elu, elu_grad>{});
    case UnaryFn::kSelu:
      return visit(Function<selu, selu_grad>{});
    case UnaryFn::kSigmoid:
      return visit(Function<sigmoid, sigmoid_grad>{});
    case UnaryFn::kTanh:
      return visit(Function<tanh, tanh_grad>{});
    case UnaryFn::kSoftplus:
      return visit(Function<softplus, softplus_grad>{});
    case UnaryFn::kSoftsign:
      return visit(Function<softsign, softsign_grad>{});
    case UnaryFn::kExp:
      return visit(Function<exp, exp_grad>{});
    case UnaryFn::kHardSigmoid:
      return visit(Function<hard_sigmoid, hard_sigmoid_grad>{});
    case UnaryFn::kRelu6:
      return visit(Function<relu6, relu6_grad>{});
    case UnaryFn::kStep:
      return visit(Function<step, zero_grad>{});
    case UnaryFn::kGelu:
      return visit(Function<gelu, gelu_grad>{});
    case UnaryFn::kGeluTanh:
      return visit(Function<gelu_tanh, gelu_tanh_grad>{});
    case UnaryFn::kSilu:
      return visit(Function<silu, silu_grad>{});
    case UnaryFn::kHardSilu:
      return visit(Function<hard_silu, hard_silu_grad>{});
    case UnaryFn::kLogSigmoid:
      return visit(Function<log_sigmoid, log_sigmoid_grad>{});
    case UnaryFn::kMish:
      return visit(Function<mish, mish_grad>{});
    case UnaryFn::kReluGeneral:
      return visit(Function<relu_general, relu_general_grad>{});
    case UnaryFn::kNegative:
      return visit(Function<negative, negative_grad>{});
    case UnaryFn::kAbs:
      return visit(Function<abs, abs_grad>{});
    case UnaryFn::kSign:
      return visit(Function<sign, zero_grad>{});
    case UnaryFn::kSquare:
      return visit(Function<square, square_grad>{});
    case UnaryFn::kSqrt:
      return visit(Function<sqrt, sqrt_grad>{});
    case UnaryFn::kRsqrt:
      return visit(Function<rsqrt, rsqrt_grad>{});
    case UnaryFn::kReciprocal:
      return visit(Function<reciprocal, reciprocal_grad>{});
    case UnaryFn::kLog:
      return visit(Function<log, log_grad>{});
    case UnaryFn::kLog1p:
      return visit(Function<log1p, log1p_grad>{});
    case UnaryFn::kExpm1:
      return visit(Function<expm1, expm1_grad>{});
    case UnaryFn::kSin:
      return visit(Function<sin, sin_grad>{});
    case UnaryFn::kCos:
      return visit(Function<cos, cos_grad>{});
    case UnaryFn::kFloor:
      return visit(Function<floor, zero_grad>{});
    case UnaryFn::kCeil:
      return visit(Function<ceil, zero_grad>{});
    case UnaryFn::kRound:
      return visit(Function<round, zero_grad>{});
    case UnaryFn::kErf:
      return visit(Function<erf, erf_grad>{});
    case UnaryFn::kLogCosh:
      return visit(Function<log_cosh, log_cosh_grad>{});
    case UnaryFn::kIsNan:
      return visit(Function<is_nan, zero_grad>{});
    case UnaryFn::kIsFinite:
      return visit(Function<is_finite, zero_grad>{});
    case UnaryFn::kLogicalNot:
      return visit(Function<logical_not, zero_grad>{});
    case UnaryFn::kPowScalar:  // exponents that need no logarithm come first
      if (spec.a == 2.0f) return visit(Function<square, square_grad>{});
      if (spec.a == 1.0f) return visit(Function<identity, identity_grad>{});
      if (spec.a == 0.5f) return visit(Function<sqrt, sqrt_grad>{});
      if (spec.a == -0.5f) return visit(Function<rsqrt, rsqrt_grad>{});
      if (spec.a == -1.0f) return visit(Function<reciprocal, reciprocal_grad>{});
      if (spec.a == 3.0f) return visit(Function<cube, cube_grad>{});
      if (spec.a == 0.0f) return visit(Function<pow_scalar, zero_grad>{});
      return visit(Function<pow_scalar, pow_scalar_grad>{});
    case UnaryFn::kClip:
      return visit(Function<clip, clip_grad>{});
    case UnaryFn::kAffine:
      return visit(Function<affine, affine_grad>{});
    case UnaryFn::kReverseDivide:
      return visit(Function<reverse_divide, reverse_divide_grad>{});
  }
}

}  // namespace weft::WEFT_ISA
