// unary: elementwise functions of one argument, and the product with their derivative.
#include "ops/unary.h"

#include <limits>

#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

const char* const kUnaryNames[] = {
    "identity",   "relu",        "leaky_relu",   "elu",           "selu",     "sigmoid", "tanh",      "softplus",
    "softsign",   "exp",         "hard_sigmoid", "relu6",         "step",     "gelu",    "gelu_tanh", "silu",
    "hard_silu",  "log_sigmoid", "mish",         "relu_general",  "negative", "abs",     "sign",      "square",
    "sqrt",       "rsqrt",       "reciprocal",   "log",           "log1p",    "expm1",   "sin",       "cos",
    "floor",      "ceil",        "round",        "erf",           "log_cosh", "is_nan",  "is_finite", "logical_not",
    "pow_scalar", "clip",        "affine",       "reverse_divide"};
static_assert(std::size(kUnaryNames) == static_cast<size_t>(UnaryFn::kReverseDivide) + 1);

int unary_count() { return static_cast<int>(std::size(kUnaryNames)); }

bool find_unary(const std::string& name, UnaryFn& fn) {
  for (int i = 0; i < unary_count(); ++i) {
    if (name == kUnaryNames[i]) {
      fn = static_cast<UnaryFn>(i);
      return true;
    }
  }
  return false;
}

UnarySpec unary_spec(const Attrs& attrs) {
  UnarySpec spec{UnaryFn::kIdentity, attrs.real("a"), attrs.real("b"), attrs.real("c")};
  if (attrs.has("fn"))
    check(find_unary(attrs.text("fn"), spec.fn), "there is no unary function '", attrs.text("fn"), "'");
  return spec;
}

namespace {

std::vector<ValueSpec> infer_unary(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  UnaryFn fn;
  c.check(find_unary(c.attrs.text("fn"), fn), "there is no unary function '", c.attrs.text("fn"), "'");
  return {{c.shape(0)}};
}

void gradient_unary(GradientContext& c) {
  const UnarySpec spec = unary_spec(c.node.attrs);
  // Linear functions need nothing saved.
  if (spec.fn == UnaryFn::kIdentity) {
    c.result[0] = c.dy;
  } else if (spec.fn == UnaryFn::kNegative || spec.fn == UnaryFn::kAffine) {
    const double factor = spec.fn == UnaryFn::kNegative ? -1.0 : spec.a;
    c.result[0] = c.record("unary", {c.dy}, {{"fn", std::string("affine")}, {"a", factor}, {"b", 0.0}});
  } else if (spec.fn == UnaryFn::kLeakyRelu && spec.a < 0) {
    // The value does not tell which side it is from.
    const double infinity = std::numeric_limits<double>::infinity();
    c.result[0] = c.record("unary_grad", {c.dy, c.input(0)},
                           {{"fn", std::string("relu_general")}, {"a", double{spec.a}}, {"b", infinity}, {"c", 0.0}});
  } else {
    if (spec.fn == UnaryFn::kElu && spec.a < 0)
      fail(c.node.layer.empty() ? "elu" : c.node.layer, ": the derivative needs an alpha of at least 0, got ", spec.a);
    c.result[0] =
        c.record("unary_grad", {c.dy, derivative_uses_value(spec.fn) ? c.output() : c.input(0)}, c.node.attrs);
  }
}

double element_time(const Shape& shape) { return static_cast<double>(element_count(shape)) / 4.0; }

void lower_unary(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  c.call(c.kernels.unary, UnaryArgs{c.in(0), c.out(), r.rows, r.row_size, r.stride, r.stride, unary_spec(c.node.attrs)},
         element_time(c.shape(0)));
}

std::vector<ValueSpec> infer_unary_grad(const InferContext& c) { return {{c.shape(0)}}; }

// Second derivatives, of the functions that courses differentiate twice (gradient penalties).
void gradient_unary_grad(GradientContext& c) {
  if (c.wanted[0]) c.result[0] = c.record("unary_grad", {c.dy, c.input(1)}, c.node.attrs);
  if (!c.wanted[1]) return;
  const UnarySpec spec = unary_spec(c.node.attrs);
  const ValueId outer = c.record("binary", {c.dy, c.input(0)}, {{"fn", std::string("multiply")}});
  const ValueId saved = c.input(1);
  auto affine = [&](ValueId x, double a, double b) {
    return c.record("unary", {x}, {{"fn", std::string("affine")}, {"a", a}, {"b", b}});
  };
  auto times = [&](ValueId x, ValueId y) { return c.record("binary", {x, y}, {{"fn", std::string("multiply")}}); };
  switch (spec.fn) {
    case UnaryFn::kRelu:
    case UnaryFn::kLeakyRelu:
    case UnaryFn::kRelu6:
    case UnaryFn::kStep:
    case UnaryFn::kAbs:
    case UnaryFn::kSign:
    case UnaryFn::kHardSigmoid:
    case UnaryFn::kReluGeneral:
    case UnaryFn::kClip:
    case UnaryFn::kFloor:
    case UnaryFn::kCeil:
    case UnaryFn::kRound:
      return;  // piecewise linear: zero
    case UnaryFn::kSigmoid:
      c.result[1] = times(outer, affine(saved, -2, 1));
      return;  // d(y(1-y))/dy
    case UnaryFn::kTanh:
      c.result[1] = times(outer, affine(saved, -2, 0));
      return;  // d(1-y^2)/dy
    case UnaryFn::kExp:
      c.result[1] = outer;
      return;
    case UnaryFn::kSquare:
      c.result[1] = affine(outer, 2, 0);
      return;
    case UnaryFn::kLog:
      c.result[1] =
          times(outer, affine(c.record("unary", {saved}, {{"fn", std::string("pow_scalar")}, {"a", -2.0}}), -1, 0));
      return;
    case UnaryFn::kSqrt:
      c.result[1] =
          times(outer, affine(c.record("unary", {saved}, {{"fn", std::string("pow_scalar")}, {"a", -1.5}}), -0.25, 0));
      return;
    case UnaryFn::kPowScalar:
      c.result[1] =
          times(outer, affine(c.record("unary", {saved}, {{"fn", std::string("pow_scalar")}, {"a", spec.a - 2.0}}),
                              spec.a * (spec.a - 1.0), 0));
      return;
    default:
      fail(c.node.layer.empty() ? "unary" : c.node.layer, ": the second derivative of '", c.node.attrs.text("fn"),
           "' is not available");
  }
}

void lower_unary_grad(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  c.call(c.kernels.unary_grad,
         UnaryGradArgs{c.in(0), c.in(1), c.out(), r.rows, r.row_size, r.stride, r.stride, r.stride,
                       unary_spec(c.node.attrs)},
         element_time(c.shape(0)));
}

}  // namespace

const OpDef kUnary = {"unary", infer_unary, gradient_unary, lower_unary};
const OpDef kUnaryGrad = {"unary_grad", infer_unary_grad, gradient_unary_grad, lower_unary_grad};

}  // namespace weft
