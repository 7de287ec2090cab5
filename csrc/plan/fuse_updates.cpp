// The rules for optimizers and the loss: penalties and updates join what makes the gradient, the checks and sums of the
// loss join its making. And the order in which all rules run.
#include <cmath>

#include "plan/fuser.h"

namespace weft {

// The gradient of a penalty on the kernel itself: c * d(w^2)/dw or c * d|w|/dw added to its gradient.
void Fuser::penalty_into_update(int update) {
  if (!is(update, kUpdate)) return;
  const Attrs& attrs = node(update).attrs;
  if (attrs.real("clip_value") > 0 || attrs.flag("has_grad_scale")) return;  // those see the whole gradient
  const int add = producer(node(update).inputs[1]);
  if (!is(add, kBinary) || node(add).attrs.text("fn") != "add" || only_user(node(add).outputs[0]) != update) return;
  for (int side = 0; side < 2; ++side) {
    const int penalty = producer(node(add).inputs[side]);
    if (!is(penalty, kUnaryGrad) || node(penalty).inputs[1] != node(update).inputs[0]) continue;
    const std::optional<float> factor = graph_.value(node(penalty).inputs[0]).uniform();
    const UnaryFn fn = fn_of(penalty);
    if (!factor || (fn != UnaryFn::kSquare && fn != UnaryFn::kAbs)) continue;
    if (written_between(node(update).inputs[0], node(penalty).order, node(update).order)) continue;
    const char* name = fn == UnaryFn::kSquare ? "l2" : "l1";
    node(update).attrs.set(name, node(update).attrs.number(name) + *factor);
    node(update).inputs[1] = node(add).inputs[1 - side];
    node(add).removed = true;
    return penalty_into_update(update);
  }
}

// The optimizer in the epilogue of the kernel that makes the gradient, which then is never stored.
void Fuser::update_into_gradient(int update) {
  if (!is(update, kUpdate)) return;
  const ValueId variable = node(update).inputs[0], grad = node(update).inputs[1];
  const int maker = producer(grad);
  if (only_user(grad) != update) return;
  const bool product = is(maker, kDenseGradKernel) || is(maker, kConv2dGradKernel);
  const bool kernel = product && graph_.value(variable).variable->layout() == Layout::kPanels;
  if (!kernel && !is(maker, kDenseGradBias)) return;
  if (node(maker).attrs.has("rule")) return;
  // The maker will read its operands where the update stands on the tape: fine for values, not for variables.
  for (ValueId operand : node(maker).inputs) {
    if (is_variable(operand)) return;
  }
  if (is(maker, kConv2dGradKernel)) node(maker).inputs.resize(3, kNoValue);  // places of maxima, or none
  node(maker).inputs.push_back(variable);
  node(maker).inputs.insert(node(maker).inputs.end(), node(update).inputs.begin() + 2, node(update).inputs.end());
  node(maker).attrs.merge(node(update).attrs);
  node(maker).outputs.clear();
  node(maker).order = node(update).order;
  graph_.values[grad].producer = -1;
  node(update).removed = true;
}

// The loss is a weighted sum of the cross-entropies of the rows: they can be checked as they are made.
void Fuser::finite_check_into_cross_entropy(int check) {
  if (!is(check, kCheckFinite)) return;
  ValueId v = node(check).inputs[0];
  for (;;) {
    const int p = producer(v);
    if (is(p, kSoftmaxCrossEntropyWithGrad) || is(p, kSoftmaxCrossEntropy)) {
      node(p).attrs.set("check_finite", int64_t{1});
      node(check).removed = true;
      return;
    }
    const bool scaled = is(p, kUnary) && (fn_of(p) == UnaryFn::kAffine || fn_of(p) == UnaryFn::kNegative);
    const bool summed = is(p, kReduce) && (node(p).attrs.text("fn") == "sum" || node(p).attrs.text("fn") == "mean");
    if (scaled || summed) {
      v = node(p).inputs[0];
      continue;
    }
    // Sample weights were checked when they were handed in.
    if (!is(p, kBinary) || node(p).attrs.text("fn") != "multiply") return;
    auto known_finite = [&](ValueId w) {
      return graph_.value(w).source == Value::Source::kConstant || is(producer(w), kLoadBatch);
    };
    const ValueId a = node(p).inputs[0], b = node(p).inputs[1];
    if (known_finite(a))
      v = b;
    else if (known_finite(b))
      v = a;
    else
      return;
  }
}

// The epoch adds up mean(v) * n over batches of n: the sum of v, which needs no step of its own.
void Fuser::mean_into_accumulate(int accumulate) {
  if (!is(accumulate, kAccumulate) || node(accumulate).inputs.size() != 2) return;
  const std::optional<float> weight = graph_.value(node(accumulate).inputs[1]).uniform();
  if (!weight || element_count(graph_.shape(node(accumulate).inputs[1])) != 1) return;
  ValueId v = node(accumulate).inputs[0];
  double factor = *weight;
  while (is(producer(v), kUnary) && fn_of(producer(v)) == UnaryFn::kAffine && node(producer(v)).attrs.real("b") == 0) {
    factor *= node(producer(v)).attrs.number("a");
    v = node(producer(v)).inputs[0];
  }
  const int reduce = producer(v);
  if (!is(reduce, kReduce) || element_count(graph_.shape(v)) != 1) return;
  const ValueId rows = node(reduce).inputs[0];
  const double n = static_cast<double>(element_count(graph_.shape(rows)));
  const std::string fn = node(reduce).attrs.text("fn");
  if (graph_.shape(rows).size() != 1 || static_cast<double>(*weight) != n) return;
  if (!((fn == "mean" && factor == n) || (fn == "sum" && std::abs(factor - 1.0) < 1e-6))) return;
  node(accumulate).inputs = {rows};
}

void Fuser::run() {
  each(&Fuser::bias_into_dense);
  each(&Fuser::rescaling_into_load);
  each(&Fuser::cross_entropy_with_its_gradient);
  each(&Fuser::reshape_behind_elementwise);
  each(&Fuser::normalization_into_product);
  each(&Fuser::activation_into_product);
  each(&Fuser::pooling_into_conv2d);
  each(&Fuser::reshape_behind_elementwise);
  each(&Fuser::dropout_into_product);
  each(&Fuser::activation_gradient_into_grad_input);
  each(&Fuser::dropout_gradient_into_grad_input);
  each(&Fuser::penalty_into_update);
  each(&Fuser::update_into_gradient);
  each(&Fuser::finite_check_into_cross_entropy);
  each(&Fuser::mean_into_accumulate);
}

void fuse(Graph& graph, const std::vector<ValueId>& outputs, const KernelTable& kernels) {
  Fuser(graph, outputs, kernels).run();
  remove_dead(graph, outputs);
}

}  // namespace weft
