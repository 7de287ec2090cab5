// Runs CUDA kernels on the CPU: every thread of a block is a fiber, which runs until it meets a barrier or a
// warp's exchange and then lets the next one run. One grid runs at a time, block after block, on the
// caller's thread; blocks of a cluster or of a cooperative grid are there together.
//
// What it finds: a barrier that not every thread reaches, a shuffle that names a lane that has exited, reads of
// shared memory that nobody wrote (it is full of NaN), what depends on the order of threads (three orders), and, under
// the address sanitizer, any access outside of an array. What it cannot find: races between a write and a
// read of one warp, memory ordering, bank conflicts, time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulator {

struct Grid {
  dim3 blocks, threads;
  dim3 cluster = {1, 1, 1};
  bool cooperative = false;
  bool overlaps = false;  // the grid before: then every thread must wait for that
  size_t shared_bytes = 0;
};

// Runs `kernel` in every thread of the grid. Throws std::runtime_error with the kernel's error, if it has one.
void run(const Grid& grid, const std::function<void()>& kernel);

// CUDA_ON_CPU_ORDER: "forward", "reverse" or "random", the order of threads and of a graph's nodes.
std::string order_name();
// CUDA_ON_CPU_CAPABILITY, 75 for "7.5"; 90 if it is not set.
int capability();

// What a thread may do. The rest of its business is C++.
void sync_block();
void sync_cluster();
void sync_grid();
void wait_for_previous_grid();
void* shared_memory();                             // of the thread's block
void* shared_memory_of(unsigned rank_in_cluster);  // of another block of its cluster
unsigned rank_in_cluster();
unsigned lane();

// The lanes of `mask` wait for each other; each then sees what every one of them brought along.
using Parcel = std::array<std::byte, 64>;
const Parcel* exchange(unsigned mask, const Parcel& mine);  // [lane]

template <class T>
Parcel parcel_of(const T& value) {
  static_assert(sizeof(T) <= sizeof(Parcel) && std::is_trivially_copyable_v<T>);
  Parcel parcel{};
  std::memcpy(parcel.data(), &value, sizeof(T));
  return parcel;
}
template <class T>
T value_of(const Parcel& parcel) {
  T value;
  std::memcpy(&value, parcel.data(), sizeof(T));
  return value;
}

// Copies that run beside the thread and land when it waits for them (cp.async).
void copy_later(void* to, const void* from, int bytes, int source_bytes);
void close_copies();
void wait_for_copies(int groups_left);

}  // namespace emulator

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
