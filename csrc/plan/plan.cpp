#include "plan/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "ops/op_table.h"

namespace weft {

// Below this a phase is not worth handing out: another thread needs about half of it to take a tile and
// report it done.
static constexpr double kSerialPhaseNanoseconds = 1500;

Plan::Plan(Device& device, const Graph& graph, std::vector<ValueId> outputs, bool fuse_ops)
    : device_(device),
      graph_(graph),
      outputs_(std::move(outputs)),
      run_memory_(device, graph_.inputs.size(), outputs_.size()) {
  for (ValueId v : graph_.inputs) input_values_.push_back(graph_.value(v));
  for (ValueId v : outputs_) output_values_.push_back(graph_.value(v));
  if (!input_values_.empty() && !input_values_[0].shape.empty()) batch_ = input_values_[0].shape[0];

  remove_dead(graph_, outputs_);
  settle_layouts(graph_);
  fold_constants(graph_);
  add_loads(graph_, run_memory_.bindings());
  remove_dead(graph_, outputs_);
  if (fuse_ops) {
    fuse(graph_, outputs_, device_.kernels());
    if (device_.uses_host_memory()) prefetch_next_batch(graph_, run_memory_.bindings(), next_batch_);
  }
  legalize(graph_, outputs_, run_memory_.bindings(), device_.kernels());
  if (fuse_ops) find_nonzeros(graph_, device_.kernels());
  for (const Node& node : graph_.nodes) updates_ = updates_ || (!node.removed && node.op == &kUpdateScalars);

  phase_of_node_ = schedule(graph_);
  memory_ = plan_memory(graph_, phase_of_node_);
  arena_ = std::make_unique<Buffer>(device_, static_cast<size_t>(memory_.size) * sizeof(float));
  fill_constants();
  lower();
}

void Plan::fill_constants() {
  constant_offset_.assign(graph_.values.size(), -1);
  int64_t size = 0;
  for (size_t v = 0; v < graph_.values.size(); ++v) {
    if (graph_.values[v].source != Value::Source::kConstant) continue;
    constant_offset_[v] = size;
    size += round_up(storage_of(graph_.values[v]), 64 / sizeof(float));
  }
  constants_ = std::make_unique<Buffer>(device_, static_cast<size_t>(size) * sizeof(float));
  std::vector<float> storage(size, 0.0f);
  for (size_t v = 0; v < graph_.values.size(); ++v) {
    if (constant_offset_[v] < 0) continue;
    const Value& value = graph_.values[v];
    const RowLayout r = row_layout(value.shape);
    for (int64_t row = 0; row < r.rows && r.row_size > 0; ++row) {
      std::memcpy(storage.data() + constant_offset_[v] + row * r.stride, value.constant.data() + row * r.row_size,
                  static_cast<size_t>(r.row_size) * sizeof(float));
    }
  }
  device_.copy_in(constants_->floats(), storage.data(), storage.size() * sizeof(float));
}

void* Plan::address_of(ValueId v) const {
  v = alias_root(graph_, v);
  const Value& value = graph_.value(v);
  if (value.source == Value::Source::kVariable) return value.variable->data();
  if (value.source == Value::Source::kConstant) return constants_->floats() + constant_offset_[v];
  check(memory_.offset[v] >= 0, "internal error: value ", v, " has no place in the arena");
  return arena_->floats() + memory_.offset[v];
}

void Plan::lower() {
  const int threads = device_.threads();
  int n_phases = 0;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!graph_.nodes[i].removed) n_phases = std::max(n_phases, phase_of_node_[i] + 1);
  }
  program_.phases.assign(n_phases, {});
  program_.work = 0;
  step_nodes_.assign(n_phases, {});
  std::vector<double> phase_work(n_phases, 0);
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (node.removed || node.op->is_alias) continue;
    check(node.op->lower != nullptr, "internal error: '", node.op->name, "' was not lowered");
    LowerContext context{graph_,
                         node,
                         device_.kernels(),
                         threads,
                         device_.uses_host_memory(),
                         run_memory_.state(),
                         [this](ValueId v) { return address_of(v); },
                         {},
                         0,
                         0};
    node.op->lower(context);
    context.step.changes_state = node.op->has_effect || node.attrs.has("rule");
    program_.phases[phase_of_node_[i]].steps.push_back(context.step);
    phase_work[phase_of_node_[i]] += context.work;
    step_nodes_[phase_of_node_[i]].push_back({static_cast<int>(i), context.flops});
  }
  for (size_t p = 0; p < program_.phases.size(); ++p) {
    program_.phases[p].distribute(threads);
    program_.phases[p].serial = phase_work[p] < kSerialPhaseNanoseconds || program_.phases[p].tiles.size() == 1;
    if (!program_.phases[p].serial) program_.work += phase_work[p];  // what other threads could take over
  }
  program_.state = run_memory_.state();
  program_.batch = batch_;
  program_.updates = updates_;
  program_.compiled = nullptr;
  lowered_for_threads_ = threads;
}

void Plan::bind(const Request& request) {
  check(request.inputs.size() == input_values_.size(), "the plan takes ", input_values_.size(), " inputs, got ",
        request.inputs.size());
  check(request.outputs.size() == outputs_.size(), "the plan gives ", outputs_.size(), " outputs, got ",
        request.outputs.size());
  if (device_.threads() != lowered_for_threads_) lower();
  StepState state = *request.state;
  state.row = request.start;
  state.abort_step = 0;
  run_memory_.bind_learning_rates(state, request.learning_rates, request.steps);
  run_memory_.bind(state, request.inputs, request.outputs, request.order, request.start + request.steps * batch_);
}

int64_t Plan::run(const Request& request) {
  std::lock_guard lock(mutex_);
  bind(request);
  if (request.steps <= 0) return 0;
  if (program_.phases.empty()) return request.steps;
  program_.steps = request.steps;
  program_.poll = request.poll;
  device_.run(program_);
  *request.state = run_memory_.read_state();
  const int64_t completed = (request.state->row - request.start) / batch_;
  request.state->row = 0;
  request.state->learning_rates = nullptr;
  run_memory_.read_outputs(request.outputs, completed, request.steps);
  return completed;
}

std::string Plan::find_nonfinite(const Request& request) {
  std::lock_guard lock(mutex_);
  bind(request);
  // What nobody reads may be a kernel's own buffer, and hold anything.
  std::vector<bool> read(graph_.values.size(), false);
  for (const Node& node : graph_.nodes) {
    if (node.removed) continue;
    for (ValueId in : node.inputs) {
      if (in != kNoValue) read[in] = true;
    }
  }
  for (size_t p = 0; p < program_.phases.size(); ++p) {
    const Phase& phase = program_.phases[p];
    for (size_t s = 0; s < phase.steps.size(); ++s) {
      const Node& node = graph_.nodes[step_nodes_[p][s].node];
      // What follows the check of the loss may change variables and is not run.
      if (node.op->has_effect || node.attrs.has("rule")) continue;
      device_.run_alone(phase.steps[s]);
      for (ValueId out : node.outputs) {
        const Value& value = graph_.value(out);
        if (!read[out] || value.dtype != DType::kFloat32 || value.layout == Layout::kPanels) continue;
        const RowLayout r = row_layout(value.shape);
        std::vector<float> host(storage_of(value));
        device_.copy_out(host.data(), address_of(out), host.size() * sizeof(float));
        for (int64_t i = 0; i < r.rows * r.row_size; ++i) {
          if (!std::isfinite(host[i / r.row_size * r.stride + i % r.row_size])) {
            return concat(node.layer.empty() ? "the loss" : node.layer, " (", node.op->name, ")");
          }
        }
      }
    }
  }
  return "";
}

std::vector<double> Plan::profile(const Request& request, int repeats) {
  using Clock = std::chrono::steady_clock;
  std::lock_guard lock(mutex_);
  bind(request);
  std::vector<std::vector<double>> seconds;
  for (int r = 0; r < repeats; ++r) {
    size_t index = 0;
    for (const Phase& phase : program_.phases) {
      for (const Step& step : phase.steps) {
        const auto begin = Clock::now();
        device_.run_alone(step);
        if (index == seconds.size()) seconds.emplace_back();
        seconds[index++].push_back(std::chrono::duration<double>(Clock::now() - begin).count());
      }
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& times : seconds) {
    std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
    medians.push_back(times[times.size() / 2]);
  }
  return medians;
}

std::vector<StepInfo> Plan::describe() const {
  std::vector<StepInfo> infos;
  for (size_t p = 0; p < program_.phases.size(); ++p) {
    for (size_t s = 0; s < step_nodes_[p].size(); ++s) {
      const Node& node = graph_.nodes[step_nodes_[p][s].node];
      StepInfo info{static_cast<int>(p),
                    node.op->name,
                    node.layer,
                    {},
                    0,
                    -1,
                    step_nodes_[p][s].flops,
                    program_.phases[p].steps[s].n_tiles};
      if (!node.outputs.empty()) {
        const Value& value = graph_.value(node.outputs[0]);
        info.shape = value.shape;
        info.bytes = storage_of(value) * static_cast<int64_t>(sizeof(float));
        info.offset = memory_.offset[node.outputs[0]] * static_cast<int64_t>(sizeof(float));
      } else if (!node.inputs.empty()) {
        // A fused update makes a new value of its variable.
        info.shape = graph_.shape(node.inputs[std::max(0, updated_input(node))]);
      }
      for (const char* extra : {"fn", "rule"}) {
        if (node.attrs.has(extra) && info.kernel != "update_scalars") info.kernel += "+" + node.attrs.text(extra);
      }
      if (node.attrs.number("rate") > 0 && info.kernel != "dropout") info.kernel += "+dropout";
      infos.push_back(std::move(info));
    }
  }
  return infos;
}

int64_t Plan::flops() const {
  int64_t total = 0;
  for (const auto& phase : step_nodes_) {
    for (const StepNode& step : phase) total += step.flops;
  }
  return total;
}

}  // namespace weft
