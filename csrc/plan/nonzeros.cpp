// Zeros are common in images, in what relu and dropout leave, and in what comes back through them. Where a dense layer
// multiplies with such rows, a step of its own finds them, for the product and for both gradients.
#include "ops/nonzeros.h"

#include <map>
#include <set>

#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

namespace {

// Below this finding the zeros costs more than leaving them out gains.
constexpr int64_t kLeastFeatures = 64, kLeastUnits = 49;
// And below this transposing x for the kernel's gradient costs as much as it gains.
constexpr int64_t kLeastRowsTransposed = 64, kLeastUnitsTransposed = 400;

int64_t words_of(const Shape& x) { return (x[1] + kRowBits - 1) / kRowBits; }

// Whether zeros may be common in v: in what was loaded, what relu or dropout made, and what only moves or picks those.
bool may_have_zeros(const Graph& graph, ValueId v) {
  for (;;) {
    const Node* producer = graph.producer(v);
    if (!producer || graph.value(v).dtype != DType::kFloat32) return false;
    if (producer->op == &kLoadBatch) return true;
    if (producer->attrs.text("fn") == "relu" || producer->attrs.number("rate") > 0) return true;
    if (!producer->op->is_alias && producer->op != &kReshapeCopy && producer->op != &kMaxPool2d) return false;
    v = producer->inputs[0];
  }
}

// Behind the three inputs that a product may have.
void add_inputs(Node& node, std::initializer_list<ValueId> more) {
  node.inputs.resize(3, kNoValue);
  node.inputs.insert(node.inputs.end(), more);
}

// The variables that a step leaves as they are.
class Constants {
 public:
  explicit Constants(const Graph& graph) : graph_(graph) {
    for (const Node& node : graph.nodes) {
      if (node.removed) continue;
      for (ValueId v : written_variables(node)) written_.insert(alias_root(graph, v));
    }
  }
  bool contains(ValueId v) const {
    const ValueId root = alias_root(graph_, v);
    return graph_.value(root).source == Value::Source::kVariable && written_.count(root) == 0;
  }

 private:
  const Graph& graph_;
  std::set<ValueId> written_;
};

// The nodes that find zeros, one for each matrix, and those that transpose it.
class Finders {
 public:
  explicit Finders(Graph& graph) : graph_(graph) {}

  // Row bits of x (m, k), a factor of `reader`'s product with n columns; kNoValue where it is not worth while.
  ValueId row_bits(int reader, ValueId x, int64_t n) {
    const Shape shape = graph_.shape(x);
    if (shape[1] < kLeastFeatures || n < kLeastUnits || !may_have_zeros(graph_, x)) return kNoValue;
    if (node_of_.count(x) == 0) {
      const Node like = graph_.nodes[reader];  // append moves the nodes
      node_of_[x] = append(graph_, kFindNonzeros, {x}, {}, like);
      add_output(graph_, node_of_[x], {2 * (shape[0] + 1) * words_of(shape)}, DType::kInt32);
    }
    return graph_.nodes[node_of_[x]].outputs[0];
  }

  // Column bits of x, where there are row bits.
  ValueId column_bits(ValueId x) {
    const auto found = node_of_.find(x);
    if (found == node_of_.end()) return kNoValue;
    const Shape shape = graph_.shape(x);
    const int64_t rows = (shape[0] + kColumnBits - 1) / kColumnBits;
    if (graph_.nodes[found->second].outputs.size() == 1)
      add_output(graph_, found->second, {rows * round_up(shape[1], kPanel) + words_of(shape)}, DType::kInt32);
    return graph_.nodes[found->second].outputs[1];
  }

  // x^T (k, m), or kNoValue where it is not worth while: for `reader`'s gradient of a kernel with n columns.
  ValueId columns(int reader, ValueId x, int64_t n) {
    const Shape shape = graph_.shape(x);
    if (shape[0] < kLeastRowsTransposed || n < kLeastUnitsTransposed) return kNoValue;
    if (transpose_of_.count(x) == 0) {
      const Node like = graph_.nodes[reader];  // append moves the nodes
      transpose_of_[x] = append(graph_, kTransposeRows, {x}, {}, like);
      add_output(graph_, transpose_of_[x], {shape[1], shape[0]}, DType::kFloat32);
    }
    return graph_.nodes[transpose_of_[x]].outputs[0];
  }

 private:
  Graph& graph_;
  std::map<ValueId, int> node_of_, transpose_of_;
};

}  // namespace

void find_nonzeros(Graph& graph, const KernelTable& kernels) {
  if (!kernels.find_nonzeros.run) return;
  Finders finders(graph);
  const Constants constants(graph);
  const int n = static_cast<int>(graph.nodes.size());
  for (int i = 0; i < n; ++i) {
    const Node node = graph.nodes[i];  // a copy: finders move the nodes
    if (node.removed) continue;
    if (node.op == &kDense) {
      const ValueId bits = finders.row_bits(i, node.inputs[0], graph.shape(node.inputs[1])[1]);
      if (bits == kNoValue) continue;
      add_inputs(graph.nodes[i], {bits});
      if (constants.contains(node.inputs[1])) graph.nodes[i].attrs.set("w_stays", int64_t{1});
    }
    const Node* transpose = node.op == &kDenseGradInput ? graph.producer(node.inputs[0]) : nullptr;
    if (transpose && transpose->op == &kTransposeRows) {
      const ValueId dy = transpose->inputs[0];
      const ValueId bits = finders.row_bits(i, dy, graph.shape(node.inputs[1])[0]);
      if (bits == kNoValue) continue;
      add_inputs(graph.nodes[i], {bits, dy});
    }
  }
  for (int i = 0; i < n; ++i) {
    if (graph.nodes[i].removed || graph.nodes[i].op != &kDenseGradKernel) continue;
    const ValueId x = graph.nodes[i].inputs[0], dy = graph.nodes[i].inputs[1];
    const ValueId bits = finders.column_bits(x);
    if (bits == kNoValue) continue;
    const ValueId columns = finders.columns(i, x, graph.shape(dy)[1]);
    Node& node = graph.nodes[i];
    node.attrs.set("column_bits", static_cast<int64_t>(node.inputs.size()));
    node.inputs.insert(node.inputs.end(), {bits, columns});
  }
}

}  // namespace weft
