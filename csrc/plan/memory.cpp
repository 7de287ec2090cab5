// One arena for all values of a step. Two values may share memory when no phase has both alive, or when the kernel that
// makes the one from the other can work in place.
#include <algorithm>

#include "ops/op_table.h"
#include "plan/passes.h"

namespace weft {

namespace {

// For each value, the one whose memory it takes over in place, or kNoValue.
std::vector<ValueId> taken_over(const Graph& graph, const std::vector<int>& phase_of_node, const MemoryPlan& plan) {
  const size_t n = graph.values.size();
  std::vector<ValueId> source(n, kNoValue);
  std::vector<bool> taken(n, false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const OpDef::InPlace& in_place = node.op->in_place;
    if (node.removed || in_place.output < 0 || static_cast<size_t>(in_place.output) >= node.outputs.size()) continue;
    const ValueId out = node.outputs[in_place.output], in = alias_root(graph, node.inputs[in_place.input]);
    const Value &x = graph.value(in), &y = graph.value(out);
    if (x.source != Value::Source::kNode || x.shape != y.shape || x.layout != y.layout || taken[in]) continue;
    if (plan.last_phase[in] != phase_of_node[i]) continue;
    bool only_reader = true;  // in that phase
    for (size_t k = 0; k < graph.nodes.size() && only_reader; ++k) {
      const Node& other = graph.nodes[k];
      if (other.removed || other.op->is_alias || phase_of_node[k] != phase_of_node[i]) continue;
      int reads = 0;
      for (ValueId v : other.inputs) reads += v != kNoValue && alias_root(graph, v) == in;
      only_reader = reads == (k == i ? 1 : 0);
    }
    if (only_reader) source[out] = in, taken[in] = true;
  }
  return source;
}

}  // namespace

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

  // What is handed on lives as long as what it becomes.
  const std::vector<ValueId> source = taken_over(graph, phase_of_node, plan);
  auto origin = [&](ValueId v) {
    while (source[v] != kNoValue) v = source[v];
    return v;
  };
  for (size_t v = 0; v < n; ++v) {
    const ValueId first = origin(static_cast<ValueId>(v));
    plan.last_phase[first] = std::max(plan.last_phase[first], plan.last_phase[v]);
  }

  std::vector<ValueId> live;
  for (size_t v = 0; v < n; ++v) {
    if (plan.first_phase[v] >= 0 && graph.values[v].source == Value::Source::kNode && source[v] == kNoValue)
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
  for (size_t v = 0; v < n; ++v) {
    if (source[v] != kNoValue) plan.offset[v] = plan.offset[origin(static_cast<ValueId>(v))];
  }
  return plan;
}

}  // namespace weft
