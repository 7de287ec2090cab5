// dx = (dy W^T) * dropout mask * act'(saved): see gemm.h.
#include "cuda/epilogue.h"
#include "cuda/gemm.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct DenseGradInputEpilogue {
  static constexpr int rows_per_item = 1;
  const float* saved;  // (m, k), stride dx_stride, or null
  float* dx;           // (m, k), stride dx_stride
  int64_t k, dx_stride;
  UnarySpec act;
  DropoutSpec dropout;

  __device__ void store4(int64_t row, int64_t column, const float* c, int) const {
    const int64_t at = row * dx_stride + column;
    float4 value = dropout_quad(dropout, row, k, column, load_float4(c));
    if (saved) value = stored_grad_quad(act, dropout, value, load_float4(saved + at));
    store_float4(dx + at, value);
  }
};

void dense_grad_input(const DenseGradInputArgs& args) {
  const Lines<true> dy = {args.dy, args.m, args.n, args.dy_stride};
  const Panels<true> w = {args.w, args.k, args.n};
  launch_gemm(args.m, args.k, args.n, dy, w,
              DenseGradInputEpilogue{args.saved, args.dx, args.k, args.dx_stride, args.act, args.dropout});
}

}  // namespace

void fill_dense_grad_input(KernelTable& table) {
  table.dense_grad_input = kernel_of<DenseGradInputArgs, dense_grad_input>();
}

}  // namespace weft::cuda
