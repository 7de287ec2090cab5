#include "plan/run_memory.h"

#include <algorithm>
#include <cstring>

namespace weft {

namespace {

// The head of the memory; n_inputs + n_outputs bindings follow it.
struct Head {
  StepState state;
  const int32_t* order;
  int64_t end;
};

size_t size_of_memory(size_t bindings) { return sizeof(Head) + bindings * sizeof(Binding); }

// Where an array would begin whose bytes from `skip` on are at `data`.
void* start_of(const void* data, int64_t skip) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(data) - static_cast<uintptr_t>(skip));
}

}  // namespace

RunMemory::RunMemory(Device& device, size_t inputs, size_t outputs)
    : device_(device),
      n_inputs_(inputs),
      n_outputs_(outputs),
      memory_(device, size_of_memory(inputs + outputs)),
      image_(size_of_memory(inputs + outputs)),
      input_copies_(inputs),
      output_copies_(outputs) {
  // Addresses only: the memory may be the device's alone.
  char* const memory = reinterpret_cast<char*>(memory_.floats());
  Binding* const first = reinterpret_cast<Binding*>(memory + sizeof(Head));
  bindings_.inputs = first;
  bindings_.outputs = first + inputs;
  bindings_.order = reinterpret_cast<const int32_t**>(memory + offsetof(Head, order));
  bindings_.end = reinterpret_cast<int64_t*>(memory + offsetof(Head, end));
  bindings_.state = reinterpret_cast<StepState*>(memory + offsetof(Head, state));
}

float* RunMemory::at_least(std::unique_ptr<Buffer>& buffer, int64_t bytes) {
  if (!buffer || buffer->bytes() < static_cast<size_t>(bytes)) {
    buffer.reset();  // before the larger one is asked for
    buffer = std::make_unique<Buffer>(device_, static_cast<size_t>(bytes));
  }
  return buffer->floats();
}

void* RunMemory::on_device(std::unique_ptr<Buffer>& copy, const void* data, int64_t bytes) {
  return device_.uses_host_memory() ? const_cast<void*>(data) : at_least(copy, bytes);
}

const int32_t* RunMemory::order_on_device(const RowOrder& order, int64_t begin, int64_t end) {
  if (!order.drawn && (!order.rows || device_.uses_host_memory())) return order.rows;
  const int64_t count = end - begin, size = sizeof(int32_t);
  // Room for all that an epoch may ask for: nothing is allocated within one.
  const int64_t room = order.drawn ? std::max<int64_t>(order.drawn->size, count) : count;
  auto* const rows = reinterpret_cast<int32_t*>(at_least(order_, room * size));
  if (order.drawn) {
    device_.run_alone(step_of(device_.kernels().shuffle, ShuffleArgs{rows, begin, count, *order.drawn}, 1));
  } else {
    device_.copy_in(rows, order.rows + begin, static_cast<size_t>(count * size));
  }
  return static_cast<const int32_t*>(start_of(rows, begin * size));
}

void RunMemory::bind_learning_rates(StepState& state, const float* rates, int64_t steps) {
  state.learning_rates = nullptr;
  if (!rates || steps == 0) return;
  state.learning_rate = rates[0];
  if (steps == 1) return;
  // One more than is used: the state moves on after the last step, too.
  std::vector<float> next(rates + 1, rates + steps);
  next.push_back(rates[steps - 1]);
  const size_t bytes = next.size() * sizeof(float);
  float* const copy = at_least(rates_copy_, static_cast<int64_t>(bytes));
  device_.copy_in(copy, next.data(), bytes);
  state.learning_rates = copy;
}

void RunMemory::bind(const StepState& state, const std::vector<UserArray>& inputs,
                     const std::vector<UserArray>& outputs, const RowOrder& order, int64_t end) {
  const Head head{state, order_on_device(order, state.row, end), end};
  std::memcpy(image_.data(), &head, sizeof(head));
  char* next = image_.data() + sizeof(head);
  const auto place = [&](const void* data, const UserArray& array) {
    const Binding binding{start_of(data, array.skip), array.dtype};
    std::memcpy(next, &binding, sizeof(binding));
    next += sizeof(binding);
  };
  for (size_t i = 0; i < n_inputs_; ++i) {
    void* data = inputs[i].data;
    if (!inputs[i].on_device) data = on_device(input_copies_[i], data, inputs[i].bytes);
    if (data != inputs[i].data) device_.copy_in(data, inputs[i].data, static_cast<size_t>(inputs[i].bytes));
    place(data, inputs[i]);
  }
  for (size_t i = 0; i < n_outputs_; ++i) {
    place(on_device(output_copies_[i], outputs[i].data, outputs[i].bytes), outputs[i]);
  }
  device_.copy_in(memory_.floats(), image_.data(), image_.size());
}

StepState RunMemory::read_state() const {
  StepState state;
  device_.copy_out(&state, bindings_.state, sizeof(state));
  return state;
}

void RunMemory::read_outputs(const std::vector<UserArray>& outputs, int64_t completed, int64_t steps) const {
  for (size_t i = 0; i < n_outputs_; ++i) {
    const int64_t bytes = outputs[i].bytes / steps * completed;
    if (device_.uses_host_memory() || bytes == 0) continue;
    device_.copy_out(outputs[i].data, output_copies_[i]->floats(), static_cast<size_t>(bytes));
  }
}

}  // namespace weft
