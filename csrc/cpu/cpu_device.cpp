#include "cpu/cpu_device.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/thread_pool.h"
#include "cpu/isa.h"

namespace weft {

namespace {

constexpr size_t kAlignment = 64;
// Large arrays ask for pages of this size: a pass over one would otherwise wait for address translation.
constexpr size_t kHugePage = 2 << 20;
// On such pages the arrays that a kernel reads side by side (weights and the optimizer's slots) would all begin in the
// same sets of the caches. So each begins a little later on its first page than the one allocated before
// (784-2048-2048-10 with Adam: 8 % faster on Zen 4).
constexpr size_t kStagger = 4096 + 5 * 64, kStaggers = 13;
static_assert(kStaggers * kStagger < kHugePage);
bool is_large(size_t bytes) { return bytes >= 2 * kHugePage; }
// Below this much work the other threads are not worth waking (a futex wake and join takes 22 us).
constexpr double kSerialNanoseconds = 30e3;
// Below this much, whether they are depends on how fast cores hand each other data. That differs between machines and,
// on shared ones, from minute to minute (784-50-10: a fifth faster than on one thread, or half as fast). So both ways
// are tried out now and then, in turns of a few steps, and the faster turn of each counts: a new pool's first is slow,
// and any may be interrupted. The results are the same to the bit.
constexpr double kTrialNanoseconds = 600e3;
constexpr int kTurns = 3;
constexpr int64_t kWarmSteps = 2, kTrialSteps = 8, kStepsBetweenTrials = 2048;

struct ThreadChoice {
  int count = 0;
  std::string reason;
};

// The CPUs a container may use, from its quota; 0 where there is none.
double cgroup_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0) return std::atof(quota.c_str()) / period;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota_us = 0, period_us = 0;
  if (v1_quota >> quota_us && v1_period >> period_us && quota_us > 0 && period_us > 0) return quota_us / period_us;
  return 0;
}

ThreadChoice choose_threads() {
  if (const char* wish = std::getenv("WEFT_NUM_THREADS"); wish && *wish) {
    char* end;
    const long threads = std::strtol(wish, &end, 10);
    check(*end == 0 && threads > 0 && threads <= 1024, "WEFT_NUM_THREADS must be a number from 1 to 1024, got '", wish,
          "'");
    return {static_cast<int>(threads), "set by WEFT_NUM_THREADS"};
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  std::string reason = "the CPUs this process may use";
  const double quota = cgroup_quota();
  if (quota > 0 && std::ceil(quota) < count) {
    count = static_cast<int>(std::ceil(quota));
    reason = "the CPU quota of this container";
  }
  return {count < 1 ? 1 : count, reason};
}

std::mutex& state_mutex() {
  static std::mutex mutex;
  return mutex;
}
ThreadChoice thread_choice;
// Made on first use, so that importing starts no thread; never destroyed at exit, when it may still run.
// A run holds the pool: another one may take its place meanwhile.
std::shared_ptr<ThreadPool>* pool = new std::shared_ptr<ThreadPool>;

const ThreadChoice& chosen_threads() {
  if (thread_choice.count == 0) thread_choice = choose_threads();
  return thread_choice;
}

// A forked child has none of the parent's threads: it forgets the pool and makes its own when needed.
void lock_before_fork() { state_mutex().lock(); }
void unlock_after_fork() { state_mutex().unlock(); }
void forget_pool_after_fork() {
  pool = new std::shared_ptr<ThreadPool>;
  state_mutex().unlock();
}

std::shared_ptr<ThreadPool> pool_of(int threads) {
  static const bool registered = pthread_atfork(lock_before_fork, unlock_after_fork, forget_pool_after_fork) == 0;
  (void)registered;
  std::lock_guard lock(state_mutex());
  if (!*pool || (*pool)->threads() != threads) *pool = std::make_shared<ThreadPool>(threads);
  return *pool;
}

// What the last trial of a program has shown, and for how many steps that is believed.
struct Trial {
  bool alone = false;
  int64_t steps_left = 0;
};

void run_by_trial(const Program& program, ThreadPool& pool) {
  using Clock = std::chrono::steady_clock;
  auto trial = std::static_pointer_cast<Trial>(program.compiled);
  if (!trial) program.compiled = trial = std::make_shared<Trial>();
  int64_t left = program.steps;
  const auto run = [&](bool alone, int64_t steps) {
    left -= steps;
    return alone ? run_serially(program, steps) : pool.run(program, steps);
  };
  while (left > 0) {
    if (trial->steps_left == 0 && left >= 2 * kTurns * (kWarmSteps + kTrialSteps)) {
      Clock::duration fastest[2] = {Clock::duration::max(), Clock::duration::max()};
      for (int turn = 0; turn < 2 * kTurns; ++turn) {
        const bool alone = turn % 2 == 1;
        if (!run(alone, kWarmSteps)) return;
        const auto begin = Clock::now();
        if (!run(alone, kTrialSteps)) return;
        fastest[alone] = std::min<Clock::duration>(fastest[alone], Clock::now() - begin);
      }
      *trial = {fastest[true] < fastest[false], kStepsBetweenTrials};
    }
    const int64_t steps = trial->steps_left > 0 ? std::min(left, trial->steps_left) : left;
    trial->steps_left = std::max<int64_t>(0, trial->steps_left - steps);
    if (!run(trial->alone, steps)) return;
  }
}

}  // namespace

void* CpuDevice::allocate(size_t bytes) {
  static std::atomic<size_t> large_arrays = 0;
  const bool large = is_large(bytes);
  const size_t alignment = large ? kHugePage : kAlignment;
  const size_t begin = large ? large_arrays++ % kStaggers * kStagger : 0;
  const size_t rounded = (begin + bytes + kAlignment + alignment - 1) / alignment * alignment;
  char* const memory = static_cast<char*>(std::aligned_alloc(alignment, rounded));
  if (!memory) {
    const long pages = sysconf(_SC_AVPHYS_PAGES);  // -1 where it is not known
    throw OutOfMemory(name(), bytes, pages > 0 ? static_cast<size_t>(pages * sysconf(_SC_PAGESIZE)) : 0);
  }
#ifdef MADV_HUGEPAGE
  if (large) madvise(memory, rounded, MADV_HUGEPAGE);  // a wish: nothing depends on it
#endif
  std::memset(memory, 0, rounded);
  return memory + begin;
}
void CpuDevice::release(void* memory, size_t bytes) {
  char* const begin = static_cast<char*>(memory);
  std::free(is_large(bytes) ? begin - reinterpret_cast<uintptr_t>(begin) % kHugePage : begin);
}
// The host's side may be null where there is nothing to copy.
void CpuDevice::copy_in(void* to, const void* from_host, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from_host, bytes);
}
void CpuDevice::copy_out(void* to_host, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to_host, from, bytes);
}
const KernelTable& CpuDevice::kernels() const { return *isa_choice().table; }
int CpuDevice::threads() const { return num_threads(); }

void CpuDevice::run(const Program& program) {
  // What the program was distributed for: the number may have been set anew since.
  const int threads = static_cast<int>(program.phases.front().share.size()) - 1;
  if (threads == 1 || program.work < kSerialNanoseconds) {
    run_serially(program, program.steps);
  } else if (program.work < kTrialNanoseconds) {
    run_by_trial(program, *pool_of(threads));
  } else {
    pool_of(threads)->run(program, program.steps);
  }
}

void CpuDevice::run_alone(const Step& step) {
  FlushDenormals flush;  // as in a run
  for (int tile = 0; tile < step.n_tiles; ++tile) step.run(step.call.get(), tile, step.n_tiles);
}

CpuDevice& cpu_device() {
  static CpuDevice device;
  return device;
}

void set_num_threads(int threads) {
  check(threads >= 0 && threads <= 1024, "the number of threads must be from 1 to 1024 (0 chooses), got ", threads);
  std::lock_guard lock(state_mutex());
  thread_choice = threads ? ThreadChoice{threads, "set by weft.config.set_num_threads"} : choose_threads();
}

int num_threads() {
  std::lock_guard lock(state_mutex());
  return chosen_threads().count;
}

std::string num_threads_reason() {
  std::lock_guard lock(state_mutex());
  return chosen_threads().reason;
}

}  // namespace weft
