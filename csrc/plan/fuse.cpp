// The rules for products and what surrounds them: bias, activation, pooling, dropout, and their gradients.
#include <algorithm>

#include "plan/fuser.h"

namespace weft {

// x W + b, where b was added by an op of its own.
void Fuser::bias_into_dense(int add) {
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
void Fuser::rescaling_into_load(int affine) {
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

void Fuser::cross_entropy_with_its_gradient(int grad) {
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

// f(reshape(x)) becomes reshape(f(x)), so that the rules below find f next to what made x. Only where both shapes lie
// alike in memory, so that f (and the mask of a dropout) meets the same elements in the same places; an activation
// after a product does not mind.
void Fuser::reshape_behind_elementwise(int op) {
  const bool gradient = is(op, kUnaryGrad), unary = is(op, kUnary);
  if (!gradient && !unary && !is(op, kDropout)) return;
  const ValueId inner = node(op).inputs[0], outer = node(op).outputs[0];
  const int reshape = producer(inner);
  if (!is(reshape, kReshape) || only_user(inner) != op) return;
  const ValueId x = node(reshape).inputs[0];
  const Shape shape = graph_.shape(x);
  if (graph_.value(x).source != Value::Source::kNode) return;
  const bool alike = row_layout(shape) == row_layout(graph_.shape(inner));
  if (!alike && !(unary && is_product(producer(x)))) return;
  if (gradient && node(op).inputs[1] == inner) return;
  if (gradient) {
    Node saved = node(reshape);
    saved.inputs = {node(op).inputs[1]}, saved.order = node(op).order, saved.attrs.set("shape", shape);
    saved.outputs = {new_value(shape, static_cast<int>(graph_.nodes.size()))};
    node(op).inputs[1] = saved.outputs[0];
    graph_.nodes.push_back(saved);
  }
  node(op).inputs[0] = x;
  node(op).outputs = {new_value(shape, op)};
  node(reshape).inputs = node(op).outputs;
  node(reshape).outputs = {outer};
  node(reshape).attrs.set("shape", graph_.shape(outer));
  graph_.values[outer].producer = reshape;
}

// Batch normalization with given moments is a factor and a shift for each channel: they join kernel and bias, anew in
// every step, because the variables may have changed.
void Fuser::normalization_into_product(int norm) {
  if (!is(norm, kBatchNormInference)) return;
  const Node n = node(norm);
  const int product = producer(n.inputs[0]);
  if ((!is(product, kDense) && !is(product, kConv2d)) || only_user(n.inputs[0]) != norm) return;
  const Node p = node(product);
  if (p.attrs.has("fn") || p.attrs.has("pool") || p.attrs.has("rate")) return;
  std::vector<ValueId> read(p.inputs.begin() + 1, p.inputs.end());
  read.insert(read.end(), n.inputs.begin() + 1, n.inputs.end());
  for (ValueId v : read) {
    if (written_between(v, p.order, n.order)) return;
  }
  auto record = [&](const OpDef& op, std::vector<ValueId> inputs, Attrs attrs) {
    const ValueId v = graph_.record(op, std::move(inputs), std::move(attrs), n.layer);
    graph_.nodes.back().order = p.order;
    return v;
  };
  auto binary = [&](const char* fn, ValueId a, ValueId b) {
    return record(kBinary, {a, b}, {{"fn", std::string(fn)}});
  };
  const ValueId gamma = n.inputs[1], beta = n.inputs[2], mean = n.inputs[3], variance = n.inputs[4];
  const Attrs add_epsilon = {{"fn", std::string("affine")}, {"a", 1.0}, {"b", n.attrs.number("epsilon")}};
  const ValueId rstd = record(kUnary, {record(kUnary, {variance}, add_epsilon)}, {{"fn", std::string("rsqrt")}});
  const ValueId scale = binary("multiply", gamma, rstd);
  const ValueId shifted = p.inputs.size() > 2 ? binary("subtract", p.inputs[2], mean)
                                              : record(kUnary, {mean}, {{"fn", std::string("negative")}});
  const ValueId bias = binary("add", binary("multiply", shifted, scale), beta);
  node(product).inputs = {p.inputs[0], record(kScalePanels, {p.inputs[1], scale}, {}), bias};
  swallow(product, norm);
}

// pool(act(conv)), windows side by side. Where relu and max-pooling change places nothing else changes: so behind a
// relu, and in the gradient, the derivative is taken of the pooled value, and the gradients of the convolution
// put its pooled gradient back to where the maxima were.
void Fuser::pooling_into_conv2d(int pool) {
  if (!is(pool, kMaxPool2d)) return;
  const ValueId a = node(pool).inputs[0], pooled = node(pool).outputs[0], places = node(pool).outputs[1];
  const int conv = producer(a);
  const Shape window = node(pool).attrs.ints("window");
  if (!is(conv, kConv2d) || node(conv).attrs.has("rate") || node(conv).attrs.has("pool")) return;
  if (window != node(pool).attrs.ints("strides") || window == Shape{1, 1}) return;  // 1 x 1 picks nothing
  // Winograd's blocks are windows of 2 x 2; others are worth less than Winograd's way.
  if (window != Shape{2, 2} && goes_winograd(graph_, node(conv), kernels_)) return;
  for (int64_t p : node(pool).attrs.ints("padding")) {
    if (p != 0) return;
  }
  const UnaryFn fn = fn_of(conv);
  const Uses uses(graph_, outputs_);
  if ((fn != UnaryFn::kIdentity && fn != UnaryFn::kRelu) || uses.is_output(a)) return;

  // In training: the gradient of the pooling, then of the activation, then what reads that.
  const int pool_grad = uses.only_user(places);
  if (pool_grad < 0 && !uses.nodes_of(places).empty()) return;
  if (pool_grad < 0 && uses.only_user(a) != pool) return;
  if (pool_grad >= 0) {
    if (!is(pool_grad, kMaxPool2dGrad)) return;
    ValueId gradient = node(pool_grad).outputs[0];
    int act_grad = -1;
    if (fn == UnaryFn::kRelu) {
      act_grad = uses.only_user(gradient);
      if (!is(act_grad, kUnaryGrad) || node(act_grad).inputs[1] != a || fn_of(act_grad) != fn) return;
      gradient = node(act_grad).outputs[0];
    }
    for (int user : uses.nodes_of(a)) {
      if (user != pool && user != act_grad) return;
    }
    if (uses.is_output(gradient)) return;
    for (int user : uses.nodes_of(gradient)) {
      const bool kernel = is(user, kConv2dGradKernel) && node(user).inputs[1] == gradient;
      const bool input =
          is(user, kConv2dGradInput) && node(user).inputs[0] == gradient && node(user).inputs[1] != gradient;
      if (!kernel && !input && !is(user, kDenseGradBias)) return;
      if ((kernel && node(user).inputs[0] == gradient) || (!is(user, kDenseGradBias) && node(user).inputs.size() != 2))
        return;
    }
    for (int user : uses.nodes_of(gradient)) {
      if (act_grad < 0)
        std::replace(node(user).inputs.begin(), node(user).inputs.end(), gradient, node(pool_grad).inputs[0]);
      if (is(user, kDenseGradBias)) continue;
      node(user).inputs.push_back(places);
      node(user).attrs.set("pool", window);
    }
    if (act_grad >= 0) {
      node(act_grad).inputs = {node(pool_grad).inputs[0], pooled};
      graph_.values[gradient].shape = graph_.shape(pooled);
    }
    node(pool_grad).removed = true;
  }
  node(conv).attrs.set("pool", window);
  node(conv).outputs = {pooled};
  graph_.values[pooled].producer = conv;
  if (pool_grad >= 0) {
    node(conv).outputs.push_back(places);
    graph_.values[places].producer = conv;
  }
  node(pool).removed = true;
}

// act(x W + b), if nothing else needs the value before the activation.
void Fuser::activation_into_product(int unary) {
  if (!is(unary, kUnary)) return;
  const int product = producer(node(unary).inputs[0]);
  if (!is_product(product) || node(product).attrs.has("fn") || node(product).attrs.has("pool")) return;
  if (only_user(node(unary).inputs[0]) != unary) return;
  copy_activation(unary, product);
  swallow(product, unary);
}

// The nodes that read v or a reshape of it; -1 for the plan, where such a reshape is an output.
std::vector<int> Fuser::readers(const Uses& uses, ValueId v) {
  std::vector<int> found;
  for (int user : uses.nodes_of(v)) {
    if (!is(user, kReshape)) {
      found.push_back(user);
      continue;
    }
    if (uses.is_output(node(user).outputs[0])) found.push_back(-1);
    const std::vector<int> behind = readers(uses, node(user).outputs[0]);
    found.insert(found.end(), behind.begin(), behind.end());
  }
  return found;
}

// dropout(act(x W + b)). The value before dropout is then gone, so the gradient of the activation, if
// it is on the tape, must be one that grad_input can take from the value after dropout.
void Fuser::dropout_into_product(int drop) {
  if (!is(drop, kDropout)) return;
  const ValueId y = node(drop).inputs[0];
  const int product = producer(y);
  if ((!is(product, kDense) && !is(product, kConv2d)) || node(product).attrs.has("rate")) return;
  const Uses uses(graph_, outputs_);
  if (uses.is_output(y)) return;
  const std::vector<int> users = readers(uses, y);
  if (uses.only_user(y) == drop) {
    copy_dropout(drop, product);
    return swallow(product, drop);
  }
  if (users.size() != 2) return;
  const int act_grad = users[0] == drop ? users[1] : users[0];
  if (!is(act_grad, kUnaryGrad) || alias_root(graph_, node(act_grad).inputs[1]) != y) return;
  if (!derivative_uses_value(fn_of(act_grad))) return;
  const int drop_grad = producer(node(act_grad).inputs[0]);
  if (!is(drop_grad, kDropout) || uses.only_user(node(drop_grad).outputs[0]) != act_grad ||
      node(drop_grad).attrs.integer("stream") != node(drop).attrs.integer("stream")) {
    return;
  }
  const int grad_input = producer(node(drop_grad).inputs[0]);
  if (!is_plain_grad_input(grad_input) || uses.only_user(node(grad_input).outputs[0]) != drop_grad) return;
  copy_activation(act_grad, grad_input);
  copy_dropout(drop, grad_input);
  set_saved(grad_input, node(drop).outputs[0]);
  node(drop_grad).removed = true;
  swallow(grad_input, act_grad);
  copy_dropout(drop, product);
  swallow(product, drop);
}

void Fuser::activation_gradient_into_grad_input(int act_grad) {
  if (!is(act_grad, kUnaryGrad) || !derivative_uses_value(fn_of(act_grad))) return;
  const ValueId dy = node(act_grad).inputs[0];
  const int grad_input = producer(dy);
  if (!is_plain_grad_input(grad_input) || only_user(dy) != act_grad) return;
  copy_activation(act_grad, grad_input);
  set_saved(grad_input, node(act_grad).inputs[1]);
  swallow(grad_input, act_grad);
}

// Dropout on its own, or after a linear layer: the mask alone.
void Fuser::dropout_gradient_into_grad_input(int drop_grad) {
  if (!is(drop_grad, kDropout)) return;
  const ValueId dy = node(drop_grad).inputs[0];
  const int grad_input = producer(dy);
  if (!is_plain_grad_input(grad_input) || only_user(dy) != drop_grad) return;
  copy_dropout(drop_grad, grad_input);
  swallow(grad_input, drop_grad);
}

bool Fuser::depends_on(ValueId v, int target) {
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

// Whether the tape changes a variable, or what v is a reshape of, between two of its places: reads of it must not move
// across.
bool Fuser::written_between(ValueId v, int from, int to) {
  const ValueId variable = alias_root(graph_, v);
  for (const Node& n : graph_.nodes) {
    if (n.removed || (n.op != &kAssign && n.op != &kUpdate) || n.order <= from || n.order >= to) continue;
    for (ValueId in : n.inputs) {
      if (in != kNoValue && alias_root(graph_, in) == variable) return true;
    }
  }
  return false;
}

}  // namespace weft
