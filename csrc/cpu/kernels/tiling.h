// How a kernel's work is cut: units (the smallest pieces worth a call of the register tile) in an order
// that reuses caches, and tiles for threads, each a contiguous share of the units.
#pragma once

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {
namespace {

// Multiply-adds below which a piece is not worth handing to a thread: 3-5 us of one core.
constexpr int64_t kTileWork = 1 << 18;

WEFT_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
WEFT_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
WEFT_INLINE int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Tiles of a thread where the work allows: one that was interrupted leaves something for the others.
constexpr int64_t kTilesPerThread = 3;

// How many tiles suit `threads` threads: one for tiny work; else up to three per thread, as a multiple of the threads
// where that many fit.
WEFT_INLINE int suitable_tiles(int64_t work, int64_t units, int threads) {
  const int64_t most = larger(1, smaller(work / kTileWork, units));
  if (threads <= 1 || most <= 1) return 1;
  if (most < threads) return static_cast<int>(most);
  return static_cast<int>(smaller(kTilesPerThread, most / threads) * threads);
}

// `size` items cut into `count` near-equal blocks, the longer ones first. No division per block: on small
// tiles it would show.
struct Blocks {
  int64_t count, length, longer;
};
WEFT_INLINE Blocks near_equal_blocks(int64_t size, int64_t count) {
  return {count, count > 0 ? size / count : 0, count > 0 ? size % count : 0};
}

WEFT_INLINE Range block_at(const Blocks& blocks, int64_t block) {
  const int64_t begin = block * blocks.length + smaller(block, blocks.longer);
  return {begin, begin + blocks.length + (block < blocks.longer)};
}

// How many blocks from `block` on, before block `end`, are of its length.
WEFT_INLINE int64_t blocks_alike(const Blocks& blocks, int64_t block, int64_t end) {
  return smaller(end, block < blocks.longer ? blocks.longer : blocks.count) - block;
}

// A walk over the units [begin, end) of a grid with `inner` units in a row.
struct Walk {
  int64_t left, inner, outer_index, inner_index;
};
WEFT_INLINE Walk walk(Range units, int64_t inner) {
  const int64_t row = larger(1, inner);
  return {units.end - units.begin, inner, units.begin / row, units.begin % row};
}
WEFT_INLINE void advance(Walk& at) {
  at.left--;
  if (++at.inner_index == at.inner) {
    at.inner_index = 0;
    at.outer_index++;
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
