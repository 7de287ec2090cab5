// The order of the rows in an epoch: a permutation of 0..n-1 that depends on nothing but its arguments, and whose
// elements are computed independently of each other, so that every device draws the same one.
#pragma once

#include <cstdint>

namespace weft {

// What an order is drawn from.
struct Shuffle {
  uint64_t seed, epoch;
};

// A bijection of 0..mask in rounds, see shuffle_functions.h. Element i of the order is what i has become when, put
// through the bijection again and again, it is below `size` for the first time.
struct Permutation {
  // 100,000 orders of 31, 32, 64 or 128 rows give six rounds away (by the differences of elements that are neighbours,
  // or half of the domain apart), but not eight.
  static constexpr int kRounds = 8;
  uint32_t size;                           // n
  uint32_t mask, shift;                    // mask + 1 is a power of two and at least n; shift is about half of its bits
  uint32_t key[kRounds], factor[kRounds];  // factors are odd
};

// Keys and factors are words of Philox4x32-10. n is from 0 to 2^31 - 1.
Permutation draw_permutation(int64_t n, const Shuffle& shuffle);

struct ShuffleArgs {
  int32_t* order;  // (count): elements first, first + 1, ... of the order
  int64_t first, count;
  Permutation permutation;
};

}  // namespace weft
