// y = dropout(act(x W + bias)): see gemm.h.
#include "cuda/epilogue.h"
#include "cuda/gemm.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct DenseForwardEpilogue {
  static constexpr int rows_per_item = 1;
  const float* bias;  // (round_up(n, 16)), or null
  float* y;           // (m, n), stride y_stride
  int64_t n, y_stride;
  UnarySpec act;
  DropoutSpec dropout;

  __device__ void store4(int64_t row, int64_t column, const float* c, int) const {
    float4 value = load_float4(c);
    if (bias) value = value + load_float4(bias + column);
    value = dropout_quad(dropout, row, n, column, unary_quad(act, value));
    store_float4(y + row * y_stride + column, value);
  }
};

void dense_forward(const DenseForwardArgs& args) {
  const Lines<true> x = {args.x, args.m, args.k, args.x_stride};
  const Panels<false> w = {args.w, args.k, args.n};
  launch_gemm(args.m, args.n, args.k, x, w,
              DenseForwardEpilogue{args.bias, args.y, args.n, args.y_stride, args.act, args.dropout});
}

}  // namespace

void fill_dense_forward(KernelTable& table) { table.dense_forward = kernel_of<DenseForwardArgs, dense_forward>(); }

}  // namespace weft::cuda
