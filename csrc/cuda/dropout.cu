// y = x * mask * scale with a mask drawn from Philox, the same on every device. A thread has four elements: one draw.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/philox.h"
#include "cuda/quad.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct DropoutGridArgs {
  DropoutArgs dropout;
  QuadGrid quads;
};

__device__ void dropout_body(const DropoutGridArgs& args) {
  const DropoutArgs& a = args.dropout;
  const DropoutMask mask(a.spec, a.row_size);
  args.quads.for_each([&](int64_t row, int64_t column, int64_t n) {
    const float4 x = load_quad(a.x + row * a.x_stride + column, n);
    store_quad(a.y + row * a.y_stride + column, n, mask.apply(row, column, x));
  });
}

void dropout(const DropoutArgs& args) {
  const QuadGrid quads = quad_grid(args.rows, args.row_size);
  if (args.row_size > 0) launch<DropoutGridArgs, dropout_body>(blocks_for(quads.count()), {args, quads});
}

}  // namespace

void fill_dropout(KernelTable& table) { table.dropout = kernel_of<DropoutArgs, dropout>(); }

}  // namespace weft::cuda
