// Column sums, then the optimizer's update if there is one. A block sums 32 columns: 32 warps take every 32nd row, and
// their sums are added in the order of the warps.
#include "cuda/kernel_update.h"
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

constexpr int kColumns = 32, kRows = 32;

struct Sums {
  double of_warp[kRows][kColumns];
};

__device__ void dense_grad_bias_body(const DenseGradBiasArgs& args) {
  Sums& s = shared<Sums>();
  const int lane = threadIdx.x % kColumns, warp = threadIdx.x / kColumns;
  const int64_t column = int64_t{blockIdx.x} * kColumns + lane, rows = args.blocks * args.m;
  double sum = 0;  // many rows, as a convolution's output has them, would cost a float's digits
  for (int64_t row = warp; row < rows && column < args.n; row += kRows) {
    sum += static_cast<double>(args.dy[row / args.m * args.block_stride + row % args.m * args.dy_stride + column]);
  }
  s.of_warp[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= round_up(args.n, kPanel)) return;
  for (int w = 1; w < kRows; w++) sum += s.of_warp[w][lane];
  float grad = static_cast<float>(sum);  // 0 in the padding
  if (args.update.rule == UpdateRule::kNone)
    args.grad[column] = grad;
  else if (column < args.n)
    update_elements(args.update, args.bias, column, &grad, 1);
}

void dense_grad_bias(const DenseGradBiasArgs& args) {
  const dim3 blocks(static_cast<unsigned>(ceil_divide(args.n, kColumns)));
  launch<DenseGradBiasArgs, dense_grad_bias_body, kColumns * kRows>(blocks, args, sizeof(Sums));
}

}  // namespace

void fill_dense_grad_bias(KernelTable& table) {
  table.dense_grad_bias = kernel_of<DenseGradBiasArgs, dense_grad_bias>();
}

}  // namespace weft::cuda
