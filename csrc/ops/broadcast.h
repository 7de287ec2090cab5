// NumPy's broadcasting rule.
#pragma once

#include "core/shape.h"

namespace weft {

bool broadcast_shape(const Shape& a, const Shape& b, Shape& result);  // false: they do not fit
// Strides of a value of shape `from` seen as one of shape `to`: 0 along repeated axes.
void broadcast_strides(const Shape& from, const Shape& to, int64_t* strides);

}  // namespace weft
