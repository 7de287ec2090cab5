// How a kernel's grid is started: on the stream of the run, or into the graph that it captures.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/step_state.h"
#include "core/types.h"
#include "cuda/errors.h"
#include "cuda/ptx.h"
#include "ops/kernel.h"

namespace weft::cuda {

// How many grids may run side by side, in branches of a graph: kernels with scratch memory have it once for each.
constexpr int kBranches = 4;

// Set by the device around everything that it starts.
struct LaunchContext {
  cudaStream_t stream = nullptr;
  // Given for kernels that change state: they do nothing once a step has been given up.
  const StepState* guard = nullptr;
  MatmulPrecision precision = MatmulPrecision::kTf32;
  int branch = 0;  // below kBranches
  // Whether a grid may be set up while the one before it on its stream still runs (programmatic dependent launch), and
  // whether there is one.
  bool overlaps = false, follows_grid = false;
};
LaunchContext& launch_context();

// Of the GPU in use.
inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  WEFT_CUDA(cudaGetDevice(&device));
  WEFT_CUDA(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

// Lets a kernel have that much shared memory, and never less than it was let before: a graph may hold both.
void allow_shared_memory(const void* kernel, size_t bytes);

constexpr int kWarp = 32;
// Threads of a block where nothing asks for another number.
constexpr int kThreads = 256;

// Before compute capability 8.0 copies to shared memory pass through registers: as many as they need, for 1 block.
template <class Args, void (*body)(const Args&), int threads, int min_blocks = 0>
__global__ void __launch_bounds__(threads, kCompiledFor < 800 && min_blocks > 1 ? 1 : min_blocks)
    entry(const __grid_constant__ Args args, const StepState* guard) {
  // Where grids overlap, all that the one before has written is there from here on.
  wait_for_previous_grid();
  let_next_grid_start();
  if (guard && guard->abort_step) return;
  body(args);
}

// Runs body(args) in every thread of `blocks` blocks of `threads`. A multiprocessor gets room for `min_blocks` of them:
// a thread may have so few registers. 0 leaves it to the compiler.
template <class Args, void (*body)(const Args&), int threads = kThreads, int min_blocks = 0>
void launch(dim3 blocks, const Args& args, size_t shared_bytes = 0) {
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;
  LaunchContext& context = launch_context();
  auto* const kernel = &entry<Args, body, threads, min_blocks>;
  if (shared_bytes > 48 * 1024) allow_shared_memory(reinterpret_cast<const void*>(kernel), shared_bytes);
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = context.stream;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  if (context.overlaps && context.follows_grid) config.attrs = &overlap, config.numAttrs = 1;
  context.follows_grid = true;
  WEFT_CUDA(cudaLaunchKernelEx(&config, kernel, args, context.guard));
}

// The block's shared memory as a struct of arrays; launch it with sizeof(T).
template <class T>
__device__ __forceinline__ T& shared() {
  return *static_cast<T*>(shared_memory());
}

constexpr int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A grid for `count` items, one a thread; large counts go round (see for_each_item).
inline dim3 blocks_for(int64_t count, int threads = kThreads) {
  const int64_t blocks = ceil_divide(count, threads);
  return dim3(static_cast<unsigned>(blocks < 4096 ? blocks : 4096));
}
// body(i) for the thread's share of `count` items.
template <class Body>
__device__ __forceinline__ void for_each_item(int64_t count, Body body) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    body(i);
  }
}

// A kernel in the device's table: what starts its grids. A call is always one tile.
template <class Args, void (*start)(const Args&)>
constexpr Kernel<Args> kernel_of() {
  return {[](const Args&, int) { return 1; }, [](const Args& args, int, int) { start(args); }};
}

}  // namespace weft::cuda
