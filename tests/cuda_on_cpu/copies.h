// Copies and fills that the emulated streams were asked for. They land as late as CUDA allows: when the stream or a
// later event of it is waited for or asked, when a grid starts on it, or when memory is freed. Until then the target
// is full of NaN and the source is not read, so that whoever does not wait gets wrong results.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime.h"

namespace emulator {

// Pinned memory: copies from and to other memory of the host do not outlive their call. Null if there is none.
void* allocate_pinned(size_t bytes);
void free_pinned(void* memory);

void start_copy(cudaStream_t stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
void start_fill(cudaStream_t stream, void* to, int value, size_t bytes);
// How many have been started so far: what an event remembers.
uint64_t started();
// Those of a stream, no more than the first `until` of all streams.
void land(cudaStream_t stream, uint64_t until = UINT64_MAX);
void land_all();

}  // namespace emulator
