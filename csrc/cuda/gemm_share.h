// What one thread computes of a block's tile of C, from operands in shared memory, and with which instructions: FMAs in
// float32, or the tensor cores' products of smaller numbers, summed in float32. A share has
//   kM, kN, kThreads          the tile and its threads
//   kStepK, kStages           how much of k is in shared memory as one step, and how many steps are
//   kPaddingAlongK, kPadding  of the lines of an operand's part: see OperandPart
//   kBlocks                   how many a multiprocessor's registers must be enough for
//   kMacsPerClock             of a multiprocessor, about: the choice of the tile rests on it
//   multiply(a, b, k)         C += A B over kSliceK of k, from k on; kUnrolled of them follow each other without a loop
//   write(c, stride, first)   the thread's elements into c (kM, columns from `first` on)
#pragma once

#include <cuda_runtime.h>

#include "cuda/ptx.h"

namespace weft::cuda {

// What a step needs of an operand, laid out in shared memory as in global memory: [free][k] if it lies along the
// reduced axis, else [k][free]. Lines are padded so that what a warp reads at once lies in different banks.
template <bool along_reduced, int free, int step_k, int padding>
struct alignas(16) OperandPart {
  static constexpr bool kAlongReduced = along_reduced;
  static constexpr int kLines = along_reduced ? free : step_k, kLength = along_reduced ? step_k : free;
  float x[kLines][kLength + padding];

  __device__ __forceinline__ const float* at(int k, int i) const { return along_reduced ? &x[i][k] : &x[k][i]; }
};

// Floats side by side, aligned to their size.
template <int count>
__device__ __forceinline__ void load_vector(const float* from, float (&x)[count]) {
  if constexpr (count == 4) {
    const float4 quad = *reinterpret_cast<const float4*>(from);
    x[0] = quad.x, x[1] = quad.y, x[2] = quad.z, x[3] = quad.w;
  } else if constexpr (count == 2) {
    const float2 pair = *reinterpret_cast<const float2*>(from);
    x[0] = pair.x, x[1] = pair.y;
  } else {
    x[0] = *from;
  }
}

// --- FMAs --------------------------------------------------------------------------------------------

// Which `count` rows of a warp's part of C one of `lanes` lanes computes, or which columns. An operand [k][free] is
// read in vectors of rows. One that is [free][k] is read two k at a time, and every lanes-th line: then up to 8 lanes
// read neighbouring lines, which begin in different multiples of four banks if they are 4 (mod 8) floats long.
template <bool along_reduced, int lanes, int count>
struct LaneShare {
  static constexpr int kVector = along_reduced ? 1 : count < 4 ? count : 4;
  static __device__ __forceinline__ int place(int lane, int i) {
    return (i / kVector * lanes + lane) * kVector + i % kVector;
  }

  // to[dk][i] = element (k + dk, first + place(lane, i))
  template <class Part>
  static __device__ __forceinline__ void load(const Part& part, int k, int first, int lane, float (&to)[2][count]) {
#pragma unroll
    for (int i = 0; i < count; i += kVector) {
      const int at = first + place(lane, i);
      if constexpr (along_reduced) {
        float pair[2];
        load_vector(part.at(k, at), pair);
        to[0][i] = pair[0], to[1][i] = pair[1];
      } else {
#pragma unroll
        for (int dk = 0; dk < 2; dk++) {
          float vector[kVector];
          load_vector(part.at(k + dk, at), vector);
#pragma unroll
          for (int j = 0; j < kVector; j++) to[dk][i + j] = vector[j];
        }
      }
    }
  }
};

// A warp computes 32 x 32 elements, twice as many columns of a wide tile, a quarter of a small one.
template <int m, int n, bool a_along_k, bool b_along_k>
struct SimtShare {
  static constexpr int kM = m, kN = n, kSliceK = 2;
  static constexpr int kWarpM = m == 32 ? 16 : 32, kWarpN = n == 128 ? 64 : kWarpM;
  static constexpr int kWarpsN = n / kWarpN, kThreads = m / kWarpM * kWarpsN * 32;
  static constexpr int kStepK = m == 32 ? 32 : m == 256 ? 8 : 16, kStages = m > 64 ? 3 : 4;
  // nvcc joins the reads along k of neighbouring slices, too many for the registers of the largest tile.
  static constexpr int kUnrolled = m == 128 && n == 128 && (a_along_k || b_along_k) ? 1 : kStepK / kSliceK;
  static constexpr int kPaddingAlongK = 4, kPadding = 0;
  static constexpr int kBlocks = 2;
  static constexpr int kLanesM = 4, kLanesN = 8, kRows = kWarpM / kLanesM, kColumns = kWarpN / kLanesN;
  // Of a multiprocessor, of 128: an estimate, which counts the reads of shared memory twice.
  static constexpr double kMacsPerClock = 128.0 * kRows * kColumns / (kRows * kColumns + 2 * (kRows + kColumns));
  using Rows = LaneShare<a_along_k, kLanesM, kRows>;
  using Columns = LaneShare<b_along_k, kLanesN, kColumns>;

  float c[kRows][kColumns] = {};

  // Of neighbouring lanes, 0 and 1 share their columns, 0 and 2 their row: then 16 lanes are served at once, not 8.
  static __device__ __forceinline__ int lane_row() {
    return static_cast<int>(threadIdx.x / 16 % 2 * 2 + threadIdx.x % 2);
  }
  static __device__ __forceinline__ int lane_column() { return static_cast<int>(threadIdx.x / 2 % 8); }
  // The warp's first ones.
  static __device__ __forceinline__ int row() { return static_cast<int>(threadIdx.x / 32 / kWarpsN * kWarpM); }
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x / 32 % kWarpsN * kWarpN); }

  template <class PartA, class PartB>
  __device__ __forceinline__ void multiply(const PartA& a, const PartB& b, int k) {
    float of_a[2][kRows], of_b[2][kColumns];
    Rows::load(a, k, row(), lane_row(), of_a);
    Columns::load(b, k, column(), lane_column(), of_b);
#pragma unroll
    for (int dk = 0; dk < 2; dk++) {
#pragma unroll
      for (int i = 0; i < kRows; i++) {
#pragma unroll
        for (int j = 0; j < kColumns; j++) c[i][j] = fmaf(of_a[dk][i], of_b[dk][j], c[i][j]);
      }
    }
  }

  __device__ __forceinline__ void write(float* to, int stride, int first) const {
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      float* const line = to + (row() + Rows::place(lane_row(), i)) * stride + column() - first;
#pragma unroll
      for (int j = 0; j < kColumns; j += Columns::kVector) {
        float* const place = line + Columns::place(lane_column(), j);
        if constexpr (Columns::kVector == 4)
          *reinterpret_cast<float4*>(place) = make_float4(c[i][j], c[i][j + 1], c[i][j + 2], c[i][j + 3]);
        else if constexpr (Columns::kVector == 2)
          *reinterpret_cast<float2*>(place) = make_float2(c[i][j], c[i][j + 1]);
        else
          *place = c[i][j];
      }
    }
  }
};

// --- Tensor cores ------------------------------------------------------------------------------------

// Their products: C (16 x 8) += A (16 x kK) B (kK x 8) of a warp. Lane 4*g + t holds of A and B what their fragments
// load from (k, i) of a part on.
struct Tf32Product {
  static constexpr int kK = 8, kUnrolled = 8;
  // A lane reads (t, g): banks 4g + t or 20g + t of lines along k, 8t + g of others.
  static constexpr int kPaddingAlongK = 4, kPadding = 8;
  static constexpr int kWarpN = 64;             // of a large tile
  static constexpr double kMacsPerClock = 600;  // of a multiprocessor of an H200, of 1,024: an estimate
  struct A {
    float x[4];
  };
  struct B {
    float x[2];
  };
  template <class Part>
  static __device__ __forceinline__ A exact_a(const Part& part, int k, int i, int g, int t) {
    return {{*part.at(k + t, i + g), *part.at(k + t, i + g + 8), *part.at(k + t + 4, i + g),
             *part.at(k + t + 4, i + g + 8)}};
  }
  template <class Part>
  static __device__ __forceinline__ B exact_b(const Part& part, int k, int i, int g, int t) {
    return {{*part.at(k + t, i + g), *part.at(k + t + 4, i + g)}};
  }
  template <class Part>
  static __device__ __forceinline__ A load_a(const Part& part, int k, int i, int g, int t) {
    const A a = exact_a(part, k, i, g, t);
    return {{to_tf32(a.x[0]), to_tf32(a.x[1]), to_tf32(a.x[2]), to_tf32(a.x[3])}};
  }
  template <class Part>
  static __device__ __forceinline__ B load_b(const Part& part, int k, int i, int g, int t) {
    const B b = exact_b(part, k, i, g, t);
    return {{to_tf32(b.x[0]), to_tf32(b.x[1])}};
  }
  static __device__ __forceinline__ void multiply(float (&c)[4], const A& a, const B& b) {
    mma_m16n8k8_tf32(c, a.x, b.x);
  }
};

// As exact as float32: an element is the sum of two TF32 numbers, and of the four products of two such sums only that
// of the small parts is left out. Ootomo and Yokota, Recovering single precision accuracy from Tensor Cores, 2022: what
// the tensor cores add up is truncated, not rounded, so a longer sum is taken by ordinary additions.
struct Tf32x3Product {
  static constexpr int kK = Tf32Product::kK, kUnrolled = 1;  // unrolled twice, it spills
  static constexpr int kPaddingAlongK = Tf32Product::kPaddingAlongK, kPadding = Tf32Product::kPadding;
  static constexpr int kWarpN = 32;  // 64 do not fit into the registers
  static constexpr double kMacsPerClock = Tf32Product::kMacsPerClock / 3;
  struct A {
    float large[4], small[4];
  };
  struct B {
    float large[2], small[2];
  };
  template <int count>
  static __device__ __forceinline__ void divide(const float (&x)[count], float (&large)[count], float (&small)[count]) {
#pragma unroll
    for (int i = 0; i < count; i++) {
      large[i] = to_tf32(x[i]);
      small[i] = to_tf32(x[i] - large[i]);
    }
  }
  template <class Part>
  static __device__ __forceinline__ A load_a(const Part& part, int k, int i, int g, int t) {
    A a;
    divide(Tf32Product::exact_a(part, k, i, g, t).x, a.large, a.small);
    return a;
  }
  template <class Part>
  static __device__ __forceinline__ B load_b(const Part& part, int k, int i, int g, int t) {
    B b;
    divide(Tf32Product::exact_b(part, k, i, g, t).x, b.large, b.small);
    return b;
  }
  static __device__ __forceinline__ void multiply(float (&c)[4], const A& a, const B& b) {
    float sum[4] = {};
    mma_m16n8k8_tf32(sum, a.small, b.large);
    mma_m16n8k8_tf32(sum, a.large, b.small);
    mma_m16n8k8_tf32(sum, a.large, b.large);
#pragma unroll
    for (int i = 0; i < 4; i++) c[i] += sum[i];
  }
};

struct Bfloat16Product {
  static constexpr int kK = 16, kUnrolled = 4;
  // A lane reads (2t, g) and (2t + 1, g): of lines along k both at once, 16 lanes from banks 8g + 2t or 24g + 2t, of
  // others from banks 8t + g.
  static constexpr int kPaddingAlongK = 8, kPadding = 4;
  static constexpr int kWarpN = 64;
  static constexpr double kMacsPerClock = 2 * Tf32Product::kMacsPerClock;
  struct A {
    uint32_t x[4];  // pairs along k, the first in the lower half
  };
  struct B {
    uint32_t x[2];
  };
  template <class Part>
  static __device__ __forceinline__ uint32_t pair(const Part& part, int k, int i) {
    if constexpr (Part::kAlongReduced) {
      const float2 both = *reinterpret_cast<const float2*>(part.at(k, i));
      return pack_bfloat16(both.x, both.y);
    } else {
      return pack_bfloat16(*part.at(k, i), *part.at(k + 1, i));
    }
  }
  template <class Part>
  static __device__ __forceinline__ A load_a(const Part& part, int k, int i, int g, int t) {
    return {{pair(part, k + 2 * t, i + g), pair(part, k + 2 * t, i + g + 8), pair(part, k + 2 * t + 8, i + g),
             pair(part, k + 2 * t + 8, i + g + 8)}};
  }
  template <class Part>
  static __device__ __forceinline__ B load_b(const Part& part, int k, int i, int g, int t) {
    return {{pair(part, k + 2 * t, i + g), pair(part, k + 2 * t + 8, i + g)}};
  }
  static __device__ __forceinline__ void multiply(float (&c)[4], const A& a, const B& b) {
    mma_m16n8k16_bf16(c, a.x, b.x);
  }
};

// A warp computes 64 x 64 elements of a large tile (a read of shared memory for each product; 64 x 32 would take half
// as many again, as many as shared memory can deliver), 32 x 32 or 16 x 16 of smaller ones, in fragments of 16 x 8.
template <int m, int n, class Product>
struct TensorShare {
  static constexpr int kM = m, kN = n, kSliceK = Product::kK;
  static constexpr int kWarpM = n >= 128 ? 64 : m == 32 ? 16 : 32, kWarpN = n >= 128 ? Product::kWarpN : kWarpM;
  static constexpr int kWarpsN = n / kWarpN, kThreads = m / kWarpM * kWarpsN * 32;
  static constexpr int kStepK = n >= 128 ? 16 : m == 32 ? 64 : 32, kStages = m == 128 ? 3 : 4;
  static constexpr int kUnrolled = Product::kUnrolled;
  static constexpr int kPaddingAlongK = Product::kPaddingAlongK, kPadding = Product::kPadding;
  static constexpr int kBlocks = kThreads > 128 ? 1 : m* n > 64 * 64 ? 2 : 3;
  // Four fifths of what shared memory can deliver for, 128 bytes a clock.
  static constexpr double kDelivered = 0.8 * 32 * kWarpM * kWarpN / (kWarpM + kWarpN);
  static constexpr double kMacsPerClock = kDelivered < Product::kMacsPerClock ? kDelivered : Product::kMacsPerClock;
  static constexpr int kFragmentsM = kWarpM / 16, kFragmentsN = kWarpN / 8;

  float c[kFragmentsM][kFragmentsN][4] = {};

  static __device__ __forceinline__ int row() { return static_cast<int>(threadIdx.x / 32 / kWarpsN * kWarpM); }
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x / 32 % kWarpsN * kWarpN); }

  template <class PartA, class PartB>
  __device__ __forceinline__ void multiply(const PartA& a, const PartB& b, int k) {
    const int g = static_cast<int>(threadIdx.x % 32 / 4), t = static_cast<int>(threadIdx.x % 4);
    typename Product::B of_b[kFragmentsN];
#pragma unroll
    for (int j = 0; j < kFragmentsN; j++) of_b[j] = Product::load_b(b, k, column() + 8 * j, g, t);
#pragma unroll
    for (int i = 0; i < kFragmentsM; i++) {
      const typename Product::A of_a = Product::load_a(a, k, row() + 16 * i, g, t);
#pragma unroll
      for (int j = 0; j < kFragmentsN; j++) Product::multiply(c[i][j], of_a, of_b[j]);
    }
  }

  __device__ __forceinline__ void write(float* to, int stride, int first) const {
    const int g = static_cast<int>(threadIdx.x % 32 / 4), t = static_cast<int>(threadIdx.x % 4);
#pragma unroll
    for (int i = 0; i < kFragmentsM; i++) {
#pragma unroll
      for (int j = 0; j < kFragmentsN; j++) {
        float* const place = to + (row() + 16 * i + g) * stride + column() - first + 8 * j + 2 * t;
        *reinterpret_cast<float2*>(place) = make_float2(c[i][j][0], c[i][j][1]);
        *reinterpret_cast<float2*>(place + 8 * stride) = make_float2(c[i][j][2], c[i][j][3]);
      }
    }
  }
};

// As SimtShare: how the operands lie makes no difference to a fragment's place in C.
template <int m, int n, bool, bool>
struct Tf32Share : TensorShare<m, n, Tf32Product> {};
template <int m, int n, bool, bool>
struct Tf32x3Share : TensorShare<m, n, Tf32x3Product> {};
template <int m, int n, bool, bool>
struct Bfloat16Share : TensorShare<m, n, Bfloat16Product> {};

}  // namespace weft::cuda
