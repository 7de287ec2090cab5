// The two ends of a plan, load_batch and store_batch, and changes of element type inside it.
#include "ops/copy.h"
#include "ops/op_table.h"

namespace weft {

namespace {

// Rows along the first axis, also for a vector of labels: each row is gathered on its own.
struct FlatRows {
  int64_t rows, row_size, stride;
};
FlatRows flat_rows(const Shape& shape) {
  if (shape.size() == 1) return {shape[0], 1, 1};
  const RowLayout r = row_layout(shape);
  return {r.rows, r.row_size, r.stride};
}

std::vector<ValueSpec> infer_cast(const InferContext& c) {
  c.expect_inputs(1, 1);
  const std::string to = c.attrs.text("dtype");
  c.check(to == "float32" || to == "int32", "expects dtype float32 or int32, got '", to, "'");
  return {{c.shape(0), to == "int32" ? DType::kInt32 : DType::kFloat32}};
}
void lower_cast(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  CastArgs args{c.in(0),
                c.out(),
                r.rows,
                r.row_size,
                r.stride,
                r.stride,
                c.graph.value(c.node.inputs[0]).dtype,
                c.graph.value(c.node.outputs[0]).dtype};
  c.call(c.kernels.cast, args, static_cast<double>(element_count(c.shape(0))) / 4.0);
}

std::vector<ValueSpec> infer_same(const InferContext& c) { return {{c.shape(0), c.dtype(0)}}; }

// Attributes binding and order are addresses in the plan's Bindings.
template <class T>
T* address_of(const Attrs& attrs, const char* name) {
  return reinterpret_cast<T*>(static_cast<intptr_t>(attrs.integer(name)));
}

void lower_load_batch(LowerContext& c) {
  const FlatRows r = flat_rows(c.out_shape());
  LoadBatchArgs args{address_of<const Binding>(c.node.attrs, "binding"),
                     address_of<const int32_t* const>(c.node.attrs, "order"),
                     c.state,
                     c.out(),
                     r.rows,
                     r.row_size,
                     r.stride,
                     c.graph.value(c.node.outputs[0]).dtype,
                     c.node.attrs.real("scale", 1),
                     c.node.attrs.real("offset", 0)};
  c.call(c.kernels.load_batch, args, static_cast<double>(element_count(c.out_shape())) / 4.0);
}

void lower_store_batch(LowerContext& c) {
  const FlatRows r = flat_rows(c.shape(0));
  StoreBatchArgs args{
      address_of<const Binding>(c.node.attrs, "binding"), c.state, c.in(0), r.rows, r.row_size, r.stride};
  c.call(c.kernels.store_batch, args, static_cast<double>(element_count(c.shape(0))) / 4.0);
}

}  // namespace

const OpDef kCast = {"cast", infer_cast, nullptr, lower_cast};
const OpDef kStopGradient = {"stop_gradient", infer_same, nullptr, nullptr, false, true};
const OpDef kLoadBatch = {"load_batch", nullptr, nullptr, lower_load_batch};
const OpDef kStoreBatch = {"store_batch", nullptr, nullptr, lower_store_batch, true};

}  // namespace weft
