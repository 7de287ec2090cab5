// The parts of argument structs that several ops share, read from a node's attributes.
#pragma once

#include "ops/op.h"

namespace weft {

// The names of UnaryFn, in its order.
extern const char* const kUnaryNames[];
int unary_count();
bool find_unary(const std::string& name, UnaryFn& fn);

UnarySpec unary_spec(const Attrs& attrs);         // attributes fn, a, b, c; none means identity
DropoutSpec dropout_spec(const LowerContext& c);  // attributes rate, stream; none means off

// Attributes rule, p0, p1, epsilon, clip_value, l1, l2, has_grad_scale; the node's inputs from
// `first_slot` on are the slots, the gradient's scale if there is one, and the scalars.
UpdateSpec update_spec(const LowerContext& c, int first_slot);
UpdateRule update_rule(const std::string& name);
int slot_count(UpdateRule rule);

// Whether a conv2d node, whose kernel is not transformed yet, goes by Winograd's way.
bool goes_winograd(const Graph& graph, const Node& node, const KernelTable& kernels);
// Of a conv2d_grad_kernel node.
ConvShape conv_shape_of_grad_kernel(const Graph& graph, const Node& node);
// What Winograd makes of a kernel (3, 3, C, F): (4, 4, C, F), or (4, 4, F, C) where it is flipped.
Shape winograd_kernel_shape(const Shape& w, bool flipped);

}  // namespace weft
