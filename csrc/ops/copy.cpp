// Moving elements: reshape (an alias where the layout allows), transpose, broadcast, slice, concatenate.
// Each is one strided copy, or for concatenate one for each input.
#include "ops/copy.h"

#include <algorithm>

#include "ops/broadcast.h"
#include "ops/op_table.h"

namespace weft {

namespace {

double move_time(const Shape& shape) { return static_cast<double>(element_count(shape)) / 2.0; }

void call_copy(LowerContext& c, const float* x, float* y, const Shape& shape, const int64_t* x_stride,
               const int64_t* y_stride) {
  CopyArgs args{};
  args.x = x, args.y = y;
  args.rank = static_cast<int>(shape.size());
  for (int i = 0; i < args.rank; ++i)
    args.shape[i] = shape[i], args.x_stride[i] = x_stride[i], args.y_stride[i] = y_stride[i];
  c.call(c.kernels.copy, args, move_time(shape));
}

void check_rank(const InferContext& c, const Shape& shape) {
  c.check(shape.size() <= static_cast<size_t>(kMaxRank), "at most ", kMaxRank, " axes are supported, got shape ",
          shape);
}

std::vector<ValueSpec> infer_reshape(const InferContext& c) {
  c.expect_inputs(1, 1);
  const Shape shape = c.attrs.ints("shape");
  for (int64_t d : shape) c.check(d >= 0, "expects sizes of at least 0, got shape ", shape);
  c.check(element_count(shape) == element_count(c.shape(0)), "cannot reshape ", c.shape(0), " into ", shape);
  return {{shape, c.dtype(0)}};
}
void gradient_reshape(GradientContext& c) {
  c.result[0] = c.record("reshape", {c.dy}, {{"shape", c.graph.shape(c.input(0))}});
}

// Legalizing leaves only reshapes with at most one padded side.
void lower_reshape_copy(LowerContext& c) {
  const RowLayout from = row_layout(c.shape(0)), to = row_layout(c.out_shape());
  const RowLayout& rows = from.gapless() ? to : from;
  const int64_t x_stride[] = {from.gapless() ? rows.row_size : from.stride, 1};
  const int64_t y_stride[] = {to.gapless() ? rows.row_size : to.stride, 1};
  call_copy(c, c.in(0), c.out(), {rows.rows, rows.row_size}, x_stride, y_stride);
}

std::vector<ValueSpec> infer_transpose(const InferContext& c) {
  c.expect_inputs(1, 1);
  const Shape &x = c.shape(0), axes = c.attrs.ints("axes");
  check_rank(c, x);
  std::vector<bool> seen(x.size());
  bool permutation = axes.size() == x.size();
  Shape shape;
  for (int64_t axis : axes) {
    if (!permutation || axis < 0 || axis >= static_cast<int64_t>(x.size()) || seen[axis]) {
      permutation = false;
      break;
    }
    seen[axis] = true;
    shape.push_back(x[axis]);
  }
  c.check(permutation, "expects axes that are a permutation of 0 to ", static_cast<int64_t>(x.size()) - 1, ", got ",
          axes);
  return {{shape, c.dtype(0)}};
}
void gradient_transpose(GradientContext& c) {
  const Shape axes = c.node.attrs.ints("axes");
  Shape inverse(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) inverse[axes[i]] = static_cast<int64_t>(i);
  c.result[0] = c.record("transpose", {c.dy}, {{"axes", inverse}});
}
void lower_transpose(LowerContext& c) {
  const Shape axes = c.node.attrs.ints("axes"), x = strides_of(c.shape(0)), y = strides_of(c.out_shape());
  Shape x_stride;
  for (int64_t axis : axes) x_stride.push_back(x[axis]);
  call_copy(c, c.in(0), c.out(), c.out_shape(), x_stride.data(), y.data());
}

std::vector<ValueSpec> infer_broadcast(const InferContext& c) {
  c.expect_inputs(1, 1);
  const Shape shape = c.attrs.ints("shape");
  check_rank(c, shape);
  Shape result;
  c.check(broadcast_shape(c.shape(0), shape, result) && result == shape, "cannot broadcast ", c.shape(0), " to ",
          shape);
  return {{shape, c.dtype(0)}};
}
void gradient_broadcast(GradientContext& c) { c.result[0] = c.sum_to_shape(c.dy, c.graph.shape(c.input(0))); }
void lower_broadcast(LowerContext& c) {
  int64_t x_stride[kMaxRank], y_stride[kMaxRank];
  broadcast_strides(c.shape(0), c.out_shape(), x_stride);
  broadcast_strides(c.out_shape(), c.out_shape(), y_stride);
  call_copy(c, c.in(0), c.out(), c.out_shape(), x_stride, y_stride);
}

std::vector<ValueSpec> infer_concatenate(const InferContext& c) {
  c.check(c.count() >= 1, "expects at least one value");
  Shape shape = c.shape(0);
  check_rank(c, shape);
  int64_t axis = c.attrs.integer("axis");
  if (axis < 0) axis += static_cast<int64_t>(shape.size());
  c.check(axis >= 0 && axis < static_cast<int64_t>(shape.size()), "axis ", c.attrs.integer("axis"),
          " is out of range for shape ", shape);
  for (size_t i = 1; i < c.count(); ++i) {
    Shape other = c.shape(static_cast<int>(i));
    const Shape shown = other;
    c.check(other.size() == shape.size() && c.dtype(static_cast<int>(i)) == c.dtype(0), "cannot join shapes ",
            c.shape(0), " and ", shown);
    const int64_t width = other[axis];
    other[axis] = shape[axis];
    c.check(other == shape, "cannot join shapes ", c.shape(0), " and ", shown, " along axis ", axis);
    shape[axis] += width;
  }
  return {{shape, c.dtype(0)}};
}
void gradient_concatenate(GradientContext& c) {
  const Shape shape = c.graph.shape(c.output());
  int64_t axis = c.node.attrs.integer("axis");
  if (axis < 0) axis += static_cast<int64_t>(shape.size());
  Shape begin(shape.size(), 0);
  for (size_t i = 0; i < c.node.inputs.size(); ++i) {
    const Shape size = c.graph.shape(c.input(static_cast<int>(i)));
    if (c.wanted[i])
      c.result[i] = c.record("slice", {c.dy}, {{"begin", begin}, {"size", size}, {"strides", Shape(shape.size(), 1)}});
    begin[axis] += size[axis];
  }
}
// All copies of one concatenate are tiles of one step: a list of calls.
struct ConcatenateArgs {
  const Kernel<CopyArgs>* copy;
  std::vector<CopyArgs> parts;
};
int concatenate_tiles(const ConcatenateArgs& args, int) { return static_cast<int>(args.parts.size()); }
void concatenate_run(const ConcatenateArgs& args, int tile, int) { args.copy->run(args.parts[tile], 0, 1); }

void lower_concatenate(LowerContext& c) {
  const Shape y = strides_of(c.out_shape());
  int64_t axis = c.node.attrs.integer("axis"), offset = 0;
  if (axis < 0) axis += static_cast<int64_t>(y.size());
  ConcatenateArgs all{&c.kernels.copy, {}};
  for (int p = 0; p < static_cast<int>(c.node.inputs.size()); ++p) {
    const Shape &shape = c.shape(p), x = strides_of(shape);
    CopyArgs& args = all.parts.emplace_back();
    args.x = c.in(p), args.y = c.out() + offset * y[axis];
    args.rank = static_cast<int>(shape.size());
    for (int i = 0; i < args.rank; ++i) args.shape[i] = shape[i], args.x_stride[i] = x[i], args.y_stride[i] = y[i];
    offset += shape[axis];
  }
  c.call(Kernel<ConcatenateArgs>{concatenate_tiles, concatenate_run}, all, move_time(c.out_shape()));
}

std::vector<ValueSpec> infer_slice(const InferContext& c) {
  c.expect_inputs(1, 1);
  const Shape &x = c.shape(0), begin = c.attrs.ints("begin"), size = c.attrs.ints("size"),
              strides = c.attrs.ints("strides");
  check_rank(c, x);
  c.check(begin.size() == x.size() && size.size() == x.size() && strides.size() == x.size(),
          "expects begin, size and strides for each axis of ", x);
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t last = begin[i] + (size[i] - 1) * strides[i];
    c.check(size[i] >= 1 && begin[i] >= 0 && begin[i] < x[i] && last >= 0 && last < x[i], "the slice leaves shape ", x,
            " along axis ", i);
  }
  return {{size, c.dtype(0)}};
}
void gradient_slice(GradientContext& c) {
  Attrs attrs = c.node.attrs;
  attrs.set("shape", c.graph.shape(c.input(0)));
  c.result[0] = c.record("slice_grad", {c.dy}, attrs);
}
void lower_slice(LowerContext& c) {
  const Shape begin = c.node.attrs.ints("begin"), step = c.node.attrs.ints("strides"), x = strides_of(c.shape(0)),
              y = strides_of(c.out_shape());
  Shape x_stride;
  int64_t offset = 0;
  for (size_t i = 0; i < x.size(); ++i) x_stride.push_back(x[i] * step[i]), offset += x[i] * begin[i];
  call_copy(c, c.in(0) + offset, c.out(), c.out_shape(), x_stride.data(), y.data());
}

// The gradient of a slice, and a border of zeros: zeros, and x where the slice would be taken.
std::vector<ValueSpec> infer_slice_grad(const InferContext& c) {
  c.expect_inputs(1, 1);
  const Shape &x = c.shape(0), shape = c.attrs.ints("shape"), begin = c.attrs.ints("begin"),
              strides = c.attrs.ints("strides");
  check_rank(c, shape);
  c.check(shape.size() == x.size() && begin.size() == x.size() && strides.size() == x.size(),
          "expects shape, begin and strides for each axis of ", x);
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t last = begin[i] + (x[i] - 1) * strides[i];
    c.check(begin[i] >= 0 && begin[i] < shape[i] && strides[i] != 0 && last >= 0 && last < shape[i], "cannot place ", x,
            " into shape ", shape);
  }
  return {{shape, c.dtype(0)}};
}
void gradient_slice_grad(GradientContext& c) {
  Attrs attrs = c.node.attrs;
  attrs.set("size", c.graph.shape(c.input(0)));
  c.result[0] = c.record("slice", {c.dy}, attrs);
}
struct SliceGradArgs {
  const Kernel<CopyArgs>* copy;
  const Kernel<FillArgs>* fill;
  float* y;                // (rows, row_size), padding included
  int64_t rows, row_size;  //
  int64_t begin, step;     // rows begin, begin + step, ... hold something
  int64_t block;           // rows that stay in the cache between being zeroed and being written
  CopyArgs place;          // all of x
};
int slice_grad_tiles(const SliceGradArgs& args, int threads) {
  return static_cast<int>(std::min<int64_t>(args.rows, threads > 1 ? 4 * threads : 1));
}
void slice_grad_run(const SliceGradArgs& args, int tile, int n_tiles) {
  const int64_t last = args.rows * (tile + 1) / n_tiles;
  const auto first_at = [&](int64_t row) {  // of x's rows, the first at or behind this one of y
    const int64_t i = (std::max(row, args.begin) - args.begin + args.step - 1) / args.step;
    return std::min(i, args.place.shape[0]);
  };
  for (int64_t row = args.rows * tile / n_tiles; row < last; row += args.block) {
    const int64_t end = std::min(row + args.block, last);
    args.fill->run({args.y + row * args.row_size, (end - row) * args.row_size, 0.0f}, 0, 1);
    CopyArgs place = args.place;
    const int64_t i = first_at(row);
    place.shape[0] = first_at(end) - i;
    if (place.shape[0] == 0) continue;
    place.x = static_cast<const float*>(place.x) + i * place.x_stride[0];
    place.y = static_cast<float*>(place.y) + i * place.y_stride[0];
    args.copy->run(place, 0, 1);
  }
}
void lower_slice_grad(LowerContext& c) {
  const Shape begin = c.node.attrs.ints("begin"), step = c.node.attrs.ints("strides"), x = strides_of(c.shape(0)),
              y = strides_of(c.out_shape());
  const RowLayout layout = row_layout(c.out_shape());
  SliceGradArgs args{&c.kernels.copy, &c.kernels.fill, c.out(), 1, layout.storage(), 0, 1, 1, {}};
  args.place.shape[0] = 1;
  if (x.size() > 1) args.rows = layout.rows, args.row_size = layout.stride, args.begin = begin[0], args.step = step[0];
  // Elsewhere than on the CPU each block would be two grids.
  args.block = c.on_host ? 1 + 8192 / (args.row_size + 1) : args.rows;
  int64_t offset = 0;
  // One axis or none is one row of y, which then is copied to as a row.
  const int first = x.size() > 1 ? 0 : 1;
  args.place.rank = static_cast<int>(x.size()) + first;
  for (size_t i = 0; i < x.size(); ++i) {
    args.place.shape[first + i] = c.shape(0)[i];
    args.place.x_stride[first + i] = x[i], args.place.y_stride[first + i] = y[i] * step[i];
    offset += y[i] * begin[i];
  }
  const float* x_data = c.in(0);
  float* y_data = c.out() + offset;
  if (args.step < 0) {  // the same rows from the other end
    const int64_t last = args.place.shape[0] - 1;
    x_data += last * args.place.x_stride[0], y_data += last * args.place.y_stride[0];
    args.begin += last * args.step, args.step = -args.step;
    args.place.x_stride[0] *= -1, args.place.y_stride[0] *= -1;
  }
  args.place.x = x_data, args.place.y = y_data;
  c.call(Kernel<SliceGradArgs>{slice_grad_tiles, slice_grad_run}, args, move_time(c.out_shape()));
}

}  // namespace

const OpDef kReshape = {"reshape", infer_reshape, gradient_reshape, nullptr, false, true};
const OpDef kReshapeCopy = {"reshape_copy", infer_reshape, gradient_reshape, lower_reshape_copy};
const OpDef kTranspose = {"transpose", infer_transpose, gradient_transpose, lower_transpose};
const OpDef kBroadcastTo = {"broadcast_to", infer_broadcast, gradient_broadcast, lower_broadcast};
const OpDef kConcatenate = {"concatenate", infer_concatenate, gradient_concatenate, lower_concatenate};
const OpDef kSlice = {"slice", infer_slice, gradient_slice, lower_slice};
const OpDef kSliceGrad = {"slice_grad", infer_slice_grad, gradient_slice_grad, lower_slice_grad};

}  // namespace weft
