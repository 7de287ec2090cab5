// Dead code and constants.
#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

Uses::Uses(const Graph& graph, const std::vector<ValueId>& outputs)
    : users_(graph.values.size()), is_output_(graph.values.size(), false) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].removed) continue;
    for (ValueId in : graph.nodes[i].inputs) {
      if (in == kNoValue) continue;
      std::vector<int>& users = users_[in];
      if (users.empty() || users.back() != static_cast<int>(i)) users.push_back(static_cast<int>(i));
    }
  }
  for (ValueId v : outputs) is_output_[v] = true;
}

int append(Graph& graph, const OpDef& op, std::vector<ValueId> inputs, Attrs attrs, const Node& like) {
  Node node;
  node.op = &op;
  node.inputs = std::move(inputs), node.attrs = std::move(attrs);
  node.layer = like.layer, node.order = like.order;
  graph.nodes.push_back(std::move(node));
  return static_cast<int>(graph.nodes.size()) - 1;
}

ValueId add_output(Graph& graph, int node, Shape shape, DType dtype, Layout layout) {
  Value v;
  v.shape = std::move(shape), v.dtype = dtype, v.layout = layout, v.producer = node;
  graph.values.push_back(std::move(v));
  const ValueId id = static_cast<ValueId>(graph.values.size()) - 1;
  graph.nodes[node].outputs.push_back(id);
  return id;
}

int64_t storage_of(const Value& value) {
  if (value.source == Value::Source::kVariable) return value.variable->storage();
  if (value.layout == Layout::kPanels) return panel_size(value.shape);
  const int64_t elements = row_layout(value.shape).storage();
  return value.dtype == DType::kUInt8 ? round_up(elements / 4, kPanel) : elements;
}

ValueId alias_root(const Graph& graph, ValueId v) {
  for (;;) {
    const Node* producer = graph.producer(v);
    if (!producer || !producer->op->is_alias) return v;
    v = producer->inputs[0];
  }
}

void remove_dead(Graph& graph, const std::vector<ValueId>& outputs) {
  std::vector<bool> live(graph.nodes.size(), false);
  std::vector<int> pending;
  auto need = [&](int node) {
    if (node >= 0 && !live[node]) live[node] = true, pending.push_back(node);
  };
  for (ValueId v : outputs) need(graph.value(v).producer);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool effect = node.op->has_effect || node.attrs.has("rule");  // of its own, or a fused update
    if (effect && !node.removed) need(static_cast<int>(i));
  }
  while (!pending.empty()) {
    const Node& node = graph.nodes[pending.back()];
    pending.pop_back();
    for (ValueId in : node.inputs) {
      if (in != kNoValue) need(graph.value(in).producer);
    }
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) graph.nodes[i].removed = graph.nodes[i].removed || !live[i];
}

namespace {

bool fold_unary(const Node& node, float x, float& y) {
  const std::string fn = node.attrs.text("fn");
  if (fn == "affine")
    y = node.attrs.real("a") * x + node.attrs.real("b");
  else if (fn == "negative")
    y = -x;
  else if (fn == "identity")
    y = x;
  else
    return false;
  return true;
}

bool fold_binary(const Node& node, float a, float b, float& y) {
  const std::string fn = node.attrs.text("fn");
  if (fn == "add")
    y = a + b;
  else if (fn == "subtract")
    y = a - b;
  else if (fn == "multiply")
    y = a * b;
  else if (fn == "divide")
    y = a / b;
  else
    return false;
  return true;
}

}  // namespace

void fold_constants(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (node.removed || node.outputs.size() != 1) continue;
    auto uniform = [&](int i) { return graph.value(node.inputs[i]).uniform(); };
    const std::string kind = node.op->name;
    std::optional<float> folded;
    float y;
    if (kind == "unary" && uniform(0) && fold_unary(node, *uniform(0), y)) folded = y;
    if ((kind == "reshape" || kind == "broadcast_to" || kind == "stop_gradient") && uniform(0)) folded = uniform(0);
    if (kind == "binary" && uniform(0) && uniform(1) && fold_binary(node, *uniform(0), *uniform(1), y)) folded = y;
    if (!folded) continue;
    Value& value = graph.values[node.outputs[0]];
    value.source = Value::Source::kConstant;
    value.producer = -1;
    value.constant.assign(element_count(value.shape), *folded);
    node.removed = true;
  }
}

}  // namespace weft
