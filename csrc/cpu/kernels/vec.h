// The vector of one instruction set, in GCC/Clang vector extensions: a Vec is one register, never wider
// (gcc 12 runs an emulated wider vector at a seventh of the speed). Files that include this are compiled
// once per instruction set; everything in them lives in that set's namespace, weft::WEFT_ISA, and has
// internal linkage or a name of that namespace, so that the linker can never mix two sets.
#pragma once

#include <cstdint>

#include "core/types.h"

#ifndef WEFT_ISA
#error "compile with -DWEFT_ISA=baseline, avx2 or avx512"
#endif

#define WEFT_INLINE static inline __attribute__((always_inline))
#define WEFT_FUNCTION [[maybe_unused]] static
// A function that calls what it is given; these differ on a GPU (cuda/lane.h).
#define WEFT_DISPATCH WEFT_INLINE
#define WEFT_CALLS_HOST_OR_DEVICE
#define WEFT_INLINE_MEMBER inline __attribute__((always_inline))
// Unrolls the register loops of a kernel completely.
#define WEFT_UNROLL _Pragma("GCC unroll 32")

namespace weft::WEFT_ISA {

#if defined(__AVX512F__)
static constexpr int kWidth = 16;
#elif defined(__AVX2__)
static constexpr int kWidth = 8;
#else
static constexpr int kWidth = 4;
#endif

// Vectors of a panel's row.
static constexpr int kPanelVecs = kPanel / kWidth;

typedef float Vec __attribute__((vector_size(4 * kWidth)));
typedef int32_t IntVec __attribute__((vector_size(4 * kWidth)));
typedef uint32_t UIntVec __attribute__((vector_size(4 * kWidth)));
typedef float UnalignedVec __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));

WEFT_INLINE Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
WEFT_INLINE void store(float* p, Vec x) { *reinterpret_cast<UnalignedVec*>(p) = x; }
WEFT_INLINE Vec broadcast(float x) { return x - Vec{}; }

// Tile `tile` of `n_tiles` owns the items [begin, end) of `count`, in units of `unit`.
struct Range {
  int64_t begin, end;
};
WEFT_INLINE int64_t length(Range range) { return range.end - range.begin; }
WEFT_INLINE Range split(int64_t count, int64_t unit, int tile, int n_tiles) {
  const int64_t units = (count + unit - 1) / unit;
  const int64_t begin = units * tile / n_tiles * unit;
  const int64_t end = units * (tile + 1) / n_tiles * unit;
  return {begin, end < count ? end : count};
}

}  // namespace weft::WEFT_ISA
