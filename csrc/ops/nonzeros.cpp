// find_nonzeros: bits that tell where a matrix is not 0, by row and, where that has a reader, by column.
#include "ops/nonzeros.h"

#include "ops/op_table.h"

namespace weft {

namespace {

void lower_find_nonzeros(LowerContext& c) {
  const Shape& x = c.shape(0);
  FindNonzerosArgs a{};
  a.m = x[0], a.k = x[1];
  a.x = c.in(0), a.x_stride = row_layout(x).stride;
  a.row_bits = reinterpret_cast<uint64_t*>(c.out(0));
  if (c.node.outputs.size() > 1) a.column_bits = reinterpret_cast<uint32_t*>(c.out(1));
  c.call(c.kernels.find_nonzeros, a, static_cast<double>(a.m * a.k) / 16.0);
}

}  // namespace

const OpDef kFindNonzeros = {"find_nonzeros", nullptr, nullptr, lower_find_nonzeros};

}  // namespace weft
