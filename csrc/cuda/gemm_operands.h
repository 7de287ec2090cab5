// The operands of gemm.h and how they come to shared memory, in quads of four elements. One whose elements stand in
// memory is copied without passing registers, several steps ahead; one that computes them is loaded two steps ahead and
// stored one.
#pragma once

#include <type_traits>

#include "core/types.h"
#include "cuda/gemm_share.h"

namespace weft::cuda {

// Which part of an operand a block multiplies: rows of A or columns of B from `free` on, and k from `begin` to `end`.
struct Section {
  int free, begin, end;
};

// Elements [place, place + 4) of an operand's line `line + on`; they do not exist if k ends before them. `line` is that
// of the first quad that a thread brings in a step, and `on` the same in all steps.
struct QuadPlace {
  int line, on, place;
  bool exists;
};

// The quads of a step that the thread brings: neighbouring threads take neighbouring memory.
template <class Tile, class Part>
struct StepQuads {
  static constexpr int kPerLine = Part::kLength / 4, kLines = Tile::kThreads / kPerLine;
  static_assert(Tile::kThreads % kPerLine == 0);
  static constexpr int kEach = (Part::kLines + kLines - 1) / kLines;

  // The first one's place in the part.
  static __device__ __forceinline__ int line() { return static_cast<int>(threadIdx.x / kPerLine); }
  static __device__ __forceinline__ int place() { return static_cast<int>(threadIdx.x % kPerLine * 4); }

  // body(i, to, QuadPlace) for quad i, which goes to `to` in shared memory, of the step that has `left` of k before it.
  // Behind the last slice of k nothing is brought.
  template <class Body>
  static __device__ __forceinline__ void for_each(const Section& section, int left, Part& part, Body body) {
    if (Part::kAlongReduced ? place() >= left + Tile::ThreadShare::kSliceK : left <= 0) return;
    const int k = section.end - left;
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const int on = i * kLines;
      if (Part::kLines % kLines != 0 && line() + on >= Part::kLines) continue;
      float* const to = &part.x[line() + on][place()];
      if constexpr (Part::kAlongReduced)
        body(i, to, QuadPlace{section.free + line(), on, k + place(), place() < left});
      else
        body(i, to, QuadPlace{k + line(), on, section.free + place(), on < left - line()});
    }
  }
};

// The place of a step that comes `later` than the one at `slot`.
template <int stages>
__device__ __forceinline__ int later_slot(int slot, int later) {
  return slot + later < stages ? slot + later : slot + later - stages;
}

// In a step, which has `left` of k before it, these bring what a later one needs. In the first steps, which have more
// than all of k before them, nothing is multiplied.
template <class Tile, class Operand, class Part>
struct CopiedQuads {
  using Quads = StepQuads<Tile, Part>;
  static constexpr int kAhead = Tile::kStages - 1;
  typename Operand::Cursor cursor;

  __device__ __forceinline__ CopiedQuads(const Operand& operand, const Section& section)
      : cursor(operand.cursor((Part::kAlongReduced ? section.free : section.begin) + Quads::line(),
                              (Part::kAlongReduced ? section.begin : section.free) + Quads::place())) {}

  __device__ __forceinline__ void advance(const Operand& operand, const Section& section, Part* parts, int left,
                                          int slot) {
    Part& part = parts[later_slot<Tile::kStages>(slot, kAhead)];
    const auto copy = [&](auto whole) {
      Quads::for_each(section, left - kAhead * Tile::kStepK, part,
                      [&](int, float* to, const QuadPlace& quad) { operand.template copy4<whole>(to, quad, cursor); });
    };
    if (operand.has_whole_quads())
      copy(std::true_type());
    else
      copy(std::false_type());
    operand.template advance<Tile::kStepK>(cursor);
  }
};

template <class Tile, class Operand, class Part>
struct ComputedQuads {
  static_assert(Tile::kStages >= 3);
  using Quads = StepQuads<Tile, Part>;
  float4 quads[Quads::kEach];

  __device__ __forceinline__ ComputedQuads(const Operand&, const Section&) {}

  __device__ __forceinline__ void advance(const Operand& operand, const Section& section, Part* parts, int left,
                                          int slot) {
    const int all = section.end - section.begin, later = left - Tile::kStepK, last = later - Tile::kStepK;
    if (later <= all) {
      Quads::for_each(section, later, parts[later_slot<Tile::kStages>(slot, 1)],
                      [&](int i, float* to, const QuadPlace&) { *reinterpret_cast<float4*>(to) = quads[i]; });
    }
    if (last <= all) {
      Quads::for_each(section, last, *parts, [&](int i, float*, const QuadPlace& quad) {
        quads[i] = quad.exists ? operand.load4(quad.line + quad.on, quad.place) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      });
    }
  }
};

template <class Tile, class Operand, class Part>
using QuadsOf =
    std::conditional_t<Operand::kCopied, CopiedQuads<Tile, Operand, Part>, ComputedQuads<Tile, Operand, Part>>;

// A place in an operand of less than 2^34 elements, in one register.
struct QuadCursor {
  uint32_t quads;
  __device__ __forceinline__ const float* in(const float* x) const {
    return reinterpret_cast<const float*>(reinterpret_cast<const float4*>(x) + quads);
  }
};
__device__ __forceinline__ QuadCursor quad_cursor(int64_t element) { return {static_cast<uint32_t>(element / 4)}; }

// A matrix in rows: (lines, length), stride `stride`. Its lines are along k (x of a forward pass) or not (x of a kernel
// gradient, whose k is the rows).
template <bool along_reduced>
struct Lines {
  static constexpr bool kAlongReduced = along_reduced, kCopied = true;
  const float* x;
  int64_t lines, length, stride;

  using Cursor = QuadCursor;
  __device__ __forceinline__ Cursor cursor(int line, int place) const { return quad_cursor(line * stride + place); }
  template <int step_k>
  __device__ __forceinline__ void advance(Cursor& cursor) const {
    cursor.quads += step_k / 4 * (along_reduced ? 1 : static_cast<uint32_t>(stride));
  }
  __device__ __forceinline__ bool has_whole_quads() const { return length % 4 == 0; }
  template <bool whole>
  __device__ __forceinline__ void copy4(float* to, const QuadPlace& quad, const Cursor& cursor) const {
    const int left = static_cast<int>(length) - quad.place;
    const bool is_there = along_reduced ? quad.on < static_cast<int>(lines) - quad.line : left > 0;
    copy_async_16(to, cursor.in(x) + int64_t{quad.on} * static_cast<int>(stride),
                  !quad.exists || !is_there ? 0
                  : whole || left >= 4      ? 16
                                            : 4 * left);
  }
};

// A kernel W (k, n) in panels (n/16, k, 16), padding lanes 0: as B (k, n), or transposed as B (n, k). Its lines are the
// rows of W.
template <bool transposed>
struct Panels {
  static constexpr bool kAlongReduced = transposed, kCopied = true;
  const float* w;
  int64_t k, n;

  using Cursor = QuadCursor;
  __device__ __forceinline__ Cursor cursor(int line, int place) const {
    return quad_cursor(place / kPanel * kPanel * k + line * kPanel + place % kPanel);
  }
  template <int step_k>
  __device__ __forceinline__ void advance(Cursor& cursor) const {
    static_assert(step_k % kPanel == 0 || !transposed);
    cursor.quads += step_k / 4 * (transposed ? static_cast<uint32_t>(k) : kPanel);
  }
  __device__ __forceinline__ bool has_whole_quads() const { return true; }
  template <bool whole>
  __device__ __forceinline__ void copy4(float* to, const QuadPlace& quad, const Cursor& cursor) const {
    const bool is_there = transposed ? quad.on < static_cast<int>(k) - quad.line : quad.place < static_cast<int>(n);
    copy_async_16(to, cursor.in(w) + quad.on * kPanel, quad.exists && is_there ? 16 : 0);
  }
};

}  // namespace weft::cuda
