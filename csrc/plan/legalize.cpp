// From what was recorded to kernel calls: loads and stores, layouts, reshapes, transposes, and the
// per-step scalars of the optimizers.
#include <map>
#include <string>
#include <tuple>

#include "ops/op_table.h"
#include "ops/specs.h"
#include "plan/passes.h"

namespace weft {

void settle_layouts(Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.removed || (node.op != &kDense && node.op != &kDenseGradInput)) continue;
    const Value& w = graph.value(node.inputs[1]);
    if (w.source == Value::Source::kVariable) w.variable->settle_layout(Layout::kPanels);
  }
  for (const Node& node : graph.nodes) {
    if (node.removed) continue;
    for (ValueId in : node.inputs) {
      if (in != kNoValue && graph.value(in).source == Value::Source::kVariable && node.op != &kUpdate) {
        graph.value(in).variable->settle_layout(Layout::kRows);
      }
    }
  }
  // Slots lie as their variable does, so that an update is elementwise over both.
  for (const Node& node : graph.nodes) {
    if (node.removed || node.op != &kUpdate) continue;
    const auto& variable = graph.value(node.inputs[0]).variable;
    variable->settle_layout(Layout::kRows);
    const size_t slots_end = 2 + static_cast<size_t>(slot_count(update_rule(node.attrs.text("rule"))));
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      const auto& read = graph.value(node.inputs[i]).variable;  // null: the gradient or its scale was computed
      if (read) read->settle_layout(i < slots_end ? variable->layout() : Layout::kRows);
      if (i < 2 || i >= slots_end) continue;
      check(read != nullptr, "the slots of an update must be variables");
      check(read->layout() == variable->layout(), "a slot of '", variable->name,
            "' is already in use in another layout");
    }
  }
}

namespace {

int append(Graph& graph, const OpDef& op, std::vector<ValueId> inputs, Attrs attrs, const Node& like) {
  Node node;
  node.op = &op;
  node.inputs = std::move(inputs), node.attrs = std::move(attrs);
  node.layer = like.layer, node.order = like.order;
  graph.nodes.push_back(std::move(node));
  return static_cast<int>(graph.nodes.size()) - 1;
}

ValueId add_output(Graph& graph, int node, Shape shape, DType dtype, Layout layout = Layout::kRows) {
  Value v;
  v.shape = std::move(shape), v.dtype = dtype, v.layout = layout, v.producer = node;
  graph.values.push_back(std::move(v));
  const ValueId id = static_cast<ValueId>(graph.values.size()) - 1;
  graph.nodes[node].outputs.push_back(id);
  return id;
}

ValueId insert(Graph& graph, const OpDef& op, ValueId input, Shape shape, const Node& like,
               Layout layout = Layout::kRows) {
  const Node copy = like;  // append moves the nodes
  const int node = append(graph, op, {input}, {{"shape", shape}}, copy);
  return add_output(graph, node, shape, graph.value(input).dtype, layout);
}

Layout layout_of(const Graph& graph, ValueId id) {
  const Value& v = graph.value(id);
  return v.source == Value::Source::kVariable ? v.variable->layout() : v.layout;
}

int64_t address(const void* p) { return static_cast<int64_t>(reinterpret_cast<intptr_t>(p)); }

Layout wanted_layout(const Graph& graph, const Node& node, size_t input) {
  if ((node.op == &kDense || node.op == &kDenseGradInput) && input == 1) return Layout::kPanels;
  if (node.op == &kUnpack) return Layout::kPanels;
  if (node.op == &kAssign) return layout_of(graph, node.inputs[0]);
  // Variable, gradient and slots lie alike; a scale of the gradient follows them.
  if (node.op == &kUpdate && input < 2 + static_cast<size_t>(slot_count(update_rule(node.attrs.text("rule"))))) {
    return layout_of(graph, node.inputs[0]);
  }
  // A fused update: the variable and its slots follow x and dy.
  if (node.op == &kDenseGradKernel && input >= 2) return layout_of(graph, node.inputs[input]);
  return Layout::kRows;
}

// Rows are the first axis for the kernels, all axes but the last for softmax and argmax: a matrix is both.
void flatten_to_matrix(Graph& graph, int i) {
  const Shape x = graph.shape(graph.nodes[i].inputs[0]);
  if (x.size() <= 2) return;
  const Shape matrix = {element_count(Shape(x.begin(), x.end() - 1)), x.back()};
  for (size_t k = 0; k < graph.nodes[i].inputs.size(); ++k) {
    const ValueId flat = insert(graph, kReshape, graph.nodes[i].inputs[k], matrix, graph.nodes[i]);
    graph.nodes[i].inputs[k] = flat;
  }
  const ValueId y = graph.nodes[i].outputs[0];
  const Value original = graph.value(y);
  graph.nodes[i].outputs.clear();
  const ValueId flat =
      add_output(graph, i, original.shape.size() == x.size() ? matrix : Shape{matrix[0]}, original.dtype);
  const Node like = graph.nodes[i];
  const int back = append(graph, kReshape, {flat}, {{"shape", original.shape}}, like);
  graph.nodes[back].outputs = {y};
  graph.values[y].producer = back;
}

void legalize_reshape(Graph& graph, int i) {
  const RowLayout from = row_layout(graph.shape(graph.nodes[i].inputs[0])),
                  to = row_layout(graph.shape(graph.nodes[i].outputs[0]));
  const bool same_rows = from.rows == to.rows && from.stride == to.stride;
  if (same_rows || (from.gapless() && to.gapless())) return;  // stays an alias
  if (!from.gapless() && !to.gapless()) {
    const ValueId flat = insert(graph, kReshapeCopy, graph.nodes[i].inputs[0],
                                {element_count(graph.shape(graph.nodes[i].inputs[0]))}, graph.nodes[i]);
    graph.nodes[i].inputs[0] = flat;
  }
  graph.nodes[i].op = &kReshapeCopy;
}

// One node makes the step's scalars for all updates with the same hyper-parameters.
class UpdateScalars {
 public:
  explicit UpdateScalars(Graph& graph) : graph_(graph) {}
  ValueId of(int i) {
    const Attrs attrs = graph_.nodes[i].attrs;
    const auto key =
        std::make_tuple(attrs.text("rule"), attrs.number("p0"), attrs.number("p1"), attrs.number("weight_decay"));
    const auto found = made_.find(key);
    if (found != made_.end()) return found->second;
    const Node like = graph_.nodes[i];
    const int node = append(graph_, kUpdateScalars, {}, attrs, like);
    graph_.nodes[node].layer = "optimizer";
    return made_[key] = add_output(graph_, node, {2}, DType::kFloat32);
  }

 private:
  Graph& graph_;
  std::map<std::tuple<std::string, double, double, double>, ValueId> made_;
};

}  // namespace

void add_loads(Graph& graph, Bindings& bindings) {
  bindings.inputs.resize(graph.inputs.size());
  Node like;
  like.order = -1;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueId v = graph.inputs[i];
    like.layer = graph.value(v).name.empty() ? concat("input ", i) : graph.value(v).name;
    const int node = append(graph, kLoadBatch, {},
                            {{"binding", address(&bindings.inputs[i])}, {"order", address(&bindings.order)}}, like);
    graph.nodes[node].outputs = {v};
    graph.values[v].source = Value::Source::kNode;
    graph.values[v].producer = node;
  }
}

void legalize(Graph& graph, const std::vector<ValueId>& outputs, Bindings& bindings) {
  // Stores are nodes of the graph from here on.
  bindings.outputs.resize(outputs.size());
  Node like;
  like.layer = "output";
  like.order = static_cast<int>(graph.nodes.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    append(graph, kStoreBatch, {outputs[i]}, {{"binding", address(&bindings.outputs[i])}}, like);
    // A change of layout moves a variable: it must not happen after its address was taken.
    if (const auto& variable = graph.value(outputs[i]).variable) variable->settle_layout(Layout::kRows);
  }

  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].removed) continue;
    const OpDef* op = graph.nodes[i].op;
    if (op == &kSoftmax || op == &kSoftmaxGrad || op == &kArgmax) flatten_to_matrix(graph, static_cast<int>(i));
    if (op == &kAccumulate) {
      for (size_t k = 0; k < graph.nodes[i].inputs.size(); ++k) {
        const Shape shape = graph.shape(graph.nodes[i].inputs[k]);
        if (shape.size() > 1) {
          const ValueId flat =
              insert(graph, kReshape, graph.nodes[i].inputs[k], {element_count(shape)}, graph.nodes[i]);
          graph.nodes[i].inputs[k] = flat;
        }
      }
    }
    if (op == &kDenseGradInput) {
      const Shape dy = graph.shape(graph.nodes[i].inputs[0]);
      const ValueId transposed =
          insert(graph, kTransposeRows, graph.nodes[i].inputs[0], {dy[1], dy[0]}, graph.nodes[i]);
      graph.nodes[i].inputs[0] = transposed;
    }
  }

  std::map<ValueId, ValueId> unpacked, packed;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].removed) continue;
    for (size_t k = 0; k < graph.nodes[i].inputs.size(); ++k) {
      const ValueId in = graph.nodes[i].inputs[k];
      if (in == kNoValue) continue;
      const Layout wanted = wanted_layout(graph, graph.nodes[i], k);
      if (layout_of(graph, in) == wanted) continue;
      // A variable may have changed between two reads, so only a value's conversion is kept.
      std::map<ValueId, ValueId>& done = wanted == Layout::kPanels ? packed : unpacked;
      const bool shared = graph.value(in).source != Value::Source::kVariable;
      ValueId& converted = done[in];
      if (converted == 0 || !shared) {
        converted =
            insert(graph, wanted == Layout::kPanels ? kPack : kUnpack, in, graph.shape(in), graph.nodes[i], wanted);
      }
      graph.nodes[i].inputs[k] = converted;
    }
  }

  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!graph.nodes[i].removed && graph.nodes[i].op == &kReshape) legalize_reshape(graph, static_cast<int>(i));
  }

  UpdateScalars scalars(graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (node.removed || !node.attrs.has("rule") || node.op == &kUpdateScalars) continue;
    const ValueId v = scalars.of(i);
    graph.nodes[i].inputs.push_back(v);
  }
}

}  // namespace weft
