// A small pool that runs a Program. There is no master: whoever finishes the last tile of a phase opens
// the next one, so a thread that the system has set aside holds nothing up unless it owns a tile.
// Between runs the workers sleep on a futex.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "core/device.h"

namespace weft {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  int threads() const { return threads_; }

  // Runs so many steps of the program on all threads, the caller being one of them. False if it was aborted or
  // cancelled, after which the caller must not go on. Calls are serialised.
  bool run(const Program& program, int64_t steps);

 private:
  // One thread's share of the tiles of the current phase: {phase number, next tile, end} in one word, so
  // that a tile can be claimed only from the phase the claimant believes it is in. Own share first keeps
  // a thread on the weights that are in its cache; then it takes over what others have left.
  struct alignas(64) Share {
    std::atomic<uint64_t> word{0};
  };

  void worker(int me);
  void participate(int me, const Program* program);
  bool claim(int owner, uint64_t phase, int& tile);
  void open_phase(int index);
  void finish_phase();

  const int threads_;
  std::mutex run_mutex_;
  std::vector<Share> shares_;
  alignas(64) std::atomic<uint64_t> phase_{0};  // counts phases over the pool's life
  alignas(64) std::atomic<int> tiles_left_{0};
  const Program* program_ = nullptr;  // these three change only while no tile is claimed
  int phase_index_ = 0;
  int64_t steps_left_ = 0;
  alignas(64) std::atomic<bool> busy_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<uint32_t> wake_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> shutting_down_{false};
  std::vector<std::thread> workers_;
};

// The same on the calling thread alone.
bool run_serially(const Program& program, int64_t steps);

}  // namespace weft
