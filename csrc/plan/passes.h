// What happens to a graph between recording and lowering. Each pass rewrites the graph in place; removed
// nodes stay in the list, marked.
#pragma once

#include "core/step_state.h"
#include "ops/copy.h"
#include "ops/kernel_table.h"
#include "plan/graph.h"

namespace weft {

// Where loads and stores find, at run time, the arrays that a user feeds and receives: addresses in the
// device's memory.
struct Bindings {
  Binding* inputs;        // as many as the graph has
  Binding* outputs;       // as many as the plan has
  const int32_t** order;  // (end) the rows of the epoch, or null
  int64_t* end;           // rows of the epoch
  StepState* state;
};

// Removes nodes that reach neither an output nor an effect.
void remove_dead(Graph& graph, const std::vector<ValueId>& outputs);

// Computes what depends on constants alone.
void fold_constants(Graph& graph);

// Gives every variable its layout: panels where it is the kernel of a matrix product.
void settle_layouts(Graph& graph);

// Puts a load in front of every input that is used.
void add_loads(Graph& graph, const Bindings& bindings);

// Joins ops that one kernel can do together: see docs/architecture.md for the list.
void fuse(Graph& graph, const std::vector<ValueId>& outputs, const KernelTable& kernels);

// Lets the largest kernel gradient, or product, of a step fetch the rows of the next batch, which it finds
// in `batch`.
void prefetch_next_batch(Graph& graph, const Bindings& bindings, BatchRows& batch);

// Makes every node one call of a kernel: stores, layouts, reshapes, transposes.
void legalize(Graph& graph, const std::vector<ValueId>& outputs, const Bindings& bindings, const KernelTable& kernels);

// Finds the zeros of what dense layers and their gradients multiply with, on devices that leave them out. Needs the
// nodes as legalize leaves them.
void find_nonzeros(Graph& graph, const KernelTable& kernels);

// Phase of every node (-1 for removed nodes and aliases): as early as data and variables allow.
std::vector<int> schedule(const Graph& graph);

// Offset in floats of every value that lives in the arena (-1 for others), and the arena's size.
struct MemoryPlan {
  std::vector<int64_t> offset;
  std::vector<int> first_phase, last_phase;
  int64_t size = 0;
};
MemoryPlan plan_memory(const Graph& graph, const std::vector<int>& phase_of_node);

// Shared by the passes.
class Uses {
 public:
  Uses(const Graph& graph, const std::vector<ValueId>& outputs);
  const std::vector<int>& nodes_of(ValueId v) const { return users_[v]; }
  // The only node that reads v, or -1; a plan's output counts as a reader.
  int only_user(ValueId v) const { return users_[v].size() == 1 && !is_output_[v] ? users_[v][0] : -1; }
  bool is_output(ValueId v) const { return is_output_[v]; }

 private:
  std::vector<std::vector<int>> users_;
  std::vector<bool> is_output_;
};
// A new node, with the layer and the place on the tape of `like`; returns its index.
int append(Graph& graph, const OpDef& op, std::vector<ValueId> inputs, Attrs attrs, const Node& like);
// A further output of a node.
ValueId add_output(Graph& graph, int node, Shape shape, DType dtype, Layout layout = Layout::kRows);
// Floats that a value occupies.
int64_t storage_of(const Value& value);
// The variables that a node writes.
std::vector<ValueId> written_variables(const Node& node);
// The value whose memory v shares.
ValueId alias_root(const Graph& graph, ValueId v);

}  // namespace weft
