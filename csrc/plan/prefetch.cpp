// The largest kernel gradient of a step, the last kernel to run, fetches the rows of the next batch; without
// one (in predict) it is the largest product.
#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

void prefetch_next_batch(Graph& graph, const Bindings& bindings, BatchRows& rows) {
  int kernel = -1, product = -1;
  int64_t largest_kernel = 0, largest_product = 0, largest_batch = 0;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (node.removed) continue;
    if (node.op == &kLoadBatch) {
      const Value& batch = graph.value(node.outputs[0]);
      const int64_t size = element_count(batch.shape);
      if (batch.shape.size() < 2 || size <= largest_batch) continue;
      largest_batch = size;
      rows = {&bindings.inputs[batch.input_index],
              bindings.order,
              bindings.end,
              bindings.state,
              batch.shape[0],
              size / batch.shape[0]};
    }
    if (node.op == &kDense) {
      const int64_t size = element_count(graph.shape(node.inputs[1]));
      if (size > largest_product) product = i, largest_product = size;
    }
    if (node.op == &kDenseGradKernel && node.attrs.has("rule")) {
      const int64_t size = element_count(graph.shape(node.inputs[2]));
      if (size > largest_kernel) kernel = i, largest_kernel = size;
    }
  }
  if (kernel < 0) kernel = product;
  if (kernel < 0 || largest_batch == 0) return;
  graph.nodes[kernel].attrs.set("prefetch", static_cast<int64_t>(reinterpret_cast<intptr_t>(&rows)));
}

}  // namespace weft
