// The elementwise work that other kernels run on a tile while it is hot in L1.
#pragma once

#include "cpu/kernels/vec.h"
#include "ops/dropout.h"
#include "ops/unary.h"

namespace weft::WEFT_ISA {

// y = fn(x), dx = dy * fn'(saved), over n floats; n is a multiple of 16; in place is fine.
void unary_apply(const UnarySpec& spec, const float* x, float* y, int64_t n);
void unary_grad_apply(const UnarySpec& spec, const float* dy, const float* saved, float* dx, int64_t n);

// y = x * mask * scale for the elements [first_element, first_element + n) of a value, counted as in
// ops/dropout.h; both are multiples of 4, n floats may be touched up to the next multiple of 16 only if n is one.
void dropout_apply(const DropoutSpec& spec, const float* x, float* y, int64_t first_element, int64_t n);

}  // namespace weft::WEFT_ISA
