// Elementwise functions and their derivatives over (rows, row_size). The function is chosen on the host: one grid for
// each.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/quad.h"
#include "cuda/table.h"
#include "ops/unary_functions.h"

namespace weft::cuda {
namespace {

struct UnaryGridArgs {
  UnaryArgs args;
  QuadGrid quads;
};

template <class Function>
__device__ void unary_body(const UnaryGridArgs& grid) {
  const UnaryArgs& a = grid.args;
  const Constants c = constants_of(a.spec);
  grid.quads.for_each([&](int64_t row, int64_t column, int64_t n) {
    const float4 x = load_quad(a.x + row * a.x_stride + column, n);
    store_quad(a.y + row * a.y_stride + column, n,
               make_float4(Function::value(x.x, c), Function::value(x.y, c), Function::value(x.z, c),
                           Function::value(x.w, c)));
  });
}

void unary(const UnaryArgs& args) {
  if (args.row_size == 0) return;
  const UnaryGridArgs grid = {args, quad_grid(args.rows, args.row_size)};
  with_function(args.spec, [&]<class Function>(Function) {
    launch<UnaryGridArgs, unary_body<Function>>(blocks_for(grid.quads.count()), grid);
  });
}

struct UnaryGradGridArgs {
  UnaryGradArgs args;
  QuadGrid quads;
};

template <class Function>
__device__ void unary_grad_body(const UnaryGradGridArgs& grid) {
  const UnaryGradArgs& a = grid.args;
  const Constants c = constants_of(a.spec);
  grid.quads.for_each([&](int64_t row, int64_t column, int64_t n) {
    const float4 dy = load_quad(a.dy + row * a.dy_stride + column, n);
    // identity needs no saved value
    const float4 saved = a.saved ? load_quad(a.saved + row * a.saved_stride + column, n) : dy;
    store_quad(a.dx + row * a.dx_stride + column, n,
               make_float4(Function::grad(dy.x, saved.x, c), Function::grad(dy.y, saved.y, c),
                           Function::grad(dy.z, saved.z, c), Function::grad(dy.w, saved.w, c)));
  });
}

void unary_grad(const UnaryGradArgs& args) {
  if (args.row_size == 0) return;
  const UnaryGradGridArgs grid = {args, quad_grid(args.rows, args.row_size)};
  with_function(args.spec, [&]<class Function>(Function) {
    launch<UnaryGradGridArgs, unary_grad_body<Function>>(blocks_for(grid.quads.count()), grid);
  });
}

}  // namespace

void fill_unary(KernelTable& table) {
  table.unary = kernel_of<UnaryArgs, unary>();
  table.unary_grad = kernel_of<UnaryGradArgs, unary_grad>();
}

}  // namespace weft::cuda
