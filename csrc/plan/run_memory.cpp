#include "plan/run_memory.h"

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

}  // namespace

RunMemory::RunMemory(Device& device, size_t inputs, size_t outputs)
    : device_(device),
      n_inputs_(inputs),
      n_outputs_(outputs),
      memory_(device, size_of_memory(inputs + outputs)),
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
                     const std::vector<UserArray>& outputs, const int32_t* order, int64_t end) {
  std::vector<char> image(size_of_memory(n_inputs_ + n_outputs_));
  const auto place = [](void* data, const UserArray& array) {
    // The address of row 0, which may lie before everything that is there.
    return Binding{reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(data) - static_cast<uintptr_t>(array.skip)),
                   array.dtype};
  };
  Head head{state, order, end};
  if (order && !device_.uses_host_memory()) {
    const int64_t bytes = end * static_cast<int64_t>(sizeof(int32_t));
    head.order = static_cast<const int32_t*>(on_device(order_copy_, order, bytes));
    device_.copy_in(const_cast<int32_t*>(head.order), order, static_cast<size_t>(bytes));
  }
  std::memcpy(image.data(), &head, sizeof(head));
  std::vector<Binding> bound;
  for (size_t i = 0; i < n_inputs_; ++i) {
    void* data = inputs[i].data;
    if (!inputs[i].on_device) data = on_device(input_copies_[i], data, inputs[i].bytes);
    if (data != inputs[i].data) device_.copy_in(data, inputs[i].data, static_cast<size_t>(inputs[i].bytes));
    bound.push_back(place(data, inputs[i]));
  }
  for (size_t i = 0; i < n_outputs_; ++i) {
    bound.push_back(place(on_device(output_copies_[i], outputs[i].data, outputs[i].bytes), outputs[i]));
  }
  if (!bound.empty()) std::memcpy(image.data() + sizeof(Head), bound.data(), bound.size() * sizeof(Binding));
  device_.copy_in(memory_.floats(), image.data(), image.size());
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
