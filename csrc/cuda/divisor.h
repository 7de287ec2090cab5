// Division of numbers below 2^31 by a number that a whole grid shares: a multiplication and a shift.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace weft::cuda {

// n / divisor = (n + the upper half of n * factor) >> shift, with 2^32 + factor just above 2^(32 + shift) / divisor
// (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
struct Divisor {
  uint32_t divisor, factor, shift;

  __device__ __forceinline__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, factor) + n) >> shift; }
};

// 1 <= divisor < 2^31
inline Divisor divisor_of(int64_t divisor) {
  uint32_t shift = 0;
  while (int64_t{1} << shift < divisor) shift++;
  const uint64_t d = static_cast<uint64_t>(divisor), excess = (uint64_t{1} << shift) - d;
  return {static_cast<uint32_t>(d), static_cast<uint32_t>((excess << 32) / d + 1), shift};
}

}  // namespace weft::cuda
