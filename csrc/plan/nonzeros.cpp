// Zeros are common in images, and in what relu and dropout leave. Where a dense layer multiplies with such rows, a step
// of its own finds them, for the product and for the gradient of the kernel.
#include <map>

#include "ops/nonzeros.h"
#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

namespace {

// Below this finding the zeros costs more than leaving them out gains.
constexpr int64_t kLeastFeatures = 64, kLeastUnits = 49;

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

ValueId add_bits(Graph& graph, int node, int64_t words) {
  Value bits;
  bits.shape = {words}, bits.dtype = DType::kInt32, bits.producer = node;
  graph.values.push_back(std::move(bits));
  const ValueId id = static_cast<ValueId>(graph.values.size()) - 1;
  graph.nodes[node].outputs.push_back(id);
  return id;
}

void add_reader(Node& node, ValueId bits) {
  node.attrs.set("nonzeros", static_cast<int64_t>(node.inputs.size()));
  node.inputs.push_back(bits);
}

}  // namespace

void find_nonzeros(Graph& graph, const KernelTable& kernels) {
  if (!kernels.find_nonzeros.run) return;
  std::map<ValueId, int> finder_of;  // of the matrices that are read
  const int n = static_cast<int>(graph.nodes.size());
  for (int i = 0; i < n; ++i) {
    if (graph.nodes[i].removed || graph.nodes[i].op != &kDense) continue;
    const ValueId x = graph.nodes[i].inputs[0];
    const Shape shape = graph.shape(x);
    if (!may_have_zeros(graph, x) || shape[1] < kLeastFeatures) continue;
    if (graph.shape(graph.nodes[i].inputs[1])[1] < kLeastUnits) continue;
    if (finder_of.count(x) == 0) {
      Node finder;
      finder.op = &kFindNonzeros;
      finder.inputs = {x};
      finder.layer = graph.nodes[i].layer, finder.order = graph.nodes[i].order;
      graph.nodes.push_back(std::move(finder));
      finder_of[x] = static_cast<int>(graph.nodes.size()) - 1;
      add_bits(graph, finder_of[x], 2 * shape[0] * ((shape[1] + kRowBits - 1) / kRowBits));
    }
    add_reader(graph.nodes[i], graph.nodes[finder_of[x]].outputs[0]);
  }
  for (int i = 0; i < n; ++i) {
    if (graph.nodes[i].removed || graph.nodes[i].op != &kDenseGradKernel) continue;
    const ValueId x = graph.nodes[i].inputs[0];
    const auto finder = finder_of.find(x);
    if (finder == finder_of.end()) continue;
    const Shape shape = graph.shape(x);
    if (graph.nodes[finder->second].outputs.size() == 1)
      add_bits(graph, finder->second, (shape[0] + kColumnBits - 1) / kColumnBits * round_up(shape[1], kPanel));
    add_reader(graph.nodes[i], graph.nodes[finder->second].outputs[1]);
  }
}

}  // namespace weft
