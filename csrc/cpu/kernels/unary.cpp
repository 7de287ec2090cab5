// Elementwise functions and their derivatives over (rows, row_size), and over hot tiles of other kernels.
// The function is chosen once for a run of elements, then one loop goes over vectors.
// Tiles: runs of 16 elements, see rows.h.
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/unary_functions.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.3;

}  // namespace

void unary_apply(const UnarySpec& spec, const float* x, float* y, int64_t n) {
  const Constants c = constants_of(spec);
  with_function(spec, [=](auto function) {
    for (int64_t i = 0; i < n; i += kWidth) store(y + i, function.value(load(x + i), c));
  });
}

void unary_grad_apply(const UnarySpec& spec, const float* dy, const float* saved, float* dx, int64_t n) {
  const Constants c = constants_of(spec);
  with_function(spec, [=](auto function) {
    for (int64_t i = 0; i < n; i += kWidth) store(dx + i, function.grad(load(dy + i), load(saved + i), c));
  });
}

namespace {

int unary_tiles(const UnaryArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void unary_run(const UnaryArgs& args, int tile, int n_tiles) {
  const RowShape shape = row_shape(args.rows, args.row_size, args.x_stride, args.y_stride);
  for_each_run(shape, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    const float* x = args.x + row * args.x_stride + column;
    float* y = args.y + row * args.y_stride + column;
    const int64_t whole = n / kChunk * kChunk;
    unary_apply(args.spec, x, y, whole);
    if (whole == n) return;
    float last[kChunk] = {};
    copy_few(last, x + whole, n - whole);
    unary_apply(args.spec, last, last, kChunk);
    copy_few(y + whole, last, n - whole);
  });
}

int unary_grad_tiles(const UnaryGradArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void unary_grad_run(const UnaryGradArgs& args, int tile, int n_tiles) {
  const RowShape shape = row_shape(args.rows, args.row_size, args.dy_stride, args.saved_stride, args.dx_stride);
  for_each_run(shape, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    const float* dy = args.dy + row * args.dy_stride + column;
    // identity needs no saved value
    const float* saved = args.saved ? args.saved + row * args.saved_stride + column : dy;
    float* dx = args.dx + row * args.dx_stride + column;
    const int64_t whole = n / kChunk * kChunk;
    unary_grad_apply(args.spec, dy, saved, dx, whole);
    if (whole == n) return;
    float last_dy[kChunk] = {}, last_saved[kChunk] = {};
    copy_few(last_dy, dy + whole, n - whole);
    copy_few(last_saved, saved + whole, n - whole);
    unary_grad_apply(args.spec, last_dy, last_saved, last_dy, kChunk);
    copy_few(dx + whole, last_dy, n - whole);
  });
}

}  // namespace

void fill_unary(KernelTable& table) {
  table.unary = {unary_tiles, unary_run};
  table.unary_grad = {unary_grad_tiles, unary_grad_run};
}

}  // namespace weft::WEFT_ISA
