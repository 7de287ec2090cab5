// What changes from run to run, in the device's memory: the step state, and where the kernels find the arrays
// that a user feeds and receives. A device with memory of its own gets copies of these arrays.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/device.h"
#include "ops/shuffle.h"
#include "plan/passes.h"

namespace weft {

// The part of a user's array that a run reads or writes. Row 0 of the whole array is `skip` bytes before `data`.
struct UserArray {
  void* data;
  DType dtype;
  int64_t bytes, skip;
  bool on_device = false;  // already in the device's memory
};

// Which rows of the inputs make up an epoch: those of a user's array (end or more), or of a permutation that the device
// draws; neither is their own order.
struct RowOrder {
  const int32_t* rows = nullptr;
  std::optional<Permutation> drawn;
};

class RunMemory {
 public:
  RunMemory(Device& device, size_t inputs, size_t outputs);

  const Bindings& bindings() const { return bindings_; }
  StepState* state() const { return bindings_.state; }

  // Before a run, first: lets `state` take its learning rates, (steps) or null, from the device's memory.
  void bind_learning_rates(StepState& state, const float* rates, int64_t steps);
  // Then: steps read the rows state.row to end of the epoch.
  void bind(const StepState& state, const std::vector<UserArray>& inputs, const std::vector<UserArray>& outputs,
            const RowOrder& order, int64_t end);
  // After it.
  StepState read_state() const;
  // What the completed steps have written, and nothing else.
  void read_outputs(const std::vector<UserArray>& outputs, int64_t completed, int64_t steps) const;

 private:
  float* at_least(std::unique_ptr<Buffer>& buffer, int64_t bytes);
  const int32_t* order_on_device(const RowOrder& order, int64_t begin, int64_t end);
  void* on_device(std::unique_ptr<Buffer>& copy, const void* data, int64_t bytes);

  Device& device_;
  size_t n_inputs_, n_outputs_;
  Buffer memory_;            // StepState, order, end, then the bindings
  std::vector<char> image_;  // what it gets before a run
  Bindings bindings_;
  std::vector<std::unique_ptr<Buffer>> input_copies_, output_copies_;
  std::unique_ptr<Buffer> order_, rates_copy_;
};

}  // namespace weft
