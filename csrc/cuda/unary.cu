// Elementwise functions and their derivatives over (rows, row_size). The function is chosen on the host: one grid for
// each.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/unary_functions.h"

namespace weft::cuda {
namespace {

template <class Function>
__device__ void unary_body(const UnaryArgs& args) {
  const Constants c = constants_of(args.spec);
  for_each_item(args.rows * args.row_size, [&](int64_t i) {
    const int64_t row = i / args.row_size, column = i % args.row_size;
    args.y[row * args.y_stride + column] = Function::value(args.x[row * args.x_stride + column], c);
  });
}

template <class Function>
__device__ void unary_grad_body(const UnaryGradArgs& args) {
  const Constants c = constants_of(args.spec);
  for_each_item(args.rows * args.row_size, [&](int64_t i) {
    const int64_t row = i / args.row_size, column = i % args.row_size;
    const float dy = args.dy[row * args.dy_stride + column];
    const float saved = args.saved ? args.saved[row * args.saved_stride + column] : dy;  // identity needs none
    args.dx[row * args.dx_stride + column] = Function::grad(dy, saved, c);
  });
}

void unary(const UnaryArgs& args) {
  with_function(args.spec, [&]<class Function>(Function) {
    launch<UnaryArgs, unary_body<Function>>(blocks_for(args.rows * args.row_size), args);
  });
}

void unary_grad(const UnaryGradArgs& args) {
  with_function(args.spec, [&]<class Function>(Function) {
    launch<UnaryGradArgs, unary_grad_body<Function>>(blocks_for(args.rows * args.row_size), args);
  });
}

}  // namespace

void fill_unary(KernelTable& table) {
  table.unary = kernel_of<UnaryArgs, unary>();
  table.unary_grad = kernel_of<UnaryGradArgs, unary_grad>();
}

}  // namespace weft::cuda
