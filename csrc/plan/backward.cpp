// Reverse accumulation over the tape: every op's gradient rule records further ops.
#include "ops/op.h"
#include "plan/graph.h"

namespace weft {

std::vector<ValueId> Graph::gradients(ValueId loss, const std::vector<ValueId>& wanted) {
  for (ValueId v : wanted) check(v >= 0 && v < static_cast<ValueId>(values.size()), "there is no value ", v);
  check(element_count(shape(loss)) == 1, "gradients need a scalar loss, got shape ", shape(loss));
  const int n_nodes = static_cast<int>(nodes.size());
  const int n_values = static_cast<int>(values.size());

  // Which values lie between something wanted and the loss.
  std::vector<bool> depends(n_values, false);
  for (ValueId v : wanted) depends[v] = true;
  for (const Node& node : nodes) {
    bool any = false;
    for (ValueId in : node.inputs) any = any || depends[in];
    for (ValueId out : node.outputs) depends[out] = depends[out] || any;
  }

  std::vector<ValueId> gradient(n_values, kNoValue);
  const int64_t n = element_count(shape(loss));
  gradient[loss] = constant(shape(loss), DType::kFloat32, std::vector<float>(n, 1.0f));
  for (int i = n_nodes - 1; i >= 0; --i) {
    const Node node = nodes[i];
    if (!node.op->gradient || node.outputs.empty()) continue;
    const ValueId dy = gradient[node.outputs[0]];
    if (dy == kNoValue || !depends[node.outputs[0]]) continue;
    GradientContext context{*this, node, dy, {}, std::vector<ValueId>(node.inputs.size(), kNoValue)};
    for (ValueId in : node.inputs) context.wanted.push_back(depends[in]);
    node.op->gradient(context);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId in = node.inputs[k], part = context.result[k];
      if (part == kNoValue || !depends[in]) continue;
      gradient[in] = gradient[in] == kNoValue
                         ? part
                         : record("binary", {gradient[in], part}, {{"fn", std::string("add")}}, node.layer);
    }
  }

  std::vector<ValueId> result;
  for (ValueId v : wanted) result.push_back(gradient[v]);
  return result;
}

}  // namespace weft
