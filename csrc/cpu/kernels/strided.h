// Walking several arrays of one shape, each with its own strides: what remains of them after axes have been merged
// (see merged_axes.h) is a list of runs along the innermost axis.
// Tiles: the elements of all runs, in units of 16, are dealt out evenly.
#pragma once

#include "cpu/kernels/rows.h"
#include "ops/merged_axes.h"

namespace weft::WEFT_ISA {

// A short innermost axis makes short runs: if it has fewer than 8 elements, the longest axis takes its place.
template <int operands>
WEFT_INLINE void lengthen_runs(Strided<operands>& s) {
  const int last = s.rank - 1;
  if (s.shape[last] >= 8) return;
  int longest = last;
  for (int axis = 0; axis < last; axis++) {
    if (s.shape[axis] > s.shape[longest]) longest = axis;
  }
  if (s.shape[longest] >= 4 * s.shape[last]) swap_axes(s, longest, last);
}

// body(offsets, n) for each run of a tile: offsets[o] is where operand o's run of n elements begins. Tiles
// are cut at multiples of `unit_size` elements of the innermost axis.
template <int unit_size = kChunk, int operands, class Body>
WEFT_INLINE void for_each_strided_run(const Strided<operands>& s, int tile, int n_tiles, Body body) {
  const int last = s.rank - 1;
  int64_t runs = 1, index[kMaxRank] = {};
  for (int axis = 0; axis < last; axis++) runs *= s.shape[axis];
  const int64_t run_size = s.shape[last];
  if (runs <= 0 || run_size <= 0) return;
  const int64_t run_units = (run_size + unit_size - 1) / unit_size;
  const Range units = split(runs * run_units, 1, tile, n_tiles);
  if (units.begin >= units.end) return;

  int64_t offset[operands] = {}, unit = units.begin % run_units;
  for (int64_t axis = last - 1, rest = units.begin / run_units; axis >= 0; axis--) {
    index[axis] = rest % s.shape[axis];
    rest /= s.shape[axis];
    for (int o = 0; o < operands; o++) offset[o] += index[axis] * s.stride[o][axis];
  }
  for (int64_t left = units.end - units.begin; left > 0; unit = 0) {
    const int64_t taken = left < run_units - unit ? left : run_units - unit;
    const int64_t first = unit * unit_size, end = first + taken * unit_size;
    int64_t begin[operands];
    for (int o = 0; o < operands; o++) begin[o] = offset[o] + first * s.stride[o][last];
    body(begin, (end < run_size ? end : run_size) - first);
    left -= taken;
    for (int axis = last - 1; axis >= 0; axis--) {  // the next run, counting like an odometer
      const bool wraps = ++index[axis] == s.shape[axis];
      for (int o = 0; o < operands; o++) {
        offset[o] += wraps ? -(s.shape[axis] - 1) * s.stride[o][axis] : s.stride[o][axis];
      }
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}

WEFT_INLINE int64_t count_elements(int rank, const int64_t* shape) {
  int64_t count = 1;
  for (int axis = 0; axis < rank; axis++) count *= shape[axis];
  return count;
}

}  // namespace weft::WEFT_ISA
