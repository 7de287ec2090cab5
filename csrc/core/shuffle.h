// A permutation that depends on nothing but its arguments.
#pragma once

#include <cstdint>

namespace weft {

// order = a uniformly drawn permutation of 0..n-1 (Fisher-Yates over Philox4x32-10 words).
void shuffle(int32_t* order, int64_t n, uint64_t seed, uint64_t epoch);

}  // namespace weft
