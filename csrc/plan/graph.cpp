#include "plan/graph.h"

#include <cstring>

#include "ops/op.h"

namespace weft {

std::optional<float> Value::uniform() const {
  if (source != Source::kConstant || dtype != DType::kFloat32 || constant.empty()) return std::nullopt;
  for (float x : constant) {
    if (std::memcmp(&x, &constant[0], sizeof(float)) != 0) return std::nullopt;
  }
  return constant[0];
}

ValueId Graph::input(Shape shape, DType dtype, std::string name) {
  check(dtype == DType::kFloat32 || dtype == DType::kInt32, "an input is float32 or int32");
  Value v;
  v.shape = std::move(shape), v.dtype = dtype, v.name = std::move(name);
  v.source = Value::Source::kInput;
  v.input_index = static_cast<int>(inputs.size());
  values.push_back(std::move(v));
  inputs.push_back(static_cast<ValueId>(values.size()) - 1);
  return inputs.back();
}

ValueId Graph::variable(std::shared_ptr<Variable> variable) {
  for (size_t id = 0; id < values.size(); ++id) {
    if (values[id].variable == variable) return static_cast<ValueId>(id);
  }
  Value v;
  v.shape = variable->shape();
  v.source = Value::Source::kVariable;
  v.name = variable->name;
  v.variable = std::move(variable);
  values.push_back(std::move(v));
  return static_cast<ValueId>(values.size()) - 1;
}

ValueId Graph::constant(Shape shape, DType dtype, std::vector<float> contiguous) {
  Value v;
  v.shape = std::move(shape), v.dtype = dtype;
  v.source = Value::Source::kConstant;
  v.constant = std::move(contiguous);
  values.push_back(std::move(v));
  return static_cast<ValueId>(values.size()) - 1;
}

ValueId Graph::record(const std::string& kind, std::vector<ValueId> inputs, Attrs attrs, std::string layer) {
  // A product with any second operand is a dense layer whose kernel is packed first.
  const OpDef* op = find_op(kind == "matmul" ? "dense" : kind);
  check(op && op->infer, "there is no op '", kind, "'");
  for (ValueId id : inputs)
    check(id >= 0 && id < static_cast<ValueId>(values.size()), kind, ": there is no value ", id);
  return record(*op, std::move(inputs), std::move(attrs), std::move(layer));
}

ValueId Graph::record(const OpDef& op, std::vector<ValueId> inputs, Attrs attrs, std::string layer) {
  const std::vector<ValueSpec> specs = op.infer(InferContext{*this, inputs, attrs, layer, op.name});
  Node node;
  node.op = &op;
  node.inputs = std::move(inputs), node.attrs = std::move(attrs), node.layer = std::move(layer);
  node.order = static_cast<int>(nodes.size());
  for (const ValueSpec& spec : specs) {
    Value v;
    v.shape = spec.shape, v.dtype = spec.dtype, v.layout = spec.layout;
    v.producer = static_cast<int>(nodes.size());
    values.push_back(std::move(v));
    node.outputs.push_back(static_cast<ValueId>(values.size()) - 1);
  }
  nodes.push_back(std::move(node));
  return specs.empty() ? kNoValue : nodes.back().outputs[0];
}

}  // namespace weft
