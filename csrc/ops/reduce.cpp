// reduce: sums, means, extrema and products over axes; argmax over the last.
#include "ops/reduce.h"

#include <algorithm>
#include <iterator>

#include "ops/op_table.h"

namespace weft {

namespace {

const char* const kReduceNames[] = {"sum", "mean", "max", "min", "prod"};

bool find_reduce(const std::string& name, ReduceFn& fn) {
  for (size_t i = 0; i < std::size(kReduceNames); ++i) {
    if (name == kReduceNames[i]) {
      fn = static_cast<ReduceFn>(i);
      return true;
    }
  }
  return false;
}

// The reduced axes, normalised; an empty list means all.
std::vector<bool> reduced_axes(const Attrs& attrs, const Shape& shape) {
  const Shape axes = attrs.ints("axes");
  const int64_t rank = static_cast<int64_t>(shape.size());
  std::vector<bool> reduced(shape.size(), axes.empty());
  for (int64_t axis : axes) {
    check(axis >= -rank && axis < rank, "axis ", axis, " is out of range for shape ", shape);
    reduced[axis < 0 ? axis + rank : axis] = true;
  }
  return reduced;
}

Shape kept_shape(const Shape& shape, const std::vector<bool>& reduced, bool keepdims) {
  Shape kept;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced[i]) kept.push_back(shape[i]);
    if (reduced[i] && keepdims) kept.push_back(1);
  }
  return kept;
}

std::vector<ValueSpec> infer_reduce(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  ReduceFn fn;
  c.check(find_reduce(c.attrs.text("fn"), fn), "there is no reduction '", c.attrs.text("fn"), "'");
  c.check(c.shape(0).size() <= static_cast<size_t>(kMaxRank), "at most ", kMaxRank, " axes are supported");
  return {{kept_shape(c.shape(0), reduced_axes(c.attrs, c.shape(0)), c.attrs.flag("keepdims"))}};
}

void gradient_reduce(GradientContext& c) {
  ReduceFn fn{};
  find_reduce(c.node.attrs.text("fn"), fn);
  const Shape x = c.graph.shape(c.input(0));
  const std::vector<bool> reduced = reduced_axes(c.node.attrs, x);
  const Shape with_ones = kept_shape(x, reduced, true);
  auto spread = [&](ValueId v) {
    if (c.graph.shape(v) != with_ones) v = c.record("reshape", {v}, {{"shape", with_ones}});
    return c.graph.shape(v) == x ? v : c.record("broadcast_to", {v}, {{"shape", x}});
  };
  auto binary = [&](const char* name, ValueId a, ValueId b) {
    return c.record("binary", {a, b}, {{"fn", std::string(name)}});
  };
  const double count =
      static_cast<double>(element_count(x)) / static_cast<double>(std::max<int64_t>(1, element_count(with_ones)));
  switch (fn) {
    case ReduceFn::kSum:
      c.result[0] = spread(c.dy);
      break;
    case ReduceFn::kMean:
      c.result[0] = spread(c.record("unary", {c.dy}, {{"fn", std::string("affine")}, {"a", 1.0 / count}, {"b", 0.0}}));
      break;
    case ReduceFn::kMax:
    case ReduceFn::kMin: {
      // Elements that share the extremum share its gradient.
      const ValueId hit = binary("equal", c.input(0), spread(c.output()));
      const ValueId hits = c.record(
          "reduce", {hit}, {{"fn", std::string("sum")}, {"axes", c.node.attrs.ints("axes")}, {"keepdims", int64_t{1}}});
      c.result[0] = binary("multiply", spread(c.dy), binary("divide", hit, hits));
      break;
    }
    case ReduceFn::kProd:
      c.result[0] = binary("divide", binary("multiply", spread(c.dy), spread(c.output())), c.input(0));
      break;
  }
}

void lower_reduce(LowerContext& c) {
  ReduceArgs args{};
  find_reduce(c.node.attrs.text("fn"), args.fn);
  const Shape& x = c.shape(0);
  const std::vector<bool> reduced = reduced_axes(c.node.attrs, x);
  const Shape x_strides = strides_of(x), y_strides = strides_of(c.out_shape());
  const bool keepdims = c.node.attrs.flag("keepdims");
  args.x = c.in(0), args.y = c.out();
  size_t y_axis = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (reduced[i]) {
      args.reduced_shape[args.reduced_rank] = x[i];
      args.reduced_x_stride[args.reduced_rank++] = x_strides[i];
      y_axis += keepdims;
    } else {
      args.kept_shape[args.kept_rank] = x[i];
      args.kept_x_stride[args.kept_rank] = x_strides[i];
      args.kept_y_stride[args.kept_rank++] = y_strides[y_axis++];
    }
  }
  c.call(c.kernels.reduce, args, static_cast<double>(element_count(x)) / 4.0);
}

std::vector<ValueSpec> infer_argmax(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  const Shape& x = c.shape(0);
  c.check(!x.empty() && x.back() > 0, "expects at least one element along the last axis, got shape ", x);
  return {{Shape(x.begin(), x.end() - 1), DType::kInt32}};
}

// Rows are counted over all axes but the last; legalizing makes the input a matrix.
void lower_argmax(LowerContext& c) {
  const Shape& x = c.shape(0);
  const bool vector = x.size() == 1;
  ArgmaxArgs args{c.in(0),
                  static_cast<int32_t*>(static_cast<void*>(c.out())),
                  vector ? 1 : x[0],
                  x.back(),
                  vector ? x[0] : row_layout(x).stride,
                  c.node.attrs.flag("smallest")};
  c.call(c.kernels.argmax, args, static_cast<double>(element_count(x)) / 2.0);
}

}  // namespace

const OpDef kReduce = {"reduce", infer_reduce, gradient_reduce, lower_reduce};
const OpDef kArgmax = {"argmax", infer_argmax, nullptr, lower_argmax};

}  // namespace weft
