// From what was recorded to kernel calls: loads and stores, layouts, reshapes, transposes, and the
// per-step scalars of the optimizers.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "ops/conv_shape.h"
#include "ops/op_table.h"
#include "ops/recurrent_rules.h"
#include "ops/specs.h"
#include "plan/passes.h"

namespace weft {

static bool is_recurrent(const OpDef* op) { return op == &kLstm || op == &kGru || op == &kSimpleRnn; }
static bool is_recurrent_grad(const OpDef* op) { return op == &kLstmGrad || op == &kGruGrad || op == &kSimpleRnnGrad; }

// Products whose second input is a kernel in panels.
static bool reads_panels(const Node& node) {
  return node.op == &kDense || node.op == &kDenseGradInput || node.op == &kConv2d || node.op == &kConv2dTranspose ||
         node.op == &kConv2dGradInput || is_recurrent(node.op);
}

void settle_layouts(Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.removed || !reads_panels(node)) continue;
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
  if ((node.op == &kDense || node.op == &kDenseGradInput || node.op == &kConv2d) && input == 1) return Layout::kPanels;
  if ((is_recurrent(node.op) || is_recurrent_grad(node.op)) && input == 1) return Layout::kPanels;
  if (node.op == &kUnpack) return Layout::kPanels;
  if ((node.op == &kConv2dFlipKernel || node.op == &kConv2dWinogradKernel || node.op == &kScalePanels) && input == 0) {
    return Layout::kPanels;
  }
  if ((node.op == &kConv2dGradInput || node.op == &kConv2dTranspose) && input == 1) {
    return layout_of(graph, node.inputs[1]);  // flipped or transformed
  }
  if (node.op == &kAssign) return layout_of(graph, node.inputs[0]);
  // Variable, gradient and slots lie alike; a scale of the gradient follows them.
  if (node.op == &kUpdate && input < 2 + static_cast<size_t>(slot_count(update_rule(node.attrs.text("rule"))))) {
    return layout_of(graph, node.inputs[0]);
  }
  // A fused update: the variable and its slots stand as they are.
  const int updated = updated_input(node);
  if (updated > 0 && input >= static_cast<size_t>(updated)) return layout_of(graph, node.inputs[input]);
  return Layout::kRows;
}

// What `in` is in the other layout. Panels are made from, and give, a matrix.
ValueId convert_layout(Graph& graph, ValueId in, Layout wanted, const Node& like) {
  const Node node = like;  // insert moves the nodes
  const Shape shape = graph.shape(in);
  const Shape matrix = {panel_rows(shape), shape.back()};
  if (wanted == Layout::kPanels) {
    const ValueId rows = shape == matrix ? in : insert(graph, kReshape, in, matrix, node);
    return insert(graph, kPack, rows, shape, node, Layout::kPanels);
  }
  const ValueId rows = insert(graph, kUnpack, in, matrix, node);
  return shape == matrix ? rows : insert(graph, kReshape, rows, shape, node);
}

// Winograd's convolutions multiply with a transformed kernel, made anew in every step.
void transform_kernel(Graph& graph, int i, bool flipped) {
  const Node like = graph.nodes[i];
  const Shape shape = winograd_kernel_shape(graph.shape(like.inputs[1]), flipped);
  const int node = append(graph, kConv2dWinogradKernel, {like.inputs[1]}, {{"flipped", int64_t{flipped}}}, like);
  graph.nodes[i].inputs[1] = add_output(graph, node, shape, DType::kFloat32, Layout::kPanels);
  graph.nodes[i].attrs.set("winograd", int64_t{1});
}

// conv2d_grad_input and conv2d_transpose multiply with the flipped kernel, by Winograd's way also transformed, made
// anew in every step.
void flip_kernel(Graph& graph, int i, const KernelTable& kernels) {
  const Shape w = graph.shape(graph.nodes[i].inputs[1]);
  Attrs attrs = graph.nodes[i].attrs;
  attrs.set("images", graph.shape(graph.nodes[i].outputs[0]));
  attrs.set("window", Shape(w.begin(), w.end() - 2));
  attrs.set("filters", w.back());
  graph.nodes[i].attrs = attrs;
  const ConvShape shape = conv_shape(attrs.ints("images"), kernel_window(w), w.back(), attrs);
  if (kernels.winograd && suits_winograd(grad_input_shape(shape))) return transform_kernel(graph, i, true);
  const int64_t channels = w[w.size() - 2], taps = panel_rows(w) / channels;
  const Node like = graph.nodes[i];
  Attrs geometry;
  for (const char* name : {"strides", "dilation", "padding", "images"}) geometry.set(name, attrs.ints(name));
  const int flip = append(graph, kConv2dFlipKernel, {like.inputs[1]}, geometry, like);
  graph.nodes[i].inputs[1] = add_output(graph, flip, {panel_size(taps * w.back(), channels)}, DType::kFloat32);
}

// The gradient of a small kernel, or by Winograd's way: partial sums over runs of images, then their sum with the
// update.
void split_grad_kernel(Graph& graph, int i, const KernelTable& kernels) {
  const ConvShape shape = conv_shape_of_grad_kernel(graph, graph.nodes[i]);
  const bool winograd = kernels.winograd && grad_kernel_suits_winograd(shape);
  const int64_t groups = conv2d_grad_kernel_groups(shape, winograd);
  if (groups <= 1 && !winograd) return;
  const Node node = graph.nodes[i];
  Shape w = node.attrs.ints("window");
  w.push_back(graph.shape(node.inputs[0]).back());
  w.push_back(graph.shape(node.inputs[1]).back());
  Attrs geometry;
  for (const char* name : {"strides", "dilation", "padding", "window", "pool"})
    geometry.set(name, node.attrs.ints(name));
  geometry.set("winograd", int64_t{winograd});
  std::vector<ValueId> operands(node.inputs.begin(), node.inputs.begin() + std::min<size_t>(3, node.inputs.size()));
  const int partials = append(graph, kConv2dGradKernelPartials, operands, geometry, node);
  std::vector<ValueId> inputs = {add_output(graph, partials, {groups, panel_size(w)}, DType::kFloat32)};
  if (node.inputs.size() > 3) inputs.insert(inputs.end(), node.inputs.begin() + 3, node.inputs.end());
  graph.nodes[i].op = &kSumPartials;
  graph.nodes[i].inputs = inputs;
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

// The reshape of a reshape is one of what that was made from, often nothing at all: between two recurrent or dense
// layers sequences (N*T, F) become (N, T, F) and (N*T, F) again.
void skip_inner_reshapes(Graph& graph, int i) {
  for (;;) {
    const Node* inner = graph.producer(graph.nodes[i].inputs[0]);
    if (!inner || inner->op != &kReshape) return;
    graph.nodes[i].inputs[0] = inner->inputs[0];
  }
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

void add_loads(Graph& graph, const Bindings& bindings) {
  Node like;
  like.order = -1;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueId v = graph.inputs[i];
    like.layer = graph.value(v).name.empty() ? concat("input ", i) : graph.value(v).name;
    const int node = append(graph, kLoadBatch, {},
                            {{"binding", address(&bindings.inputs[i])}, {"order", address(bindings.order)}}, like);
    graph.nodes[node].outputs = {v};
    graph.values[v].source = Value::Source::kNode;
    graph.values[v].producer = node;
  }
}

void legalize(Graph& graph, const std::vector<ValueId>& outputs, const Bindings& bindings, const KernelTable& kernels) {
  // Stores are nodes of the graph from here on.
  Node like;
  like.layer = "output";
  like.order = static_cast<int>(graph.nodes.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    append(graph, kStoreBatch, {outputs[i]}, {{"binding", address(&bindings.outputs[i])}}, like);
    // A change of layout moves a variable: it must not happen after its address was taken.
    if (const auto& variable = graph.value(outputs[i]).variable) variable->settle_layout(Layout::kRows);
  }

  const Uses uses(graph, outputs);
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
    if (op == &kDenseGradInput && kernels.transposes_dy) {
      const Shape dy = graph.shape(graph.nodes[i].inputs[0]);
      const ValueId transposed =
          insert(graph, kTransposeRows, graph.nodes[i].inputs[0], {dy[1], dy[0]}, graph.nodes[i]);
      graph.nodes[i].inputs[0] = transposed;
    }
    if (op == &kConv2d && goes_winograd(graph, graph.nodes[i], kernels))
      transform_kernel(graph, static_cast<int>(i), false);
    if (op == &kConv2dGradInput || op == &kConv2dTranspose) flip_kernel(graph, static_cast<int>(i), kernels);
    if (op == &kConv2dGradKernel) split_grad_kernel(graph, static_cast<int>(i), kernels);
    if (op == &kBatchNorm) split_batch_norm(graph, static_cast<int>(i));
    // What only backward needs is not stored where nobody asks for it: the last results of a recurrent op, and the
    // places of the maxima.
    if (is_recurrent(op)) {
      std::vector<ValueId>& results = graph.nodes[i].outputs;
      while (results.size() > kRecurrentResults && uses.nodes_of(results.back()).empty()) results.pop_back();
    }
    if (op == &kMaxPool2d && uses.nodes_of(graph.nodes[i].outputs[1]).empty()) graph.nodes[i].outputs.resize(1);
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
      if (converted == 0 || !shared) converted = convert_layout(graph, in, wanted, graph.nodes[i]);
      graph.nodes[i].inputs[k] = converted;
    }
  }

  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!graph.nodes[i].removed && graph.nodes[i].op == &kReshape) skip_inner_reshapes(graph, static_cast<int>(i));
  }
  remove_dead(graph, outputs);
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
