// The order of an epoch, a thread for each element.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/table.h"
#include "ops/shuffle_functions.h"

namespace weft::cuda {
namespace {

__device__ void shuffle_body(const ShuffleArgs& args) {
  const Permutation& p = args.permutation;
  for_each_item(args.count, [&](int64_t i) {
    uint32_t x = static_cast<uint32_t>(args.first + i);
    do {
      x = mix_halves(p, x);
#pragma unroll
      for (int round = 0; round < Permutation::kRounds; round++) x = permute_round(p, round, x);
    } while (x >= p.size);
    args.order[i] = static_cast<int32_t>(x);
  });
}

void shuffle(const ShuffleArgs& args) { launch<ShuffleArgs, shuffle_body>(blocks_for(args.count), args); }

}  // namespace

void fill_shuffle(KernelTable& table) { table.shuffle = kernel_of<ShuffleArgs, shuffle>(); }

}  // namespace weft::cuda
