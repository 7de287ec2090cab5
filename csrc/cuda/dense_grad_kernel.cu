// grad = x^T dy in panels, or the update that it leads to: see gemm.h.
#include "cuda/gemm.h"
#include "cuda/kernel_update.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

void dense_grad_kernel(const DenseGradKernelArgs& args) {
  const Lines<false> x = {args.x, args.m, args.k, args.x_stride};
  const Lines<false> dy = {args.dy, args.m, args.n, args.dy_stride};
  launch_gemm(args.k, args.n, args.m, x, dy, KernelGradEpilogue{args.grad, args.w, args.k, args.update});
}

}  // namespace

void fill_dense_grad_kernel(KernelTable& table) {
  table.dense_grad_kernel = kernel_of<DenseGradKernelArgs, dense_grad_kernel>();
}

}  // namespace weft::cuda
