// Instructions that CUDA has no function for. tests/cuda_on_cpu/include/cuda/ptx.h is the same in C++.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace weft::cuda {

// The GPU that is compiled for: 750 is compute capability 7.5. Before 8.0 there are no tensor cores for TF32 and
// bfloat16: what needs them traps, and CudaDevice starts nothing of the kind there.
#ifdef __CUDA_ARCH__
constexpr int kCompiledFor = __CUDA_ARCH__;
#else
constexpr int kCompiledFor = 0;  // the host's own code
#endif

// cvt.rna: to nearest, ties away from zero.
__device__ __forceinline__ float to_tf32(float x) {
  uint32_t bits = 0;
  if constexpr (kCompiledFor >= 800)
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  else
    __trap();
  return __uint_as_float(bits);
}

// d (16 x 8) += a (16 x 8) b (8 x 8), tf32 in, float32 out. Lane 4*g + t holds a[g][t], a[g+8][t], a[g][t+4],
// a[g+8][t+4]; b[t][g], b[t+4][g]; d[g][2t], d[g][2t+1], d[g+8][2t], d[g+8][2t+1].
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2]) {
  if constexpr (kCompiledFor >= 800)
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
  else
    __trap();
}

// Two floats as bfloat16, the first in the lower half.
__device__ __forceinline__ uint32_t pack_bfloat16(float low, float high) {
  uint32_t packed = 0;
  if constexpr (kCompiledFor >= 800)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  else
    __trap();
  return packed;
}

// d (16 x 8) += a (16 x 16) b (16 x 8), bfloat16 in, float32 out; each register is a pair along k. Lane 4*g + t holds
// a[g][2t..], a[g+8][2t..], a[g][2t+8..], a[g+8][2t+8..]; b[2t..][g], b[2t+8..][g]; d as above.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (kCompiledFor >= 800)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    __trap();
}

// 16 bytes from global to shared memory, zeros instead of what `valid_bytes`, a multiple of 4, does not count.
// Before 8.0 they are there at once.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, int valid_bytes) {
  if constexpr (kCompiledFor >= 800) {
    const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid_bytes) : "memory");
  } else {
    const float* const from = static_cast<const float*>(global);
    float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (valid_bytes == 16) {
      quad = *reinterpret_cast<const float4*>(from);
    } else {
      if (valid_bytes > 0) quad.x = from[0];
      if (valid_bytes > 4) quad.y = from[1];
      if (valid_bytes > 8) quad.z = from[2];
    }
    *static_cast<float4*>(shared) = quad;
  }
}
__device__ __forceinline__ void copy_async_4(void* shared, const void* global, bool valid) {
  if constexpr (kCompiledFor >= 800) {
    const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(valid ? 4 : 0) : "memory");
  } else {
    *static_cast<float*>(shared) = valid ? *static_cast<const float*>(global) : 0.0f;
  }
}
__device__ __forceinline__ void copy_async_commit() {
  if constexpr (kCompiledFor >= 800) asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int groups>
__device__ __forceinline__ void copy_async_wait() {
  if constexpr (kCompiledFor >= 800) asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

// Programmatic dependent launch, from compute capability 9.0 on: a grid waits for the one before, and lets the next one
// be set up. Without effect where the launch did not ask for it.
__device__ __forceinline__ void wait_for_previous_grid() {
  if constexpr (kCompiledFor >= 900) asm volatile("griddepcontrol.wait;" ::: "memory");
}
__device__ __forceinline__ void let_next_grid_start() {
  if constexpr (kCompiledFor >= 900) asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// The block's memory that the launch asked for.
__device__ __forceinline__ void* shared_memory() {
  extern __shared__ __align__(128) char weft_shared_memory[];
  return weft_shared_memory;
}

}  // namespace weft::cuda
