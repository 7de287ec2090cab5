#include "core/thread_pool.h"

#include <sched.h>

#include <chrono>

#include "core/float_mode.h"

namespace weft {

namespace {

using Clock = std::chrono::steady_clock;

// A waiting thread spins this often before it yields: longer starves whoever shares the CPU (a spin-only
// barrier took 4-30 ms a step on a busy machine), shorter pays for a system call in every phase.
constexpr int kSpins = 100;
constexpr auto kPollInterval = std::chrono::milliseconds(50);
// Workers stay awake this long after a run, since fit calls one run after the other.
constexpr auto kLinger = std::chrono::microseconds(200);

// {phase : 28, next tile : 18, end tile : 18}
constexpr int kTileBits = 18;
constexpr uint64_t kTileMask = (uint64_t{1} << kTileBits) - 1;
constexpr uint64_t kPhaseMask = (uint64_t{1} << (64 - 2 * kTileBits)) - 1;

uint64_t pack_share(uint64_t phase, uint64_t next, uint64_t end) {
  return (phase & kPhaseMask) << (2 * kTileBits) | next << kTileBits | end;
}

// Throttles Program::poll to one call every kPollInterval.
class Poll {
 public:
  explicit Poll(const Program* program) : program_(program), last_(Clock::now()) {}
  bool cancelled() {
    if (!program_ || !program_->poll) return false;
    const auto now = Clock::now();
    if (now - last_ < kPollInterval) return false;
    last_ = now;
    return program_->poll();
  }

 private:
  const Program* program_;
  Clock::time_point last_;
};

}  // namespace

bool run_serially(const Program& program, int64_t steps) {
  FlushDenormals flush;
  Poll poll(&program);
  for (int64_t step = 0; step < steps; ++step) {
    for (const Phase& phase : program.phases) {
      phase.run_all();
      if (program.state->abort_step) return false;
    }
    advance(*program.state, program.batch, program.updates);
    if (poll.cancelled()) return false;
  }
  return true;
}

ThreadPool::ThreadPool(int threads) : threads_(threads), shares_(threads) {
  for (int me = 1; me < threads; ++me) workers_.emplace_back([this, me] { worker(me); });
}

ThreadPool::~ThreadPool() {
  shutting_down_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::run(const Program& program, int64_t steps) {
  std::lock_guard lock(run_mutex_);
  FlushDenormals flush;
  if (steps <= 0) return true;
  program_ = &program;
  steps_left_ = steps;
  cancelled_.store(false, std::memory_order_relaxed);
  busy_.store(true, std::memory_order_relaxed);
  open_phase(0);
  wake_.fetch_add(1);
  if (sleepers_.load() > 0) wake_.notify_all();
  participate(0, &program);
  return steps_left_ == 0 && !cancelled_.load(std::memory_order_relaxed);
}

void ThreadPool::worker(int me) {
  FlushDenormals flush;
  while (!shutting_down_.load()) {
    const uint32_t seen = wake_.load();
    participate(me, nullptr);
    const auto asleep_at = Clock::now() + kLinger;
    while (wake_.load() == seen && Clock::now() < asleep_at) {
      for (int i = 0; i < kSpins; ++i) spin_pause();
      sched_yield();
    }
    sleepers_.fetch_add(1);
    wake_.wait(seen);
    sleepers_.fetch_sub(1);
  }
}

void ThreadPool::participate(int me, const Program* program) {
  Poll poll(program);
  while (busy_.load(std::memory_order_acquire)) {
    const uint64_t phase = phase_.load(std::memory_order_acquire);
    for (int i = 0; i < threads_; ++i) {
      const int owner = me + i < threads_ ? me + i : me + i - threads_;
      int tile;
      while (claim(owner, phase, tile)) {
        // A claimed tile keeps its phase open, so program_ and phase_index_ cannot change now.
        program_->phases[phase_index_].run_tile(tile);
        if (tiles_left_.fetch_sub(1, std::memory_order_acq_rel) == 1) finish_phase();
      }
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase && busy_.load(std::memory_order_acquire);) {
      spin_pause();
      if (++spins >= kSpins) {
        sched_yield();
        spins = 0;
      }
    }
    if (program && poll.cancelled()) cancelled_.store(true, std::memory_order_relaxed);
  }
}

bool ThreadPool::claim(int owner, uint64_t phase, int& tile) {
  std::atomic<uint64_t>& word = shares_[owner].word;
  uint64_t current = word.load(std::memory_order_acquire);
  for (;;) {
    const uint64_t next = current >> kTileBits & kTileMask;
    if (current >> (2 * kTileBits) != (phase & kPhaseMask) || next >= (current & kTileMask)) return false;
    if (word.compare_exchange_weak(current, current + (uint64_t{1} << kTileBits), std::memory_order_acq_rel,
                                   std::memory_order_acquire)) {
      tile = static_cast<int>(next);
      return true;
    }
  }
}

void ThreadPool::open_phase(int index) {
  phase_index_ = index;
  const uint64_t phase = phase_.load(std::memory_order_relaxed) + 1;
  const Phase& opened = program_->phases[index];
  tiles_left_.store(static_cast<int>(opened.tiles.size()), std::memory_order_relaxed);
  for (int t = 0; t < threads_; ++t) {
    shares_[t].word.store(pack_share(phase, opened.share[t], opened.share[t + 1]), std::memory_order_release);
  }
  phase_.store(phase, std::memory_order_release);
}

// Called by the thread that finished the last tile: nobody else holds a tile, all others are waiting.
void ThreadPool::finish_phase() {
  for (int next = phase_index_;;) {
    if (program_->state->abort_step) break;
    if (++next == static_cast<int>(program_->phases.size())) {
      next = 0;
      advance(*program_->state, program_->batch, program_->updates);
      if (--steps_left_ == 0 || cancelled_.load(std::memory_order_relaxed)) break;
    }
    if (!program_->phases[next].serial) return open_phase(next);
    program_->phases[next].run_all();
  }
  busy_.store(false, std::memory_order_release);
}

}  // namespace weft
