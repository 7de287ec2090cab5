// Batches that only products read are not copied: the kernels take float32 rows from the data set itself, and
// the largest kernel gradient of a step fetches the rows of the next one.
#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

namespace {

// A kernel gradient copies the columns it needs to a buffer for this many rows.
constexpr int64_t kLongestBatch = 512;

int64_t address(const void* p) { return static_cast<int64_t>(reinterpret_cast<intptr_t>(p)); }

// Collects the products that read v as x, also through reshapes that keep its rows; false if anything else
// reads it.
bool collect_products(const Graph& graph, const Uses& uses, ValueId v, std::vector<int>& products) {
  if (uses.is_output(v)) return false;
  for (int user : uses.nodes_of(v)) {
    const Node& node = graph.nodes[user];
    if (node.op == &kReshape) {
      const Shape& to = graph.shape(node.outputs[0]);
      if (to.size() < 2 || to[0] != graph.shape(v)[0]) return false;
      if (!collect_products(graph, uses, node.outputs[0], products)) return false;
    } else if (node.op == &kDense || node.op == &kDenseGradKernel) {
      if (node.inputs[0] != v || node.inputs[1] == v) return false;
      products.push_back(user);
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

void read_batches_in_place(Graph& graph, const std::vector<ValueId>& outputs, Bindings& bindings,
                           const StepState& state) {
  const Uses uses(graph, outputs);
  bindings.batches.resize(bindings.inputs.size());
  int largest_load = -1;
  int64_t largest_batch = 0;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].removed || graph.nodes[i].op != &kLoadBatch) continue;
    const ValueId v = graph.nodes[i].outputs[0];
    const Value& batch = graph.value(v);
    if (batch.shape.size() < 2 || element_count(batch.shape) == 0) continue;
    const int64_t rows = batch.shape[0], row_size = element_count(batch.shape) / rows;
    BatchRows& where = bindings.batches[batch.input_index];
    where = {&bindings.inputs[batch.input_index], &bindings.order, &bindings.end, &state, rows, row_size};
    if (rows * row_size > largest_batch) largest_load = i, largest_batch = rows * row_size;

    std::vector<int> products;
    // Rows a multiple of 1 KiB apart would meet in few sets of L1.
    const bool fits = batch.dtype == DType::kFloat32 && rows <= kLongestBatch && row_size % 256 != 0;
    if (!fits || graph.nodes[i].attrs.has("scale") || !collect_products(graph, uses, v, products)) continue;
    graph.nodes[i].attrs.set("in_place", int64_t{1});
    for (int product : products) {
      graph.nodes[product].attrs.set("batch", address(&where));
      graph.nodes[product].attrs.set("in_place", int64_t{1});
    }
  }

  int kernel = -1;
  int64_t largest_kernel = 0;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (node.removed || node.op != &kDenseGradKernel || !node.attrs.has("rule")) continue;
    const int64_t size = element_count(graph.shape(node.inputs[2]));
    if (size > largest_kernel) kernel = i, largest_kernel = size;
  }
  if (kernel < 0 || largest_load < 0) return;
  Attrs& attrs = graph.nodes[kernel].attrs;
  const int input = graph.value(graph.nodes[largest_load].outputs[0]).input_index;
  // A kernel that reads one batch in place cannot fetch another: there is only one slot.
  const int64_t largest = address(&bindings.batches[input]);
  if (attrs.has("batch") && attrs.integer("batch") != largest) return;
  attrs.set("batch", largest);
  attrs.set("prefetch_next", int64_t{1});
}

}  // namespace weft
