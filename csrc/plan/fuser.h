// Fusion: what one kernel can do in one pass over its data. A fused node produces the value of the last
// op it has swallowed; nothing here changes what is computed, and Plan(fuse=False) leaves it all out.
// fuse.cpp has the rules for products and what surrounds them, fuse_updates.cpp those for optimizers and the loss.
#pragma once

#include "ops/op_table.h"
#include "ops/specs.h"
#include "plan/passes.h"

namespace weft {

class Fuser {
 public:
  Fuser(Graph& graph, const std::vector<ValueId>& outputs, const KernelTable& kernels)
      : graph_(graph), outputs_(outputs), kernels_(kernels) {}
  void run();

 private:
  // Products and what surrounds them.
  void bias_into_dense(int add);
  void rescaling_into_load(int affine);
  void cross_entropy_with_its_gradient(int grad);
  void reshape_behind_elementwise(int op);
  void normalization_into_product(int norm);
  void activation_into_product(int unary);
  void pooling_into_conv2d(int pool);
  void dropout_into_product(int drop);
  void activation_gradient_into_grad_input(int act_grad);
  void dropout_gradient_into_grad_input(int drop_grad);
  // Optimizers and the loss.
  void penalty_into_update(int update);
  void update_into_gradient(int update);
  void finite_check_into_cross_entropy(int check);
  void mean_into_accumulate(int accumulate);

  void each(void (Fuser::*rule)(int)) {
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (!graph_.nodes[i].removed) (this->*rule)(i);
    }
  }
  Node& node(int i) { return graph_.nodes[i]; }
  bool is(int i, const OpDef& op) { return i >= 0 && !node(i).removed && node(i).op == &op; }
  bool is_product(int i) { return is(i, kDense) || is(i, kConv2d) || is(i, kConv2dTranspose); }
  bool is_grad_input(int i) { return is(i, kDenseGradInput) || is(i, kConv2dGradInput); }
  // Nothing has been fused into that gradient yet but, perhaps, pooling.
  bool is_plain_grad_input(int i) { return is_grad_input(i) && !node(i).attrs.has("fn") && !node(i).attrs.has("rate"); }
  int producer(ValueId v) { return v == kNoValue ? -1 : graph_.value(v).producer; }
  int only_user(ValueId v) { return Uses(graph_, outputs_).only_user(v); }
  ValueId new_value(Shape shape, int producer) {
    Value v;
    v.shape = std::move(shape), v.producer = producer;
    graph_.values.push_back(std::move(v));
    return static_cast<ValueId>(graph_.values.size()) - 1;
  }
  // `into` now produces what `swallowed` did.
  void swallow(int into, int swallowed) {
    node(into).outputs[0] = node(swallowed).outputs[0];
    graph_.values[node(into).outputs[0]].producer = into;
    node(swallowed).removed = true;
  }
  UnaryFn fn_of(int i) { return unary_spec(node(i).attrs).fn; }
  void copy_activation(int from, int to) {
    for (const char* name : {"a", "b", "c"}) node(to).attrs.set(name, node(from).attrs.number(name));
    node(to).attrs.set("fn", node(from).attrs.text("fn"));
  }
  void copy_dropout(int from, int to) {
    node(to).attrs.set("rate", node(from).attrs.number("rate"));
    node(to).attrs.set("stream", node(from).attrs.integer("stream"));
  }
  void set_saved(int grad_input, ValueId saved) {
    std::vector<ValueId>& inputs = node(grad_input).inputs;
    inputs.resize(is(grad_input, kConv2dGradInput) ? 4 : 3, kNoValue);
    inputs.back() = saved;
  }

  bool depends_on(ValueId v, int target);
  bool written_between(ValueId v, int from, int to);
  bool is_variable(ValueId v) {
    return v != kNoValue && graph_.value(alias_root(graph_, v)).source == Value::Source::kVariable;
  }
  std::vector<int> readers(const Uses& uses, ValueId v);

  Graph& graph_;
  const std::vector<ValueId>& outputs_;
  const KernelTable& kernels_;
};

}  // namespace weft
