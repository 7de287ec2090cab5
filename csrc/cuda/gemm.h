// One matrix product for all of weft's products: C (m, n) = A (m, k) B (k, n). What A and B are, and what becomes of
// C, is said by the caller with three structs; a dense layer, a convolution and their gradients differ in nothing else.
//
// An operand stands in memory with groups of four elements side by side, either along the reduced axis k or along its
// free one (m of A, n of B):
//   static constexpr bool kAlongReduced;
//   __device__ float4 load4(int64_t outer, int64_t inner) const;
// gives elements [inner, inner + 4) of line `outer`, 0 where there are none; inner, a multiple of 4, runs along k
// if kAlongReduced, else along the free axis.
//
// An epilogue takes `rows_per_item` rows of C at a time (1, or the pixels of a pooling window):
//   __device__ void store4(int64_t item, int64_t column, const float* c, int c_stride) const;
// c points at element (first row of the item, column) of C in shared memory; rows are c_stride apart.
//
// Each element of C is one sum over k, in its order, starting from 0 (in float32 one chain of FMAs), no matter which
// tile it is in. A sum over very many k may be cut into splits, near equal runs of `k_unit` each; every split makes a C
// of its own, which the epilogue tells apart by blockIdx.z. Then no operand may be along the reduced axis.
#pragma once

#include "core/types.h"
#include "cuda/gemm_share.h"
#include "cuda/launch.h"

namespace weft::cuda {

template <class A, class B, class Epilogue>
struct GemmArgs {
  int64_t m, n, k;
  int64_t k_unit, splits;
  A a;
  B b;
  Epilogue epilogue;
};

// A block computes kM x kN elements of C; `Share` says what a thread computes of them, and how.
template <class Share>
struct GemmTile {
  using ThreadShare = Share;
  static constexpr int kM = Share::kM, kN = Share::kN, kThreads = Share::kThreads;

  // Operands twice: one pair is computed on while the next is on its way.
  struct Operands {
    float a[2][kStepK][kM + kRowPadding];
    float b[2][kStepK][kN + kRowPadding];
  };
  static constexpr int kCStride = kN + 4;
  union Shared {
    Operands operands;
    float c[kM * kCStride];
  };
};

// One operand's kK x free elements of a step, in the registers of a tile's threads: quads of four.
template <class Tile, class Operand, int free>
struct OperandQuads {
  static constexpr int kQuads = kStepK * free / 4;
  static constexpr int kEach = (kQuads + Tile::kThreads - 1) / Tile::kThreads;
  float4 quads[kEach];

  // Where quad q stands in the tile: neighbouring threads take neighbouring memory.
  static __device__ __forceinline__ int outer_of(int q) { return q / ((Operand::kAlongReduced ? kStepK : free) / 4); }
  static __device__ __forceinline__ int inner_of(int q) {
    return q % ((Operand::kAlongReduced ? kStepK : free) / 4) * 4;
  }

  // From memory: the tile begins at line first_free of the operand and is `lines` long there.
  __device__ __forceinline__ void load(const Operand& operand, int64_t first_free, int lines, int64_t first_k,
                                       int64_t end_k) {
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const int q = threadIdx.x + i * Tile::kThreads;
      const int outer = outer_of(q), inner = inner_of(q), line = Operand::kAlongReduced ? outer : inner;
      quads[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (q >= kQuads || line >= lines || (!Operand::kAlongReduced && first_k + outer >= end_k)) continue;
      quads[i] = Operand::kAlongReduced ? operand.load4(first_free + outer, first_k + inner)
                                        : operand.load4(first_k + outer, first_free + inner);
    }
  }
  // To shared memory, [k][free].
  __device__ __forceinline__ void store(float (*to)[free + kRowPadding]) const {
    using Share = typename Tile::ThreadShare;
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const int q = threadIdx.x + i * Tile::kThreads, outer = outer_of(q), inner = inner_of(q);
      if (q >= kQuads) continue;
      if constexpr (Operand::kAlongReduced) {
        const int line = swizzled(inner, outer);
        to[inner][line] = Share::prepared(quads[i].x);
        to[inner + 1][line] = Share::prepared(quads[i].y);
        to[inner + 2][line] = Share::prepared(quads[i].z);
        to[inner + 3][line] = Share::prepared(quads[i].w);
      } else {
        *reinterpret_cast<float4*>(&to[outer][swizzled(outer, inner)]) =
            make_float4(Share::prepared(quads[i].x), Share::prepared(quads[i].y), Share::prepared(quads[i].z),
                        Share::prepared(quads[i].w));
      }
    }
  }
};

// Rows of C that a tile covers: whole items.
template <class Tile>
__host__ __device__ constexpr int rows_of_tile(int rows_per_item) {
  return Tile::kM / rows_per_item * rows_per_item;
}

// Run `i` of `count` of n units, the longer ones first.
struct Run {
  int64_t begin, end;
};
__device__ __forceinline__ Run split_of(int64_t n, int64_t count, int64_t i) {
  const int64_t length = n / count, longer = n % count;
  const int64_t begin = i * length + (i < longer ? i : longer);
  return {begin, begin + length + (i < longer)};
}

template <class Tile, class Args>
__device__ void gemm_body(const Args& args) {
  using A = decltype(args.a);
  using B = decltype(args.b);
  typename Tile::Shared& s = shared<typename Tile::Shared>();
  const int rows_per_item = args.epilogue.rows_per_item;
  const int rows = rows_of_tile<Tile>(rows_per_item);
  const int64_t first_row = int64_t{blockIdx.x} * rows, first_column = int64_t{blockIdx.y} * Tile::kN;
  const Run run = split_of(args.k / args.k_unit, args.splits, blockIdx.z);
  const int64_t end_k = run.end * args.k_unit;

  typename Tile::ThreadShare share;
  OperandQuads<Tile, A, Tile::kM> a;
  OperandQuads<Tile, B, Tile::kN> b;
  a.load(args.a, first_row, rows, run.begin * args.k_unit, end_k);
  b.load(args.b, first_column, Tile::kN, run.begin * args.k_unit, end_k);
  int buffer = 0;
  for (int64_t k = run.begin * args.k_unit; k < end_k; k += kStepK) {
    a.store(s.operands.a[buffer]);
    b.store(s.operands.b[buffer]);
    // One barrier a step is enough: what is overwritten in the next step was read before this one.
    __syncthreads();
    if (k + kStepK < end_k) {
      a.load(args.a, first_row, rows, k + kStepK, end_k);
      b.load(args.b, first_column, Tile::kN, k + kStepK, end_k);
    }
    share.multiply_step(s.operands.a[buffer], s.operands.b[buffer]);
    buffer ^= 1;
  }
  __syncthreads();  // C takes the operands' place

  share.write(s.c, Tile::kCStride);
  __syncthreads();
  // Columns up to the next whole panel are the epilogue's, too.
  const int items = rows / rows_per_item;
  for (int q = threadIdx.x; q < items * (Tile::kN / 4); q += Tile::kThreads) {
    const int item = q / (Tile::kN / 4), at = q % (Tile::kN / 4) * 4;
    if (first_row + (item + 1) * rows_per_item > args.m || first_column + at >= round_up(args.n, kPanel)) continue;
    args.epilogue.store4(first_row / rows_per_item + item, first_column + at,
                         s.c + item * rows_per_item * Tile::kCStride + at, Tile::kCStride);
  }
}

template <class Tile, class Args>
void launch_gemm_tile(const Args& args) {
  const int rows = rows_of_tile<Tile>(args.epilogue.rows_per_item);
  // Rows may be many: only a grid's first axis takes more than 65,535 blocks.
  const dim3 blocks(static_cast<unsigned>(ceil_divide(args.m, rows)),
                    static_cast<unsigned>(ceil_divide(args.n, Tile::kN)), static_cast<unsigned>(args.splits));
  launch<Args, gemm_body<Tile, Args>, Tile::kThreads>(blocks, args, sizeof(typename Tile::Shared));
}

// C = A B with the tile that suits the size: large ones read less, small ones give every multiprocessor a part.
template <template <int m, int n> class Share, class Args>
void launch_gemm_of(const Args& args) {
  constexpr int64_t kMultiprocessors = 132;  // of an H200; more or less of them change the speed only
  const auto suits = [&](int64_t side) {
    return ceil_divide(args.m, side) * ceil_divide(args.n, side) * args.splits >= kMultiprocessors;
  };
  // An item's rows must fit into a tile.
  const int rows = args.epilogue.rows_per_item;
  if (rows > 128)
    launch_gemm_tile<GemmTile<SimtShare<256, 32>>>(args);
  else if (rows > 64 || suits(128))
    launch_gemm_tile<GemmTile<Share<128, 128>>>(args);
  else if (rows > 32 || suits(64))
    launch_gemm_tile<GemmTile<Share<64, 64>>>(args);
  else
    launch_gemm_tile<GemmTile<Share<32, 32>>>(args);
}

template <class A, class B, class Epilogue>
void launch_gemm(const GemmArgs<A, B, Epilogue>& args) {
  if (args.m == 0 || args.n == 0) return;
  switch (launch_context().precision) {
    case MatmulPrecision::kFloat32:
      return launch_gemm_of<SimtShare>(args);
    case MatmulPrecision::kTf32:
      return launch_gemm_of<Tf32Share>(args);
    case MatmulPrecision::kBfloat16:
      return launch_gemm_of<Bfloat16Share>(args);
    case MatmulPrecision::kTf32x3:
      return launch_gemm_of<Tf32x3Share>(args);
  }
}

template <class A, class B, class Epilogue>
void launch_gemm(int64_t m, int64_t n, int64_t k, const A& a, const B& b, const Epilogue& epilogue) {
  launch_gemm(GemmArgs<A, B, Epilogue>{m, n, k, 1, 1, a, b, epilogue});
}

// --- Operands ----------------------------------------------------------------------------------------

// Elements [inner, inner + 4) of a line whose first `length` elements count; four are readable.
__device__ __forceinline__ float4 counted_quad(const float* line, int64_t inner, int64_t length) {
  float4 quad = *reinterpret_cast<const float4*>(line + inner);
  if (inner + 1 >= length) quad.y = 0.0f;
  if (inner + 2 >= length) quad.z = 0.0f;
  if (inner + 3 >= length) quad.w = 0.0f;
  return quad;
}

// A matrix in rows: (lines, length), stride `stride`. Its lines are along k (x of a forward pass) or not (x of a kernel
// gradient, whose k is the rows).
template <bool along_reduced>
struct Lines {
  static constexpr bool kAlongReduced = along_reduced;
  const float* x;
  int64_t lines, length, stride;

  __device__ __forceinline__ float4 load4(int64_t outer, int64_t inner) const {
    if (outer >= lines || inner >= length) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    return counted_quad(x + outer * stride, inner, length);
  }
};

// A kernel W (k, n) in panels (n/16, k, 16), padding lanes 0: as B (k, n), or transposed as B (n, k).
template <bool transposed>
struct Panels {
  static constexpr bool kAlongReduced = transposed;
  const float* w;
  int64_t k, n;

  __device__ __forceinline__ float4 load4(int64_t outer, int64_t column) const {  // outer is a row of W
    if (outer >= k || column >= n) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    return *reinterpret_cast<const float4*>(w + column / kPanel * kPanel * k + outer * kPanel + column % kPanel);
  }
};

}  // namespace weft::cuda
