// binary: elementwise functions of two arguments with broadcasting; select: where.
#include "ops/binary.h"

#include <iterator>

#include "ops/broadcast.h"
#include "ops/op_table.h"

namespace weft {

namespace {

const char* const kBinaryNames[] = {
    "add",   "subtract",  "multiply", "divide",     "maximum", "minimum",       "power",       "floor_divide", "mod",
    "equal", "not_equal", "less",     "less_equal", "greater", "greater_equal", "logical_and", "logical_or"};
static_assert(std::size(kBinaryNames) == static_cast<size_t>(BinaryFn::kLogicalOr) + 1);

bool find_binary(const std::string& name, BinaryFn& fn) {
  for (size_t i = 0; i < std::size(kBinaryNames); ++i) {
    if (name == kBinaryNames[i]) {
      fn = static_cast<BinaryFn>(i);
      return true;
    }
  }
  return false;
}

std::vector<ValueSpec> infer_binary(const InferContext& c) {
  c.expect_inputs(2, 2);
  c.expect_float(0), c.expect_float(1);
  BinaryFn fn;
  c.check(find_binary(c.attrs.text("fn"), fn), "there is no binary function '", c.attrs.text("fn"), "'");
  Shape shape;
  c.check(broadcast_shape(c.shape(0), c.shape(1), shape), "shapes ", c.shape(0), " and ", c.shape(1),
          " do not broadcast");
  c.check(shape.size() <= static_cast<size_t>(kMaxRank), "at most ", kMaxRank, " axes are supported, got shape ",
          shape);
  return {{shape}};
}

ValueId binary(GradientContext& c, const char* fn, ValueId a, ValueId b) {
  return c.record("binary", {a, b}, {{"fn", std::string(fn)}});
}
ValueId unary(GradientContext& c, const char* fn, ValueId x, double a = 0, double b = 0) {
  return c.record("unary", {x}, {{"fn", std::string(fn)}, {"a", a}, {"b", b}});
}

void gradient_binary(GradientContext& c) {
  BinaryFn fn{};
  find_binary(c.node.attrs.text("fn"), fn);
  const ValueId a = c.input(0), b = c.input(1), dy = c.dy;
  ValueId da = kNoValue, db = kNoValue;
  switch (fn) {
    case BinaryFn::kAdd:
      da = dy, db = dy;
      break;
    case BinaryFn::kSubtract:
      da = dy;
      if (c.wanted[1]) db = unary(c, "negative", dy);
      break;
    case BinaryFn::kMultiply:
      if (c.wanted[0]) da = binary(c, "multiply", dy, b);
      if (c.wanted[1]) db = binary(c, "multiply", dy, a);
      break;
    case BinaryFn::kDivide:
      if (c.wanted[0]) da = binary(c, "divide", dy, b);
      if (c.wanted[1]) db = unary(c, "negative", binary(c, "divide", binary(c, "multiply", dy, c.output()), b));
      break;
    case BinaryFn::kMaximum:
    case BinaryFn::kMinimum: {
      // Where both are equal the gradient goes to each by half, as in JAX and Keras on it.
      const ValueId first = binary(c, fn == BinaryFn::kMaximum ? "greater" : "less", a, b);
      const ValueId share = binary(c, "add", first, unary(c, "affine", binary(c, "equal", a, b), 0.5, 0));
      da = binary(c, "multiply", dy, share);
      db = binary(c, "multiply", dy, unary(c, "affine", share, -1, 1));
      break;
    }
    case BinaryFn::kPower:
      if (c.wanted[0]) {
        const ValueId lower = binary(c, "power", a, unary(c, "affine", b, 1, -1));
        da = binary(c, "multiply", dy, binary(c, "multiply", b, lower));
      }
      if (c.wanted[1]) db = binary(c, "multiply", dy, binary(c, "multiply", c.output(), unary(c, "log", a)));
      break;
    case BinaryFn::kMod:
      da = dy;
      if (c.wanted[1]) db = unary(c, "negative", binary(c, "multiply", dy, binary(c, "floor_divide", a, b)));
      break;
    default:
      return;  // comparisons are piecewise constant
  }
  if (c.wanted[0]) c.result[0] = c.sum_to_shape(da, c.graph.shape(a));
  if (c.wanted[1]) c.result[1] = c.sum_to_shape(db, c.graph.shape(b));
}

void lower_binary(LowerContext& c) {
  BinaryArgs args{};
  find_binary(c.node.attrs.text("fn"), args.fn);
  const Shape& shape = c.out_shape();
  args.a = c.in(0), args.b = c.in(1), args.y = c.out();
  args.rank = static_cast<int>(shape.size());
  broadcast_strides(c.shape(0), shape, args.a_stride);
  broadcast_strides(c.shape(1), shape, args.b_stride);
  broadcast_strides(shape, shape, args.y_stride);
  for (int i = 0; i < args.rank; ++i) args.shape[i] = shape[i];
  c.call(c.kernels.binary, args, static_cast<double>(element_count(shape)) / 2.0);
}

std::vector<ValueSpec> infer_select(const InferContext& c) {
  c.expect_inputs(3, 3);
  for (int i = 0; i < 3; ++i) c.expect_float(i);
  Shape ab, shape;
  c.check(broadcast_shape(c.shape(1), c.shape(2), ab) && broadcast_shape(c.shape(0), ab, shape), "shapes ", c.shape(0),
          ", ", c.shape(1), " and ", c.shape(2), " do not broadcast");
  c.check(shape.size() <= static_cast<size_t>(kMaxRank), "at most ", kMaxRank, " axes are supported, got shape ",
          shape);
  return {{shape}};
}

void gradient_select(GradientContext& c) {
  const ValueId zero = c.graph.scalar(0.0f);
  if (c.wanted[1])
    c.result[1] = c.sum_to_shape(c.record("select", {c.input(0), c.dy, zero}), c.graph.shape(c.input(1)));
  if (c.wanted[2])
    c.result[2] = c.sum_to_shape(c.record("select", {c.input(0), zero, c.dy}), c.graph.shape(c.input(2)));
}

void lower_select(LowerContext& c) {
  SelectArgs args{};
  const Shape& shape = c.out_shape();
  args.condition = c.in(0), args.a = c.in(1), args.b = c.in(2), args.y = c.out();
  args.rank = static_cast<int>(shape.size());
  broadcast_strides(c.shape(0), shape, args.condition_stride);
  broadcast_strides(c.shape(1), shape, args.a_stride);
  broadcast_strides(c.shape(2), shape, args.b_stride);
  broadcast_strides(shape, shape, args.y_stride);
  for (int i = 0; i < args.rank; ++i) args.shape[i] = shape[i];
  c.call(c.kernels.select, args, static_cast<double>(element_count(shape)));
}

}  // namespace

bool broadcast_shape(const Shape& a, const Shape& b, Shape& result) {
  const size_t rank = a.size() > b.size() ? a.size() : b.size();
  result.assign(rank, 1);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t x = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const int64_t y = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    if (x != y && x != 1 && y != 1) return false;
    result[i] = x == 1 ? y : x;
  }
  return true;
}

void broadcast_strides(const Shape& from, const Shape& to, int64_t* strides) {
  const Shape own = strides_of(from);
  const size_t missing = to.size() - from.size();
  for (size_t i = 0; i < to.size(); ++i) {
    strides[i] = i < missing || (from[i - missing] == 1 && to[i] != 1) ? 0 : own[i - missing];
  }
}

ValueId GradientContext::sum_to_shape(ValueId x, Shape shape) {
  const Shape from = graph.shape(x);
  if (from == shape) return x;
  // A bias row: the sum over rows has a kernel of its own, which an optimizer's update can join.
  if (from.size() == 2 && shape.size() == 1 && from[1] == shape[0]) return record("dense_grad_bias", {x});
  Shape axes;
  const size_t missing = from.size() - shape.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (i < missing || (shape[i - missing] == 1 && from[i] != 1)) axes.push_back(static_cast<int64_t>(i));
  }
  const ValueId sum = record("reduce", {x}, {{"fn", std::string("sum")}, {"axes", axes}, {"keepdims", int64_t{1}}});
  return graph.shape(sum) == shape ? sum : record("reshape", {sum}, {{"shape", shape}});
}

const OpDef kBinary = {"binary", infer_binary, gradient_binary, lower_binary};
const OpDef kSelect = {"select", infer_select, gradient_select, lower_select};

}  // namespace weft
