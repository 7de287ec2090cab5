// dense_grad_bias: column sums of dy, then the optimizer's update if there is one. Additions run in the order of the
// rows, and every 1024 of them on their own, so that sums over many rows keep their digits. A thread's tile is a
// share of the columns.

#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/vector_math.h"
#include "ops/update_rules.h"

namespace weft::WEFT_ISA {
namespace {

// Columns summed side by side: enough chains to hide the latency of an addition.
constexpr int64_t kGroup = 128;
// The many rows of a convolution's output, few columns wide: there memory is what one waits for, not additions.
constexpr int64_t kManyRows = 1024;

WEFT_INLINE int64_t group_of(const DenseGradBiasArgs& args) {
  return args.blocks * args.m >= kManyRows ? kPanel : kGroup;
}

int dense_grad_bias_tiles(const DenseGradBiasArgs& args, int threads) {
  // An addition costs a load, as much as eight multiply-adds of a product.
  return suitable_tiles(args.blocks * args.m * args.n * 8, ceil_divide(args.n, group_of(args)), threads);
}

// sum[0 .. 16*kPanels) of the columns from `column` on, all of which exist.
template <int kPanels>
void sum_panels(const DenseGradBiasArgs& args, int64_t column, float* sum) {
  constexpr int kVecs = kPanels * kPanel / kWidth;
  Vec total[kVecs] = {};
  for (int64_t block = 0; block < args.blocks; block++) {
    const float* dy = args.dy + block * args.block_stride + column;
    for (int64_t from = 0; from < args.m; from += kManyRows) {
      Vec acc[kVecs] = {};
      const int64_t end = smaller(args.m, from + kManyRows);
      for (int64_t row = from; row < end; row++, dy += args.dy_stride) WEFT_UNROLL
      for (int j = 0; j < kVecs; j++) acc[j] += load(dy + j * kWidth);
      WEFT_UNROLL
      for (int j = 0; j < kVecs; j++) total[j] += acc[j];
    }
  }
  WEFT_UNROLL
  for (int j = 0; j < kVecs; j++) store(sum + j * kWidth, total[j]);
}

// The last columns, fewer than 16: rows need not be padded here, so nothing beyond them is read.
void sum_rest(const DenseGradBiasArgs& args, int64_t column, float* sum) {
  const int64_t count = args.n - column;
  for (int64_t c = 0; c < kPanel; c++) sum[c] = 0;
  for (int64_t block = 0; block < args.blocks; block++) {
    const float* dy = args.dy + block * args.block_stride + column;
    for (int64_t from = 0; from < args.m; from += kManyRows) {
      float part[kPanel] = {};
      const int64_t end = smaller(args.m, from + kManyRows);
      for (int64_t row = from; row < end; row++, dy += args.dy_stride)
        for (int64_t c = 0; c < count; c++) part[c] += dy[c];
      for (int64_t c = 0; c < count; c++) sum[c] += part[c];
    }
  }
}

void dense_grad_bias_run(const DenseGradBiasArgs& args, int tile, int n_tiles) {
  const Range columns = split(args.n, group_of(args), tile, n_tiles);
  // More vectors than this would not fit the registers of an instruction set that has 16.
  constexpr int kPanels = kWidth >= 8 ? 4 : 2;
  alignas(64) float sums[kGroup];
  for (int64_t begin = columns.begin; begin < columns.end; begin += kGroup) {
    const int64_t end = smaller(columns.end, begin + kGroup);
    int64_t c = begin;
    for (; c + kPanels * kPanel <= end; c += kPanels * kPanel) sum_panels<kPanels>(args, c, sums + (c - begin));
    for (; c + kPanel <= end; c += kPanel) sum_panels<1>(args, c, sums + (c - begin));
    if (c < end) sum_rest(args, c, sums + (c - begin));
    const int64_t floats = round_up(end - begin, kPanel);
    if (args.update.rule == UpdateRule::kNone) {
      for (int64_t i = 0; i < floats; i += kWidth) store(args.grad + begin + i, load(sums + i));
    } else {
      if (needs_preparation(args.update)) prepare_update(args.update, sums, args.bias + begin, floats);
      apply_update(args.update, args.bias, begin, sums, floats);
    }
  }
}

}  // namespace

void fill_dense_grad_bias(KernelTable& table) { table.dense_grad_bias = {dense_grad_bias_tiles, dense_grad_bias_run}; }

}  // namespace weft::WEFT_ISA
