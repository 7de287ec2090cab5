// Fusion: what one kernel can do in one pass over its data. A fused node produces the value of the last
// op it has swallowed; nothing here changes what is computed, and Plan(fuse=False) leaves it all out.
#include <cmath>

#include "ops/op_table.h"
#include "ops/specs.h"
#include "plan/passes.h"

namespace weft {

namespace {

class Fuser {
 public:
  Fuser(Graph& graph, const std::vector<ValueId>& outputs) : graph_(graph), outputs_(outputs) {}

  void run() {
    each(&Fuser::bias_into_dense);
    each(&Fuser::rescaling_into_load);
    each(&Fuser::cross_entropy_with_its_gradient);
    each(&Fuser::activation_into_dense);
    each(&Fuser::dropout_into_dense);
    each(&Fuser::activation_gradient_into_grad_input);
    each(&Fuser::dropout_gradient_into_grad_input);
    each(&Fuser::penalty_into_update);
    each(&Fuser::update_into_gradient);
    each(&Fuser::finite_check_into_cross_entropy);
    each(&Fuser::mean_into_accumulate);
  }

 private:
  void each(void (Fuser::*rule)(int)) {
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (!graph_.nodes[i].removed) (this->*rule)(i);
    }
  }
  Node& node(int i) { return graph_.nodes[i]; }
  bool is(int i, const OpDef& op) { return i >= 0 && !node(i).removed && node(i).op == &op; }
  int producer(ValueId v) { return v == kNoValue ? -1 : graph_.value(v).producer; }
  int only_user(ValueId v) { return Uses(graph_, outputs_).only_user(v); }
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

  // x W + b, where b was added by an op of its own.
  void bias_into_dense(int add) {
    if (!is(add, kBinary) || node(add).attrs.text("fn") != "add") return;
    for (int side = 0; side < 2; ++side) {
      const ValueId product = node(add).inputs[side], bias = node(add).inputs[1 - side];
      const int dense = producer(product);
      if (!is(dense, kDense) || node(dense).inputs.size() != 2 || only_user(product) != add) continue;
      if (graph_.shape(bias) != Shape{graph_.shape(product)[1]}) continue;
      if (graph_.value(bias).source != Value::Source::kVariable) continue;
      if (written_between(bias, node(dense).order, node(add).order)) continue;
      node(dense).inputs.push_back(bias);
      return swallow(dense, add);
    }
  }

  // Rescaling the input: x*a + b while the batch is gathered.
  void rescaling_into_load(int affine) {
    if (!is(affine, kUnary) || fn_of(affine) != UnaryFn::kAffine) return;
    ValueId v = node(affine).inputs[0];
    int user = affine;
    while (is(producer(v), kReshape) && only_user(v) == user) {
      user = producer(v);
      v = node(user).inputs[0];
    }
    const int load = producer(v);
    if (!is(load, kLoadBatch) || only_user(v) != user || graph_.value(v).dtype != DType::kFloat32) return;
    if (node(load).attrs.has("scale")) return;
    node(load).attrs.set("scale", node(affine).attrs.number("a"));
    node(load).attrs.set("offset", node(affine).attrs.number("b"));
    node(affine).op = &kStopGradient;  // an alias
  }

  bool depends_on(ValueId v, int target) {
    std::vector<bool> seen(graph_.nodes.size(), false);
    std::vector<int> pending = {producer(v)};
    while (!pending.empty()) {
      const int p = pending.back();
      pending.pop_back();
      if (p == target) return true;
      if (p < 0 || seen[p]) continue;
      seen[p] = true;
      for (ValueId in : node(p).inputs) pending.push_back(producer(in));
    }
    return false;
  }
  // Whether the tape changes a variable between two of its places: reads of it must not move across.
  bool written_between(ValueId variable, int from, int to) {
    for (const Node& n : graph_.nodes) {
      if (n.removed || (n.op != &kAssign && n.op != &kUpdate) || n.order <= from || n.order >= to) continue;
      for (ValueId in : n.inputs) {
        if (in == variable) return true;
      }
    }
    return false;
  }
  bool is_variable(ValueId v) { return graph_.value(alias_root(graph_, v)).source == Value::Source::kVariable; }

  void cross_entropy_with_its_gradient(int grad) {
    if (!is(grad, kSoftmaxCrossEntropyGrad)) return;
    for (int i = 0; i < grad; ++i) {
      if (!is(i, kSoftmaxCrossEntropy) || node(i).inputs[0] != node(grad).inputs[0] ||
          node(i).inputs[1] != node(grad).inputs[1] ||
          node(i).attrs.number("smoothing") != node(grad).attrs.number("smoothing") ||
          depends_on(node(grad).inputs[2], i)) {
        continue;
      }
      node(i).op = &kSoftmaxCrossEntropyWithGrad;
      node(i).inputs.push_back(node(grad).inputs[2]);
      node(i).outputs.push_back(node(grad).outputs[0]);
      graph_.values[node(grad).outputs[0]].producer = i;
      node(grad).removed = true;
      return;
    }
  }

  // act(x W + b), if nothing else needs the value before the activation.
  void activation_into_dense(int unary) {
    if (!is(unary, kUnary)) return;
    const int dense = producer(node(unary).inputs[0]);
    if (!is(dense, kDense) || node(dense).attrs.has("fn") || only_user(node(unary).inputs[0]) != unary) return;
    copy_activation(unary, dense);
    swallow(dense, unary);
  }

  // dropout(act(x W + b)). The value before dropout is then gone, so the gradient of the activation, if
  // it is on the tape, must be one that grad_input can take from the value after dropout.
  void dropout_into_dense(int drop) {
    if (!is(drop, kDropout)) return;
    const ValueId y = node(drop).inputs[0];
    const int dense = producer(y);
    if (!is(dense, kDense) || node(dense).attrs.has("rate")) return;
    const Uses uses(graph_, outputs_);
    if (uses.is_output(y)) return;
    const std::vector<int> users = uses.nodes_of(y);
    if (users.size() == 1) {
      copy_dropout(drop, dense);
      return swallow(dense, drop);
    }
    if (users.size() != 2) return;
    const int act_grad = users[0] == drop ? users[1] : users[0];
    if (!is(act_grad, kUnaryGrad) || node(act_grad).inputs[1] != y || !derivative_uses_value(fn_of(act_grad))) return;
    const int drop_grad = producer(node(act_grad).inputs[0]);
    if (!is(drop_grad, kDropout) || uses.only_user(node(drop_grad).outputs[0]) != act_grad ||
        node(drop_grad).attrs.integer("stream") != node(drop).attrs.integer("stream")) {
      return;
    }
    const int grad_input = producer(node(drop_grad).inputs[0]);
    if (!is(grad_input, kDenseGradInput) || node(grad_input).inputs.size() != 2 ||
        uses.only_user(node(grad_input).outputs[0]) != drop_grad) {
      return;
    }
    copy_activation(act_grad, grad_input);
    copy_dropout(drop, grad_input);
    node(grad_input).inputs.push_back(node(drop).outputs[0]);
    node(drop_grad).removed = true;
    swallow(grad_input, act_grad);
    copy_dropout(drop, dense);
    swallow(dense, drop);
  }

  void activation_gradient_into_grad_input(int act_grad) {
    if (!is(act_grad, kUnaryGrad) || !derivative_uses_value(fn_of(act_grad))) return;
    const ValueId dy = node(act_grad).inputs[0];
    const int grad_input = producer(dy);
    if (!is(grad_input, kDenseGradInput) || node(grad_input).inputs.size() != 2 || only_user(dy) != act_grad) return;
    copy_activation(act_grad, grad_input);
    node(grad_input).inputs.push_back(node(act_grad).inputs[1]);
    swallow(grad_input, act_grad);
  }

  // Dropout on its own, or after a linear layer: the mask alone.
  void dropout_gradient_into_grad_input(int drop_grad) {
    if (!is(drop_grad, kDropout)) return;
    const ValueId dy = node(drop_grad).inputs[0];
    const int grad_input = producer(dy);
    if (!is(grad_input, kDenseGradInput) || node(grad_input).inputs.size() != 2 || only_user(dy) != drop_grad) return;
    if (node(grad_input).attrs.has("rate")) return;  // one mask at a time
    copy_dropout(drop_grad, grad_input);
    swallow(grad_input, drop_grad);
  }

  // The gradient of a penalty on the kernel itself: c * d(w^2)/dw or c * d|w|/dw added to its gradient.
  void penalty_into_update(int update) {
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
      if (only_user(node(penalty).outputs[0]) < 0) node(penalty).removed = true;
      return penalty_into_update(update);
    }
  }

  // The optimizer in the epilogue of the kernel that makes the gradient, which then is never stored.
  void update_into_gradient(int update) {
    if (!is(update, kUpdate)) return;
    const ValueId variable = node(update).inputs[0], grad = node(update).inputs[1];
    const int maker = producer(grad);
    if (only_user(grad) != update) return;
    const bool kernel = is(maker, kDenseGradKernel) && graph_.value(variable).variable->layout() == Layout::kPanels;
    if (!kernel && !is(maker, kDenseGradBias)) return;
    if (node(maker).attrs.has("rule")) return;
    // The maker will read its operands where the update stands on the tape: fine for values, not for variables.
    for (ValueId operand : node(maker).inputs) {
      if (is_variable(operand)) return;
    }
    node(maker).inputs.push_back(variable);
    node(maker).inputs.insert(node(maker).inputs.end(), node(update).inputs.begin() + 2, node(update).inputs.end());
    node(maker).attrs.merge(node(update).attrs);
    node(maker).outputs.clear();
    node(maker).order = node(update).order;
    graph_.values[grad].producer = -1;
    node(update).removed = true;
  }

  // The loss is a weighted sum of the cross-entropies of the rows: they can be checked as they are made.
  void finite_check_into_cross_entropy(int check) {
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
  void mean_into_accumulate(int accumulate) {
    if (!is(accumulate, kAccumulate) || node(accumulate).inputs.size() != 2) return;
    const std::optional<float> weight = graph_.value(node(accumulate).inputs[1]).uniform();
    if (!weight || element_count(graph_.shape(node(accumulate).inputs[1])) != 1) return;
    ValueId v = node(accumulate).inputs[0];
    double factor = *weight;
    while (is(producer(v), kUnary) && fn_of(producer(v)) == UnaryFn::kAffine &&
           node(producer(v)).attrs.real("b") == 0) {
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

  Graph& graph_;
  const std::vector<ValueId>& outputs_;
};

}  // namespace

void fuse(Graph& graph, const std::vector<ValueId>& outputs) {
  Fuser(graph, outputs).run();
  remove_dead(graph, outputs);
}

}  // namespace weft
