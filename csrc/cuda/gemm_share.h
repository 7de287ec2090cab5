// What one thread computes of a block's tile of C, from operands in shared memory, and with which instructions: FMAs in
// float32, or the tensor cores' products of smaller numbers, summed in float32. A share has
//   kM, kN, kThreads        the tile and its threads
//   prepared(x)             an element as the product wants it
//   multiply_step(a, b)     C += A B over kStepK of k; a is [k][m], b is [k][n]
//   write(c, stride)        the thread's elements into c (kM, kN)
#pragma once

#include <cuda_runtime.h>

#include "cuda/ptx.h"

namespace weft::cuda {

// How much of k is in shared memory at a time.
constexpr int kStepK = 16;

// Rows of shared memory are padded, and shifted by a multiple of 8 that changes with every four of them: then neither
// the stores of a quad along k, nor a fragment's reads of 4 x 8 elements, meet in one bank.
constexpr int kRowPadding = 8;
__device__ __forceinline__ constexpr int swizzled(int k, int i) { return i ^ (k / 4 % 4 * 8); }

// FMAs: a thread computes 4 x 4 elements in every part of 4*kThreadsM x 4*kThreadsN.
template <int m, int n>
struct SimtShare {
  static constexpr int kM = m, kN = n;
  static constexpr int kThreadsM = m == 32 ? 8 : m == 256 ? 32 : 16, kThreadsN = n == 32 ? 8 : 16;
  static constexpr int kThreads = kThreadsM * kThreadsN;
  static constexpr int kPartsM = m / (4 * kThreadsM), kPartsN = n / (4 * kThreadsN);

  float c[4 * kPartsM][4 * kPartsN] = {};

  static __device__ __forceinline__ float prepared(float x) { return x; }
  static __device__ __forceinline__ int row() { return static_cast<int>(threadIdx.x) / kThreadsN * 4; }
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x) % kThreadsN * 4; }

  __device__ __forceinline__ void multiply_step(const float (*a)[m + kRowPadding], const float (*b)[n + kRowPadding]) {
#pragma unroll
    for (int k = 0; k < kStepK; k++) {
      float4 a4[kPartsM], b4[kPartsN];
#pragma unroll
      for (int p = 0; p < kPartsM; p++)
        a4[p] = *reinterpret_cast<const float4*>(&a[k][swizzled(k, row() + p * 4 * kThreadsM)]);
#pragma unroll
      for (int p = 0; p < kPartsN; p++)
        b4[p] = *reinterpret_cast<const float4*>(&b[k][swizzled(k, column() + p * 4 * kThreadsN)]);
#pragma unroll
      for (int i = 0; i < 4 * kPartsM; i++) {
        const float4 quad = a4[i / 4];
        const float x = i % 4 == 0 ? quad.x : i % 4 == 1 ? quad.y : i % 4 == 2 ? quad.z : quad.w;
#pragma unroll
        for (int p = 0; p < kPartsN; p++) {
          c[i][4 * p] = fmaf(x, b4[p].x, c[i][4 * p]);
          c[i][4 * p + 1] = fmaf(x, b4[p].y, c[i][4 * p + 1]);
          c[i][4 * p + 2] = fmaf(x, b4[p].z, c[i][4 * p + 2]);
          c[i][4 * p + 3] = fmaf(x, b4[p].w, c[i][4 * p + 3]);
        }
      }
    }
  }

  __device__ __forceinline__ void write(float* to, int stride) const {
#pragma unroll
    for (int i = 0; i < 4 * kPartsM; i++) {
      float* const line = to + (row() + i / 4 * 4 * kThreadsM + i % 4) * stride + column();
#pragma unroll
      for (int p = 0; p < kPartsN; p++) {
        *reinterpret_cast<float4*>(line + p * 4 * kThreadsN) =
            make_float4(c[i][4 * p], c[i][4 * p + 1], c[i][4 * p + 2], c[i][4 * p + 3]);
      }
    }
  }
};

// The products of the tensor cores: C (16 x 8) += A (16 x kK) B (kK x 8) of a warp. Lane 4*g + t holds of A and B what
// their fragments load. kUnrolled of them follow each other along k without a loop.
struct Tf32Product {
  static constexpr int kK = 8, kUnrolled = 2;
  struct A {
    float x[4];
  };
  struct B {
    float x[2];
  };
  static __device__ __forceinline__ float prepared(float x) { return to_tf32(x); }
  template <class Element>  // element(k, i) of the fragment's part of an operand
  static __device__ __forceinline__ A load_a(int g, int t, Element element) {
    return {{element(t, g), element(t, g + 8), element(t + 4, g), element(t + 4, g + 8)}};
  }
  template <class Element>
  static __device__ __forceinline__ B load_b(int g, int t, Element element) {
    return {{element(t, g), element(t + 4, g)}};
  }
  static __device__ __forceinline__ void multiply(float (&c)[4], const A& a, const B& b) {
    mma_m16n8k8_tf32(c, a.x, b.x);
  }
};

// As exact as float32: an element is the sum of two TF32 numbers, and of the four products of two such sums only that
// of the small parts is left out. Ootomo and Yokota, Recovering single precision accuracy from Tensor Cores, 2022: what
// the tensor cores add up is truncated, not rounded, so a longer sum is taken by ordinary additions.
struct Tf32x3Product {
  static constexpr int kK = 8, kUnrolled = 1;  // unrolled twice, it spills
  struct A {
    float large[4], small[4];
  };
  struct B {
    float large[2], small[2];
  };
  static __device__ __forceinline__ float prepared(float x) { return x; }
  template <int count>
  static __device__ __forceinline__ void divide(const float (&x)[count], float (&large)[count], float (&small)[count]) {
#pragma unroll
    for (int i = 0; i < count; i++) {
      large[i] = to_tf32(x[i]);
      small[i] = to_tf32(x[i] - large[i]);
    }
  }
  template <class Element>
  static __device__ __forceinline__ A load_a(int g, int t, Element element) {
    A a;
    divide(Tf32Product::load_a(g, t, element).x, a.large, a.small);
    return a;
  }
  template <class Element>
  static __device__ __forceinline__ B load_b(int g, int t, Element element) {
    B b;
    divide(Tf32Product::load_b(g, t, element).x, b.large, b.small);
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
  static constexpr int kK = 16, kUnrolled = 1;
  struct A {
    uint32_t x[4];  // pairs along k, the first in the lower half
  };
  struct B {
    uint32_t x[2];
  };
  static __device__ __forceinline__ float prepared(float x) { return x; }
  template <class Element>
  static __device__ __forceinline__ A load_a(int g, int t, Element element) {
    const int k = 2 * t;
    return {{pack_bfloat16(element(k, g), element(k + 1, g)), pack_bfloat16(element(k, g + 8), element(k + 1, g + 8)),
             pack_bfloat16(element(k + 8, g), element(k + 9, g)),
             pack_bfloat16(element(k + 8, g + 8), element(k + 9, g + 8))}};
  }
  template <class Element>
  static __device__ __forceinline__ B load_b(int g, int t, Element element) {
    const int k = 2 * t;
    return {{pack_bfloat16(element(k, g), element(k + 1, g)), pack_bfloat16(element(k + 8, g), element(k + 9, g))}};
  }
  static __device__ __forceinline__ void multiply(float (&c)[4], const A& a, const B& b) {
    mma_m16n8k16_bf16(c, a.x, b.x);
  }
};

// A warp computes 32 x 32 elements, or 64 x 32 of the largest tile, in fragments of 16 x 8.
template <int m, int n, class Product>
struct TensorShare {
  static constexpr int kM = m, kN = n;
  static constexpr int kWarpM = m == 128 ? 64 : m == 64 ? 32 : 16, kWarpN = n == 32 ? 16 : 32;
  static constexpr int kWarpsN = n / kWarpN, kThreads = m / kWarpM * kWarpsN * 32;
  static constexpr int kFragmentsM = kWarpM / 16, kFragmentsN = kWarpN / 8;

  float c[kFragmentsM][kFragmentsN][4] = {};

  static __device__ __forceinline__ float prepared(float x) { return Product::prepared(x); }
  static __device__ __forceinline__ int row() { return static_cast<int>(threadIdx.x) / 32 / kWarpsN * kWarpM; }
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x) / 32 % kWarpsN * kWarpN; }

  __device__ __forceinline__ void multiply_step(const float (*a)[m + kRowPadding], const float (*b)[n + kRowPadding]) {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll Product::kUnrolled
    for (int k = 0; k < kStepK; k += Product::kK) {
      typename Product::B of_b[kFragmentsN];
#pragma unroll
      for (int j = 0; j < kFragmentsN; j++) {
        of_b[j] =
            Product::load_b(g, t, [&](int dk, int i) { return b[k + dk][swizzled(k + dk, column() + 8 * j + i)]; });
      }
#pragma unroll
      for (int i = 0; i < kFragmentsM; i++) {
        const typename Product::A of_a =
            Product::load_a(g, t, [&](int dk, int at) { return a[k + dk][swizzled(k + dk, row() + 16 * i + at)]; });
#pragma unroll
        for (int j = 0; j < kFragmentsN; j++) Product::multiply(c[i][j], of_a, of_b[j]);
      }
    }
  }

  __device__ __forceinline__ void write(float* to, int stride) const {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int i = 0; i < kFragmentsM; i++) {
#pragma unroll
      for (int j = 0; j < kFragmentsN; j++) {
        float* const place = to + (row() + 16 * i + g) * stride + column() + 8 * j + 2 * t;
        *reinterpret_cast<float2*>(place) = make_float2(c[i][j][0], c[i][j][1]);
        *reinterpret_cast<float2*>(place + 8 * stride) = make_float2(c[i][j][2], c[i][j][3]);
      }
    }
  }
};

template <int m, int n>
struct Tf32Share : TensorShare<m, n, Tf32Product> {};
template <int m, int n>
struct Tf32x3Share : TensorShare<m, n, Tf32x3Product> {};
template <int m, int n>
struct Bfloat16Share : TensorShare<m, n, Bfloat16Product> {};

}  // namespace weft::cuda
