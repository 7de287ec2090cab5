// A compiled graph: kernel calls in phases over one arena, run step after step in one native call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/step_state.h"
#include "plan/graph.h"
#include "plan/passes.h"
#include "plan/run_memory.h"

namespace weft {

// One kernel call, as describe_plan shows it.
struct StepInfo {
  int phase;
  std::string kernel, layer;
  Shape shape;     // of what it makes; of what it reads if it makes nothing
  int64_t bytes;   // of what it makes
  int64_t offset;  // of that in the arena, in bytes; -1 outside it
  int64_t flops;   // of matrix products
  int n_tiles;
};

class Plan {
 public:
  Plan(Device& device, const Graph& graph, std::vector<ValueId> outputs, bool fuse);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  Device& device() const { return device_; }
  // Rows of one step, from the first input (1 without inputs).
  int64_t batch() const { return batch_; }
  const std::vector<Value>& input_values() const { return input_values_; }
  const std::vector<Value>& output_values() const { return output_values_; }

  struct Request {
    StepState* state;
    std::vector<UserArray> inputs, outputs;
    RowOrder order;
    int64_t start, steps;
    const float* learning_rates;  // (steps), or null where the state's is that of all steps
    std::function<bool()> poll;   // true cancels after the current step
  };
  // Returns the number of completed steps. A step whose loss is not finite is not completed and changes
  // no variable; state->abort_step is then set.
  int64_t run(const Request& request);

  // Runs one step up to the check of its loss and returns "layer (kernel)" of the first non-finite value.
  std::string find_nonfinite(const Request& request);
  // Median seconds of each kernel call alone on the calling thread, in the order of describe().
  std::vector<double> profile(const Request& request, int repeats);

  std::vector<StepInfo> describe() const;
  int64_t arena_bytes() const { return static_cast<int64_t>(arena_->bytes()); }
  int64_t flops() const;

 private:
  void lower();
  void* address_of(ValueId v) const;
  void bind(const Request& request);
  void fill_constants();

  Device& device_;
  Graph graph_;
  std::vector<ValueId> outputs_;
  std::vector<Value> input_values_, output_values_;
  int64_t batch_ = 1;
  bool updates_ = false;
  std::vector<int> phase_of_node_;
  MemoryPlan memory_;
  std::unique_ptr<Buffer> arena_, constants_;
  std::vector<int64_t> constant_offset_;
  RunMemory run_memory_;
  BatchRows next_batch_{};  // see prefetch_next_batch
  Program program_;
  // The node and the numbers behind each step of each phase.
  struct StepNode {
    int node;
    int64_t flops;
  };
  std::vector<std::vector<StepNode>> step_nodes_;
  int lowered_for_threads_ = 0;
  std::mutex mutex_;
};

}  // namespace weft
