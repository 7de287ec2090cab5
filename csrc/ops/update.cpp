// update: one optimizer step of one variable; assign: a variable's new value.
#include "ops/update.h"

#include <iterator>

#include "ops/copy.h"
#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

namespace {

const char* const kRuleNames[] = {"none",
                                  "sgd",
                                  "momentum",
                                  "nesterov",
                                  "rmsprop",
                                  "rmsprop_momentum",
                                  "rmsprop_centered",
                                  "rmsprop_centered_momentum",
                                  "adam",
                                  "amsgrad",
                                  "adagrad"};
static_assert(std::size(kRuleNames) == static_cast<size_t>(UpdateRule::kAdagrad) + 1);

}  // namespace

UpdateRule update_rule(const std::string& name) {
  for (size_t i = 1; i < std::size(kRuleNames); ++i) {
    if (name == kRuleNames[i]) return static_cast<UpdateRule>(i);
  }
  fail("there is no update rule '", name, "'");
}

int slot_count(UpdateRule rule) {
  switch (rule) {
    case UpdateRule::kNone:
    case UpdateRule::kSgd:
      return 0;
    case UpdateRule::kMomentum:
    case UpdateRule::kNesterov:
    case UpdateRule::kRmsprop:
    case UpdateRule::kAdagrad:
      return 1;
    case UpdateRule::kRmspropMomentum:
    case UpdateRule::kRmspropCentered:
    case UpdateRule::kAdam:
      return 2;
    case UpdateRule::kRmspropCenteredMomentum:
    case UpdateRule::kAmsgrad:
      return 3;
  }
  return 0;
}

UpdateSpec update_spec(const LowerContext& c, int first_slot) {
  const Attrs& attrs = c.node.attrs;
  UpdateSpec spec{};
  spec.rule = update_rule(attrs.text("rule"));
  spec.p0 = attrs.real("p0"), spec.p1 = attrs.real("p1"), spec.epsilon = attrs.real("epsilon");
  spec.clip_value = attrs.real("clip_value"), spec.l1 = attrs.real("l1"), spec.l2 = attrs.real("l2");
  float** slots[] = {&spec.slot0, &spec.slot1, &spec.slot2};
  int next = first_slot;
  for (int i = 0; i < slot_count(spec.rule); ++i) *slots[i] = c.mutable_in(next++);
  if (attrs.flag("has_grad_scale")) spec.grad_scale = c.in(next++);
  spec.scalars = c.in(next);
  return spec;
}

namespace {

// Inputs: variable, gradient, slots..., [grad_scale]; legalizing appends the scalars.
std::vector<ValueSpec> infer_update(const InferContext& c) {
  const UpdateRule rule = update_rule(c.attrs.text("rule"));
  const size_t expected = 2 + slot_count(rule) + (c.attrs.flag("has_grad_scale") ? 1 : 0);
  c.expect_inputs(expected, expected);
  for (size_t i = 0; i < expected; ++i) c.expect_float(static_cast<int>(i));
  c.check(c.graph.value(c.inputs[0]).source == Value::Source::kVariable, "only a variable can be updated");
  for (int i = 1; i < 2 + slot_count(rule); ++i) {
    c.check(c.shape(i) == c.shape(0), "expects gradient and slots of shape ", c.shape(0), ", got ", c.shape(i));
  }
  if (c.attrs.flag("has_grad_scale")) {
    const Shape& scale = c.shape(static_cast<int>(expected) - 1);
    c.check(element_count(scale) == 1, "expects one number as the scale of the gradient, got shape ", scale);
  }
  return {};
}

void lower_update(LowerContext& c) {
  const int64_t size = c.graph.value(c.node.inputs[0]).variable->storage();
  c.call(c.kernels.update, UpdateArgs{c.mutable_in(0), c.in(1), size, update_spec(c, 2)}, static_cast<double>(size));
}

void lower_update_scalars(LowerContext& c) {
  const Attrs& attrs = c.node.attrs;
  const UpdateRule rule = update_rule(attrs.text("rule"));
  c.call(c.kernels.update_scalars,
         UpdateScalarsArgs{c.state, c.out(), rule, attrs.real("p0"), attrs.real("p1"), attrs.real("weight_decay")}, 50);
}

std::vector<ValueSpec> infer_assign(const InferContext& c) {
  c.expect_inputs(2, 2);
  c.check(c.graph.value(c.inputs[0]).source == Value::Source::kVariable, "only a variable can be assigned to");
  c.expect_float(1);
  c.check(c.shape(0) == c.shape(1), "expects a value of shape ", c.shape(0), ", got ", c.shape(1));
  return {};
}

// Both have the same layout by now, so the storage is copied as it stands.
void lower_assign(LowerContext& c) {
  CopyArgs args{};
  args.x = c.in(1), args.y = c.mutable_in(0);
  args.rank = 1;
  args.shape[0] = c.graph.value(c.node.inputs[0]).variable->storage();
  args.x_stride[0] = args.y_stride[0] = 1;
  c.call(c.kernels.copy, args, static_cast<double>(args.shape[0]) / 4.0);
}

}  // namespace

const OpDef kUpdate = {"update", infer_update, nullptr, lower_update, true};
const OpDef kUpdateScalars = {"update_scalars", nullptr, nullptr, lower_update_scalars};
const OpDef kAssign = {"assign", infer_assign, nullptr, lower_assign, true};

}  // namespace weft
