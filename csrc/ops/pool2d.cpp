// Pooling: to be written.
#include "ops/pool2d.h"

#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

const OpDef kMaxPool2d = {"max_pool2d", nullptr};
const OpDef kMaxPool2dGrad = {"max_pool2d_grad", nullptr};

}  // namespace weft
