// Shapes as normalizations see them: rows, positions and channels.
#pragma once

#include "core/shape.h"
#include "ops/batch_norm.h"

namespace weft {

// Of a value with at least one channel: the last axis, which a vector has too.
ChannelShape channel_shape(const Shape& shape);

// Of the partial sums over groups of a value's positions.
Shape partial_sums_shape(const Shape& shape);

}  // namespace weft
