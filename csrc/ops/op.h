// What an op is to the plan: a shape rule, a gradient rule that records further ops, and the lowering to
// one kernel call. Every op has one OpDef; op_table.cpp lists them all.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/step_state.h"
#include "plan/graph.h"

namespace weft {

struct ValueSpec {
  Shape shape;
  DType dtype = DType::kFloat32;
  Layout layout = Layout::kRows;
};

struct InferContext;
struct GradientContext;
struct LowerContext;

struct OpDef {
  const char* name;
  std::vector<ValueSpec> (*infer)(const InferContext&);
  void (*gradient)(GradientContext&) = nullptr;  // null: not differentiable, gradients stop here
  void (*lower)(LowerContext&) = nullptr;        // null: an alias, which needs no kernel
  // Ops whose only effect is on variables, sums or the step's fate.
  bool has_effect = false;
  bool is_alias = false;  // the output is the input's memory
  // An output that may take the memory of an input of its shape, if nothing else needs that any more.
  struct InPlace {
    int output = -1, input = -1;
  };
  InPlace in_place = {};
};

// What a shape rule sees. Errors are thrown with fail(...), which puts the layer's name in front.
struct InferContext {
  const Graph& graph;
  const std::vector<ValueId>& inputs;
  const Attrs& attrs;
  std::string layer;
  std::string op;

  size_t count() const { return inputs.size(); }
  const Shape& shape(int i) const { return graph.shape(inputs.at(i)); }
  DType dtype(int i) const { return graph.value(inputs.at(i)).dtype; }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    weft::fail(layer.empty() ? op : layer, ": ", parts...);
  }
  template <class... Parts>
  void check(bool condition, const Parts&... parts) const {
    if (!condition) fail(parts...);
  }
  void expect_inputs(size_t least, size_t most) const {
    check(count() >= least && count() <= most, "expects ", least, least == most ? "" : " or more", " inputs, got ",
          count());
  }
  void expect_float(int i) const {
    check(dtype(i) == DType::kFloat32, "expects float32 values, got int32; cast them first");
  }
};

// What a gradient rule sees: dy is the gradient of the node's output; it sets the gradient of each input
// that is wanted.
struct GradientContext {
  Graph& graph;
  Node node;  // a copy: recording moves the tape's nodes
  ValueId dy;
  std::vector<bool> wanted;
  std::vector<ValueId> result;

  ValueId input(int i) const { return node.inputs.at(i); }
  ValueId output() const { return node.outputs.at(0); }
  ValueId record(const std::string& kind, std::vector<ValueId> inputs, Attrs attrs = {}) {
    return graph.record(kind, std::move(inputs), std::move(attrs), node.layer);
  }
  // x summed over the axes along which `shape` was broadcast to x's shape.
  ValueId sum_to_shape(ValueId x, Shape shape);  // a copy: recording moves the tape's values
};

// What lowering sees: pointers are final.
struct LowerContext {
  const Graph& graph;
  const Node& node;
  const KernelTable& kernels;
  int threads;
  bool on_host;  // whether the device computes in the host's memory
  const StepState* state;
  std::function<void*(ValueId)> address;
  Step step;          // to be filled, by call()
  double work = 0;    // rough nanoseconds on one thread
  int64_t flops = 0;  // of matrix products

  const Shape& shape(int i) const { return graph.shape(node.inputs.at(i)); }
  const Shape& out_shape(int i = 0) const { return graph.shape(node.outputs.at(i)); }
  bool has(size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNoValue; }
  const float* in(int i) const { return static_cast<const float*>(address(node.inputs.at(i))); }
  float* mutable_in(int i) const { return static_cast<float*>(address(node.inputs.at(i))); }
  float* out(int i = 0) const { return static_cast<float*>(address(node.outputs.at(i))); }
  StepState* mutable_state() const { return const_cast<StepState*>(state); }

  template <class Args>
  void call(const Kernel<Args>& kernel, const Args& args, double nanoseconds) {
    check(kernel.run != nullptr, "this device has no kernel for '", node.op->name, "'");
    step = step_of(kernel, args, threads);
    work = nanoseconds;
  }
};

const OpDef* find_op(const std::string& name);

}  // namespace weft
