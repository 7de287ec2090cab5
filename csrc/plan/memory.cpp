// One arena for all values of a step. Two values may share memory when no phase has both alive.
#include <algorithm>

#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

MemoryPlan plan_memory(const Graph& graph, const std::vector<int>& phase_of_node) {
  const size_t n = graph.values.size();
  MemoryPlan plan;
  plan.offset.assign(n, -1);
  plan.first_phase.assign(n, -1);
  plan.last_phase.assign(n, -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.removed || node.op->is_alias) continue;
    const int phase = phase_of_node[i];
    for (ValueId out : node.outputs) {
      plan.first_phase[out] = phase;
      plan.last_phase[out] = std::max(plan.last_phase[out], phase);
    }
    for (ValueId in : node.inputs) {
      if (in == kNoValue) continue;
      const ValueId root = alias_root(graph, in);
      plan.last_phase[root] = std::max(plan.last_phase[root], phase);
    }
  }

  std::vector<ValueId> live;
  for (size_t v = 0; v < n; ++v) {
    if (plan.first_phase[v] >= 0 && graph.values[v].source == Value::Source::kNode)
      live.push_back(static_cast<ValueId>(v));
  }
  auto size_of = [&](ValueId v) { return round_up(storage_of(graph.values[v]), 64 / sizeof(float)); };
  // The largest first, each at the lowest place that is free during its whole life.
  std::stable_sort(live.begin(), live.end(), [&](ValueId a, ValueId b) { return size_of(a) > size_of(b); });
  std::vector<ValueId> placed;
  for (ValueId v : live) {
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (ValueId other : placed) {
      if (plan.first_phase[other] <= plan.last_phase[v] && plan.first_phase[v] <= plan.last_phase[other]) {
        taken.push_back({plan.offset[other], plan.offset[other] + size_of(other)});
      }
    }
    std::sort(taken.begin(), taken.end());
    int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + size_of(v) <= begin) break;
      offset = std::max(offset, end);
    }
    plan.offset[v] = offset;
    plan.size = std::max(plan.size, offset + size_of(v));
    placed.push_back(v);
  }
  return plan;
}

}  // namespace weft
