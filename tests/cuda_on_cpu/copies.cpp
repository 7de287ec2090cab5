#include "copies.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace emulator {

namespace {

struct Pending {
  cudaStream_t stream;
  uint64_t number;
  char* to;
  const char* from;  // null if nothing is read that could change
  size_t bytes;
  std::function<void()> land;
};

std::mutex mutex;
std::deque<Pending> pending;  // in the order of their numbers
uint64_t last_number = 0;
std::map<const char*, size_t> pinned;

bool meet(const char* a, const char* b, size_t a_bytes, size_t b_bytes) {
  return std::less<>{}(a, b + b_bytes) && std::less<>{}(b, a + a_bytes);
}

// With the lock.
void start(Pending next) {
  // A word is written at once, so the host may look at one at any time. What an earlier copy still needs is left alone.
  bool needed = next.bytes <= sizeof(uint64_t);
  for (const Pending& p : pending) {
    needed =
        needed || meet(p.to, next.to, p.bytes, next.bytes) || (p.from && meet(p.from, next.to, p.bytes, next.bytes));
  }
  if (!needed) std::memset(next.to, 0xFF, next.bytes);
  next.number = ++last_number;
  pending.push_back(std::move(next));
}

// With the lock.
template <class Chosen>
void land_if(Chosen chosen) {
  for (auto it = pending.begin(); it != pending.end();) {
    if (!chosen(*it)) {
      ++it;
      continue;
    }
    it->land();
    it = pending.erase(it);
  }
}

bool is_pinned(const void* memory) {
  const char* const address = static_cast<const char*>(memory);
  const auto after = pinned.upper_bound(address);
  return after != pinned.begin() && address < std::prev(after)->first + std::prev(after)->second;
}

}  // namespace

void* allocate_pinned(size_t bytes) {
  std::lock_guard lock(mutex);
  const char* given = std::getenv("CUDA_ON_CPU_PINNED");
  size_t used = bytes;
  for (const auto& [memory, size] : pinned) used += size;
  if (given && used > std::strtoull(given, nullptr, 10)) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes > 0 ? bytes : 1) != 0) return nullptr;
  std::memset(memory, 0xFF, bytes);  // NaN
  pinned[static_cast<const char*>(memory)] = bytes;
  return memory;
}

void free_pinned(void* memory) {
  std::lock_guard lock(mutex);
  pinned.erase(static_cast<const char*>(memory));
  std::free(memory);
}

void start_copy(cudaStream_t stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex);
  char* const target = static_cast<char*>(to);
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) {
    const char* const first = static_cast<const char*>(from);
    const auto kept = std::make_shared<std::vector<char>>(first, first + bytes);
    start({stream, 0, target, nullptr, bytes, [=] { std::memcpy(to, kept->data(), bytes); }});
  } else if (kind == cudaMemcpyDeviceToHost && !is_pinned(to)) {
    land_if([&](const Pending& p) { return p.stream == stream; });
    std::memcpy(to, from, bytes);
  } else {
    start({stream, 0, target, static_cast<const char*>(from), bytes, [=] { std::memcpy(to, from, bytes); }});
  }
}

void start_fill(cudaStream_t stream, void* to, int value, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex);
  start({stream, 0, static_cast<char*>(to), nullptr, bytes, [=] { std::memset(to, value, bytes); }});
}

uint64_t started() {
  std::lock_guard lock(mutex);
  return last_number;
}

void land(cudaStream_t stream, uint64_t until) {
  std::lock_guard lock(mutex);
  land_if([&](const Pending& p) { return p.stream == stream && p.number <= until; });
}

void land_all() {
  std::lock_guard lock(mutex);
  land_if([](const Pending&) { return true; });
}

}  // namespace emulator
