// The order of an epoch. A block of elements goes through the bijection together; then again and again those of them
// that are still outside of 0..n-1, side by side, so that no lane of a vector waits for another one's walk. Tiles: one.
#include "cpu/kernels/table.h"
#include "ops/shuffle_functions.h"

namespace weft::WEFT_ISA {
namespace {

// Its elements, and the places of those outside, stay in L1.
static constexpr int kBlock = 1024;
// The largest domain that is done as a whole.
static constexpr int kSmall = 64;

WEFT_INLINE UIntVec permute(const Permutation& p, UIntVec x) {
  x = mix_halves(p, x);
  WEFT_UNROLL
  for (int round = 0; round < Permutation::kRounds; round++) x = permute_round(p, round, x);
  return x;
}

// x[i] = first + i put through the bijection, for i < count rounded up to a whole vector.
WEFT_INLINE void permute_range(const Permutation& p, uint32_t first, int count, uint32_t* x) {
  UIntVec v;
  WEFT_UNROLL
  for (int lane = 0; lane < kWidth; lane++) v[lane] = first + static_cast<uint32_t>(lane);
  for (int i = 0; i < count; i += kWidth, v += kWidth) {
    const UIntVec y = permute(p, v);
    __builtin_memcpy(x + i, &y, sizeof(y));
  }
}

// order[i] = element first + i, for i < count. A small domain is put through the bijection as a whole, so that a step
// of a walk is a look into a table.
void shuffle_small(const Permutation& p, uint32_t first, int64_t count, int32_t* order) {
  alignas(64) uint32_t next[kSmall];
  permute_range(p, 0, static_cast<int>(p.mask) + 1, next);
  for (int64_t i = 0; i < count; i++) {
    uint32_t x = next[first + i];
    while (x >= p.size) x = next[x];
    order[i] = static_cast<int32_t>(x);
  }
}

// order[i] = element first + i, for i < count <= kBlock.
void shuffle_block(const Permutation& p, uint32_t first, int count, int32_t* order) {
  alignas(64) uint32_t x[kBlock];
  permute_range(p, first, count, x);
  __builtin_memcpy(order, x, static_cast<unsigned>(count) * sizeof(*x));
  int outside[kBlock];  // their places; every element writes one, which the next overwrites unless it counts
  int left = 0;
  for (int i = 0; i < count; i++) {
    outside[left] = i;
    left += x[i] >= p.size;
  }
  while (left > 0) {
    for (int i = 0; i < left; i++) x[i] = static_cast<uint32_t>(order[outside[i]]);
    for (int i = 0; i < left; i += kWidth) {  // a whole number of vectors, whatever is in their last lanes
      UIntVec v;
      __builtin_memcpy(&v, x + i, sizeof(v));
      v = permute(p, v);
      __builtin_memcpy(x + i, &v, sizeof(v));
    }
    int still = 0;
    for (int i = 0; i < left; i++) {
      const int place = outside[i];
      order[place] = static_cast<int32_t>(x[i]);
      outside[still] = place;
      still += x[i] >= p.size;
    }
    left = still;
  }
}

int shuffle_tiles(const ShuffleArgs&, int) { return 1; }

void shuffle_run(const ShuffleArgs& args, int, int) {
  const Permutation p = args.permutation;  // a copy that no store can change
  if (p.mask < kSmall) return shuffle_small(p, static_cast<uint32_t>(args.first), args.count, args.order);
  for (int64_t i = 0; i < args.count; i += kBlock) {
    const int64_t left = args.count - i;
    shuffle_block(p, static_cast<uint32_t>(args.first + i), static_cast<int>(left < kBlock ? left : kBlock),
                  args.order + i);
  }
}

}  // namespace

void fill_shuffle(KernelTable& table) { table.shuffle = {shuffle_tiles, shuffle_run}; }

}  // namespace weft::WEFT_ISA
