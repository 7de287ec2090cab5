// One matrix product for all of weft's products: C (m, n) = A (m, k) B (k, n). What A and B are, and what becomes of
// C, is said by the caller with three structs; a dense layer, a convolution and their gradients differ in nothing else.
//
// An operand stands in memory with groups of four elements side by side, either along the reduced axis k or along its
// free one (m of A, n of B), in lines:
//   static constexpr bool kAlongReduced, kCopied;
// One whose elements stand in memory is kCopied and has
//   Cursor cursor(int line, int place) const;              where a thread begins, at its first quad,
//   template <int step_k> void advance(Cursor&) const;     and how that place moves on from step to step
//   bool has_whole_quads() const;                          whether a quad is always four neighbours in memory
//   template <bool whole> void copy4(float* to, const QuadPlace&, const Cursor&) const;
// the last of which copies elements [place, place + 4) of a line to shared memory with copy_async_*, 0 where there are
// none; place, a multiple of 4, runs along k if kAlongReduced, else along the free axis. Another one has
//   float4 load4(int line, int place) const;
//
// An epilogue takes `rows_per_item` rows of C at a time (a constant 1, or a member, the pixels of a pooling window):
//   __device__ void store4(int64_t item, int64_t column, const float* c, int c_stride) const;
// c points at element (first row of the item, column) of C in shared memory; rows are c_stride apart.
//
// Each element of C is one sum over k, in its order, starting from 0 (in float32 one chain of FMAs), no matter which
// tile it is in. A sum over very many k may be cut into splits, near equal runs of `k_unit` each; every split makes a C
// of its own, which the epilogue tells apart by blockIdx.z. Then no operand may be along the reduced axis.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/types.h"
#include "cuda/gemm_operands.h"
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
template <class Share, class A, class B>
struct GemmTile {
  using ThreadShare = Share;
  static constexpr int kM = Share::kM, kN = Share::kN, kThreads = Share::kThreads;
  static constexpr int kStepK = Share::kStepK, kStages = Share::kStages;

  template <class Operand, int free>
  using Part = OperandPart<Operand::kAlongReduced, free, kStepK,
                           Operand::kAlongReduced ? Share::kPaddingAlongK : Share::kPadding>;
  using PartA = Part<A, kM>;
  using PartB = Part<B, kN>;
  // One step is computed on while others are on their way.
  struct Operands {
    PartA a[kStages];
    PartB b[kStages];
  };
  // C comes to the epilogue in so many columns at a time.
  static constexpr int kColumns = kN < 64 ? kN : 64, kCStride = kColumns + 4;
  union Shared {
    Operands operands;
    float c[kM * kCStride];
  };
};

// Rows of C that a tile covers: whole items.
template <class Share>
__host__ __device__ constexpr int rows_of_tile(int rows_per_item) {
  return Share::kM / rows_per_item * rows_per_item;
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

// C += A B of `count` of k, at most a step.
template <class Tile>
__device__ __forceinline__ void multiply_step(typename Tile::ThreadShare& share, const typename Tile::PartA& a,
                                              const typename Tile::PartB& b, int count) {
  constexpr int kSliceK = Tile::ThreadShare::kSliceK;
  if (count >= Tile::kStepK) {
#pragma unroll Tile::ThreadShare::kUnrolled
    for (int k = 0; k < Tile::kStepK; k += kSliceK) share.multiply(a, b, k);
  } else {
#pragma unroll 1
    for (int k = 0; k < count; k += kSliceK) share.multiply(a, b, k);
  }
}

template <class Tile, class Args>
__device__ void gemm_body(const Args& args) {
  constexpr int kStages = Tile::kStages;
  typename Tile::Shared& s = shared<typename Tile::Shared>();
  const int rows_per_item = args.epilogue.rows_per_item;
  const int rows = rows_of_tile<typename Tile::ThreadShare>(rows_per_item);
  const int64_t first_row = int64_t{blockIdx.x} * rows, first_column = int64_t{blockIdx.y} * Tile::kN;
  const Run run = split_of(args.k / args.k_unit, args.splits, blockIdx.z);
  const int begin = static_cast<int>(run.begin * args.k_unit), end = static_cast<int>(run.end * args.k_unit);
  const Section of_a = {static_cast<int>(first_row), begin, end}, of_b = {static_cast<int>(first_column), begin, end};

  typename Tile::ThreadShare share;
  QuadsOf<Tile, decltype(args.a), typename Tile::PartA> a(args.a, of_a);
  QuadsOf<Tile, decltype(args.b), typename Tile::PartB> b(args.b, of_b);
  int slot = 1;
  // In the first steps operands are only brought, for the steps after them.
  for (int left = end - begin + (kStages - 1) * Tile::kStepK; left > 0; left -= Tile::kStepK) {
    const bool multiplies = left <= end - begin;
    if (multiplies) {
      copy_async_wait<kStages - 2>();
      __syncthreads();
    }
    // One barrier a step is enough: what is overwritten now was read before it.
    a.advance(args.a, of_a, s.operands.a, left, slot);
    b.advance(args.b, of_b, s.operands.b, left, slot);
    copy_async_commit();
    if (multiplies) multiply_step<Tile>(share, s.operands.a[slot], s.operands.b[slot], left);
    slot = later_slot<kStages>(slot, 1);
  }
  copy_async_wait<0>();

  const int items = rows / rows_per_item;
#pragma unroll 1
  for (int part = 0; part < Tile::kN; part += Tile::kColumns) {
    // Columns up to the next whole panel are the epilogue's, too.
    const int64_t columns = round_up(args.n, kPanel) - first_column - part;
    if (columns <= 0) break;
    __syncthreads();  // C takes the operands' place, or that of the columns before
    if (share.column() / Tile::kColumns == part / Tile::kColumns) share.write(s.c, Tile::kCStride, part);
    __syncthreads();
    for (int q = threadIdx.x; q < items * (Tile::kColumns / 4); q += Tile::kThreads) {
      const int item = q / (Tile::kColumns / 4), at = q % (Tile::kColumns / 4) * 4;
      if (first_row + (item + 1) * rows_per_item > args.m || at >= columns) continue;
      args.epilogue.store4(first_row / rows_per_item + item, first_column + part + at,
                           s.c + item * rows_per_item * Tile::kCStride + at, Tile::kCStride);
    }
  }
}

// --- The tile ----------------------------------------------------------------------------------------

// A product with one kind of tile.
template <class Args>
struct TileChoice {
  double clocks;  // an estimate for each k
  void (*launch)(const Args&);
};

template <class Tile, class Args>
void launch_gemm_tile(const Args& args) {
  using Share = typename Tile::ThreadShare;
  const int rows = rows_of_tile<Share>(args.epilogue.rows_per_item);
  // Rows may be many: only a grid's first axis takes more than 65,535 blocks.
  const dim3 blocks(static_cast<unsigned>(ceil_divide(args.m, rows)),
                    static_cast<unsigned>(ceil_divide(args.n, Tile::kN)), static_cast<unsigned>(args.splits));
  launch<Args, gemm_body<Tile, Args>, Tile::kThreads, Share::kBlocks>(blocks, args, sizeof(typename Tile::Shared));
}

// What takes longest on an H200: the L2 cache's deliveries to all multiprocessors (5.5 TB/s), those to the one with the
// most blocks (64 bytes a clock), or its arithmetic. Large tiles read less, small ones give everyone a part. Other GPUs
// differ, and the results depend on none of this.
template <class Share, class Args>
TileChoice<Args> tile_choice(const Args& args) {
  using Tile = GemmTile<Share, decltype(args.a), decltype(args.b)>;
  constexpr double kMultiprocessors = 132, kL2Floats = 780, kFloats = 16;
  constexpr double kLoads = Share::kM + Share::kN, kMacs = Share::kM * Share::kN;
  const int rows = rows_of_tile<Share>(args.epilogue.rows_per_item);
  const auto limit = static_cast<size_t>(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  constexpr int64_t kMostColumns = 65535;  // of blocks in a grid
  if (rows == 0 || sizeof(typename Tile::Shared) > limit || ceil_divide(args.n, Share::kN) > kMostColumns) {
    return {HUGE_VAL, nullptr};
  }
  const auto blocks = static_cast<double>(ceil_divide(args.m, rows) * ceil_divide(args.n, Share::kN) * args.splits);
  const double most = std::ceil(blocks / kMultiprocessors);
  const double clocks =
      std::max({blocks * kLoads / kL2Floats, most * kLoads / kFloats, most * kMacs / Share::kMacsPerClock});
  return {clocks, launch_gemm_tile<Tile, Args>};
}

// C = A B with the tile that suits the size.
template <template <int m, int n, bool a_along_k, bool b_along_k> class Share, class Args>
void launch_gemm_of(const Args& args) {
  constexpr bool kA = decltype(args.a)::kAlongReduced, kB = decltype(args.b)::kAlongReduced;
  const auto launch = [&](const TileChoice<Args>& choice) {
    if (!choice.launch)
      fail("a product with %lld columns is too large for CUDA kernels", static_cast<long long>(args.n));
    choice.launch(args);
  };
  if constexpr (std::is_member_pointer_v<decltype(&decltype(args.epilogue)::rows_per_item)>) {  // it may be large
    if (args.epilogue.rows_per_item > 128) return launch(tile_choice<SimtShare<256, 32, kA, kB>>(args));
  }
  TileChoice<Args> best = tile_choice<Share<128, 128, kA, kB>>(args);
  const auto consider = [&](const TileChoice<Args>& other) {
    if (other.clocks < best.clocks) best = other;
  };
  // Where arithmetic is so fast that the cache cannot keep up with smaller ones.
  if constexpr (Share<128, 128, kA, kB>::kMacsPerClock > 500) consider(tile_choice<Share<128, 256, kA, kB>>(args));
  consider(tile_choice<Share<128, 32, kA, kB>>(args));
  consider(tile_choice<Share<64, 64, kA, kB>>(args));
  consider(tile_choice<Share<32, 32, kA, kB>>(args));
  launch(best);
}

template <class A, class B, class Epilogue>
void launch_gemm(const GemmArgs<A, B, Epilogue>& args) {
  if (args.m == 0 || args.n == 0) return;
  constexpr int64_t kMost = INT32_MAX - 1024;  // rows, columns and k are counted in 32 bits, up to a few tiles beyond
  if (const long long m = args.m, n = args.n, k = args.k; m > kMost || n > kMost || k > kMost) {
    fail("a product of (%lld, %lld) and (%lld, %lld) is too large for CUDA kernels", m, k, k, n);
  }
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

}  // namespace weft::cuda
