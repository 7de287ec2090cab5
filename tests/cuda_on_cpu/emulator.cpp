#include "emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "fiber.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator {

namespace {

enum class State { kRuns, kAtBlock, kAtCluster, kAtGrid, kAtWarp, kDone };

struct Copy {
  void* to;
  const void* from;
  int bytes, source_bytes;  // the rest becomes 0
};

struct Thread {
  Fiber fiber;
  uint3 index;
  State state = State::kRuns;
  bool waited_for_grid = false;
  unsigned mask = 0;  // of the lanes it waits for
  Parcel parcel;
  std::vector<Copy> copies;  // oldest first
  std::vector<int> groups;   // how many of the copies each closed group has
  int open_copies = 0;
};

struct Warp {
  std::array<Parcel, 32> parcels;
};

struct Block {
  uint3 index;
  unsigned rank_in_cluster = 0;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  char* shared = nullptr;
};

// Blocks that are there together.
struct Residents {
  std::vector<Block> blocks;
  const std::function<void()>* kernel;
};

enum class Order { kForward, kReverse, kRandom };

Order chosen_order() {
  const std::string order = order_name();
  if (order == "reverse") return Order::kReverse;
  if (order == "random") return Order::kRandom;
  if (order == "forward") return Order::kForward;
  throw std::runtime_error("CUDA_ON_CPU_ORDER must be forward, reverse or random, got '" + order + "'");
}

// Stacks are kept from grid to grid: only pages that a kernel touched cost memory. What a grid that failed has left on
// them is nothing that another fiber may run on.
class Stacks {
 public:
  void drop() { stacks_.clear(); }
  Stack& at(size_t i) {
    while (stacks_.size() <= i) stacks_.push_back(std::make_unique<Stack>());
    return *stacks_[i];
  }

 private:
  std::vector<std::unique_ptr<Stack>> stacks_;
};

Residents* residents = nullptr;
Block* block = nullptr;
Thread* thread = nullptr;
Fiber scheduler;  // the caller's own context

void wait(State state) {
  thread->state = state;
  switch_fiber(thread->fiber, scheduler);
}

void thread_main() {
  (*residents->kernel)();
  thread->state = State::kDone;
  leave_fiber(thread->fiber, scheduler);
}

void resume(Block& b, Thread& t) {
  block = &b;
  thread = &t;
  threadIdx = t.index;
  blockIdx = b.index;
  switch_fiber(scheduler, t.fiber);
}

std::string name_of(const Block& b, size_t i) {
  return "thread " + std::to_string(i) + " of block (" + std::to_string(b.index.x) + ", " + std::to_string(b.index.y) +
         ", " + std::to_string(b.index.z) + ")";
}

// Lets the warp's lanes go on whose partners are all there. Lanes of disjoint masks are groups of their own.
bool release_warp(Block& b, size_t w) {
  const size_t first = w * 32, end = std::min(first + 32, b.threads.size());
  unsigned waiting = 0, done = 0;
  for (size_t i = first; i < end; i++) {
    waiting |= (b.threads[i].state == State::kAtWarp ? 1u : 0u) << (i - first);
    done |= (b.threads[i].state == State::kDone ? 1u : 0u) << (i - first);
  }
  bool released = false;
  const unsigned existing = end - first == 32 ? ~0u : (1u << (end - first)) - 1;
  for (size_t i = first; i < end; i++) {
    Thread& t = b.threads[i];
    if (t.state != State::kAtWarp) continue;
    const unsigned mask = t.mask & existing;
    if (!(mask >> (i - first) & 1)) {
      throw std::runtime_error("CUDA: " + name_of(b, i) + " is not in the mask of its own warp operation");
    }
    if (mask & done) {
      throw std::runtime_error("CUDA: the warp operation of " + name_of(b, i) + " names a lane that has exited");
    }
    if ((waiting & mask) != mask) continue;
    for (size_t j = first; j < end; j++) {
      if (!(mask >> (j - first) & 1)) continue;
      Thread& partner = b.threads[j];
      if ((partner.mask & existing) != mask) {
        throw std::runtime_error("CUDA: lanes of one warp operation name different masks, " + name_of(b, j));
      }
      b.warps[w].parcels[j - first] = partner.parcel;
      partner.state = State::kRuns;
    }
    waiting &= ~mask;
    released = true;
  }
  return released;
}

// Lets all threads of `blocks` go on if each of them stands at this barrier.
bool release_barrier(const std::vector<Block*>& blocks, State barrier, const char* what) {
  size_t at_barrier = 0, done = 0, all = 0;
  for (Block* b : blocks) {
    for (Thread& t : b->threads) at_barrier += t.state == barrier, done += t.state == State::kDone, all++;
  }
  if (at_barrier == 0) return false;
  if (at_barrier + done == all && done > 0) {
    throw std::runtime_error("CUDA: divergent " + std::string(what) + ": " + std::to_string(at_barrier) + " of " +
                             std::to_string(all) + " threads wait, the others have exited");
  }
  if (at_barrier < all) return false;
  for (Block* b : blocks) {
    for (Thread& t : b->threads) t.state = State::kRuns;
  }
  return true;
}

bool release_any(Residents& r, size_t cluster_size) {
  bool released = false;
  std::vector<Block*> all, cluster;
  for (Block& b : r.blocks) {
    for (size_t w = 0; w < b.warps.size(); w++) released = release_warp(b, w) || released;
    released = release_barrier({&b}, State::kAtBlock, "__syncthreads") || released;
    all.push_back(&b);
  }
  for (size_t first = 0; first < all.size(); first += cluster_size) {
    cluster.assign(all.begin() + static_cast<int64_t>(first), all.begin() + static_cast<int64_t>(first + cluster_size));
    released = release_barrier(cluster, State::kAtCluster, "barrier of a cluster") || released;
  }
  return release_barrier(all, State::kAtGrid, "barrier of a grid") || released;
}

void run_residents(Residents& r, size_t cluster_size, Order order) {
  residents = &r;
  uint32_t random = 12345;
  std::vector<std::pair<Block*, Thread*>> ready;
  for (;;) {
    ready.clear();
    size_t done = 0, all = 0;
    for (Block& b : r.blocks) {
      for (Thread& t : b.threads) {
        if (t.state == State::kRuns) ready.push_back({&b, &t});
        done += t.state == State::kDone;
        all++;
      }
    }
    if (ready.empty()) {
      if (done == all) return;
      if (release_any(r, cluster_size)) continue;
      throw std::runtime_error("CUDA: divergent threads: some wait at a barrier or for their warp, others elsewhere");
    }
    if (order == Order::kReverse) std::reverse(ready.begin(), ready.end());
    if (order == Order::kRandom) {
      for (size_t i = ready.size() - 1; i > 0; i--) {
        random = random * 1664525u + 1013904223u;
        std::swap(ready[i], ready[(random >> 8) % (i + 1)]);
      }
    }
    for (auto& [b, t] : ready) resume(*b, *t);
  }
}

// Blocks in the order of their number, those of a cluster next to each other.
std::vector<uint3> block_indices(const Grid& grid) {
  std::vector<uint3> indices;
  const dim3 g = grid.blocks, c = grid.cluster;
  for (unsigned z = 0; z < g.z; z += c.z)
    for (unsigned y = 0; y < g.y; y += c.y)
      for (unsigned x = 0; x < g.x; x += c.x)
        for (unsigned k = 0; k < c.x * c.y * c.z; k++)
          indices.push_back({x + k % c.x, y + k / c.x % c.y, z + k / (c.x * c.y)});
  return indices;
}

}  // namespace

std::string order_name() {
  const char* wish = std::getenv("CUDA_ON_CPU_ORDER");
  return wish ? wish : "forward";
}

static void run_blocks(const Grid& grid, const std::function<void()>& kernel, Stacks& stacks) {
  const Order order = chosen_order();
  const size_t n = size_t{grid.threads.x} * grid.threads.y * grid.threads.z;
  const size_t cluster = size_t{grid.cluster.x} * grid.cluster.y * grid.cluster.z;
  if (n == 0 || n > 1024) throw std::runtime_error("CUDA: a block has 1 to 1024 threads, not " + std::to_string(n));
  if (grid.blocks.x % grid.cluster.x || grid.blocks.y % grid.cluster.y || grid.blocks.z % grid.cluster.z) {
    throw std::runtime_error("CUDA: the grid is no multiple of the cluster");
  }
  blockDim = grid.threads;
  gridDim = grid.blocks;
  const std::vector<uint3> indices = block_indices(grid);
  const size_t together = grid.cooperative ? indices.size() : cluster;
  struct Shared {
    std::vector<std::unique_ptr<char, decltype(&std::free)>> blocks;
  } shared;
  for (size_t first = 0; first < indices.size(); first += together) {
    Residents r{std::vector<Block>(together), &kernel};
    shared.blocks.clear();
    for (size_t k = 0; k < together; k++) {
      Block& b = r.blocks[k];
      b.index = indices[first + k];
      b.rank_in_cluster = static_cast<unsigned>(k % cluster);
      b.warps.resize((n + 31) / 32);
      if (grid.shared_bytes > 0) {
        // Exactly as large as asked for, so that the address sanitizer sees the end; full of NaN.
        char* memory = nullptr;
        if (posix_memalign(reinterpret_cast<void**>(&memory), 128, grid.shared_bytes) != 0) throw std::bad_alloc();
        shared.blocks.emplace_back(memory, &std::free);
        std::memset(memory, 0xFF, grid.shared_bytes);
        b.shared = memory;
      }
      b.threads = std::vector<Thread>(n);
      for (unsigned i = 0; i < n; i++) {
        Thread& t = b.threads[i];
        t.index = {i % grid.threads.x, i / grid.threads.x % grid.threads.y, i / (grid.threads.x * grid.threads.y)};
        start_fiber(t.fiber, stacks.at(k * n + i), thread_main);
      }
    }
    run_residents(r, cluster, order);
    for (Block& b : r.blocks) {
      for (size_t i = 0; grid.overlaps && i < n; i++) {
        if (b.threads[i].waited_for_grid) continue;
        throw std::runtime_error("CUDA: " + name_of(b, i) + " did not wait for the grid that its own overlaps");
      }
    }
  }
}

void run(const Grid& grid, const std::function<void()>& kernel) {
  static std::mutex one_grid;
  std::lock_guard lock(one_grid);
  static Stacks stacks;
  try {
    run_blocks(grid, kernel, stacks);
  } catch (...) {
    stacks.drop();
    throw;
  }
}

void sync_block() { wait(State::kAtBlock); }
void sync_cluster() { wait(State::kAtCluster); }
void sync_grid() { wait(State::kAtGrid); }
void wait_for_previous_grid() { thread->waited_for_grid = true; }
void* shared_memory() { return block->shared; }
unsigned rank_in_cluster() { return block->rank_in_cluster; }
void* shared_memory_of(unsigned rank) { return (block - block->rank_in_cluster + rank)->shared; }

static size_t number_in_block() { return static_cast<size_t>(thread - block->threads.data()); }
unsigned lane() { return static_cast<unsigned>(number_in_block() % 32); }

const Parcel* exchange(unsigned mask, const Parcel& mine) {
  thread->parcel = mine;
  thread->mask = mask;
  wait(State::kAtWarp);
  return block->warps[number_in_block() / 32].parcels.data();
}

void copy_later(void* to, const void* from, int bytes, int source_bytes) {
  const auto misaligned = [&](const void* p) { return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes); };
  if (misaligned(to) || misaligned(from)) throw std::runtime_error("CUDA: cp.async with a misaligned address");
  // Read now, so that a wrong address is reported where it was given.
  const volatile char* const first = static_cast<const volatile char*>(from);
  if (source_bytes > 0) static_cast<void>(first[0]), static_cast<void>(first[source_bytes - 1]);
  thread->copies.push_back({to, from, bytes, source_bytes});
  thread->open_copies++;
}
void close_copies() {
  thread->groups.push_back(thread->open_copies);
  thread->open_copies = 0;
}
void wait_for_copies(int groups_left) {
  const int groups = static_cast<int>(thread->groups.size()) - groups_left;
  if (groups <= 0) return;
  int landing = 0;
  for (int i = 0; i < groups; i++) landing += thread->groups[static_cast<size_t>(i)];
  for (int i = 0; i < landing; i++) {
    const Copy& copy = thread->copies[static_cast<size_t>(i)];
    std::memset(copy.to, 0, static_cast<size_t>(copy.bytes));
    if (copy.source_bytes > 0) std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.source_bytes));
  }
  thread->copies.erase(thread->copies.begin(), thread->copies.begin() + landing);
  thread->groups.erase(thread->groups.begin(), thread->groups.begin() + groups);
}

}  // namespace emulator
