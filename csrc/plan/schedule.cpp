// Phases: a node runs in the first phase in which everything it depends on is done.
#include <algorithm>
#include <map>

#include "ops/op_table.h"
#include "ops/specs.h"
#include "plan/passes.h"

namespace weft {

// The first input of an assignment; the variable and the slots of an update, which follow what a fused one multiplies
// or sums.
std::vector<ValueId> written_variables(const Node& node) {
  if (node.op == &kAssign) return {node.inputs[0]};
  const int variable = updated_input(node);
  if (variable < 0) return {};
  const auto slots = node.inputs.begin() + (node.op == &kUpdate ? 2 : variable + 1);
  std::vector<ValueId> written(slots, slots + slot_count(update_rule(node.attrs.text("rule"))));
  written.push_back(node.inputs[variable]);
  return written;
}

std::vector<int> schedule(const Graph& graph) {
  const int n = static_cast<int>(graph.nodes.size());
  std::vector<std::vector<int>> before(n);
  std::vector<int> checks, writers;
  struct Access {
    int node, order;
    bool write;
  };
  std::map<ValueId, std::vector<Access>> accesses;

  for (int i = 0; i < n; ++i) {
    const Node& node = graph.nodes[i];
    if (node.removed) continue;
    for (ValueId in : node.inputs) {
      if (in != kNoValue && graph.value(in).producer >= 0) before[i].push_back(graph.value(in).producer);
    }
    const std::vector<ValueId> written = written_variables(node);
    for (ValueId in : node.inputs) {
      if (in == kNoValue) continue;
      const ValueId root = alias_root(graph, in);
      if (graph.value(root).source != Value::Source::kVariable) continue;
      const bool write = std::find(written.begin(), written.end(), root) != written.end();
      accesses[root].push_back({i, node.order, write});
    }
    if (node.op == &kCheckFinite || node.attrs.flag("check_finite")) checks.push_back(i);
    if (!written.empty() || node.op == &kAccumulate) writers.push_back(i);
  }
  // What the tape has before a write of a variable stays before it, what it has after stays after.
  for (const auto& [variable, list] : accesses) {
    for (const Access& a : list) {
      for (const Access& b : list) {
        if (a.node != b.node && (a.write || b.write) && a.order < b.order) before[b.node].push_back(a.node);
      }
    }
  }
  // No variable changes, and nothing is added up, before the loss is known to be finite.
  for (int check : checks) {
    for (int writer : writers) before[writer].push_back(check);
  }

  std::vector<int> phase(n, -1);
  std::vector<int> state(n, 0);
  std::vector<std::pair<int, size_t>> stack;
  for (int root = 0; root < n; ++root) {
    if (graph.nodes[root].removed || state[root]) continue;
    stack.push_back({root, 0});
    state[root] = 1;
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      if (next < before[node].size()) {
        const int dependency = before[node][next++];
        check(state[dependency] != 1, "internal error: the plan has a cycle at '", graph.nodes[node].op->name, "'");
        if (state[dependency] == 0) {
          state[dependency] = 1;
          stack.push_back({dependency, 0});
        }
        continue;
      }
      int latest = -1;
      for (int dependency : before[node]) latest = std::max(latest, phase[dependency]);
      // An alias is no work: it is there as soon as its source is.
      phase[node] = graph.nodes[node].op->is_alias ? latest : latest + 1;
      state[node] = 2;
      stack.pop_back();
    }
  }
  return phase;
}

}  // namespace weft
