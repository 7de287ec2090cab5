// A device: memory, kernels, and a way to run a program of steps on it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "core/step_state.h"
#include "ops/kernel_table.h"

namespace weft {

// One kernel call with its arguments, cut into tiles.
struct Step {
  std::shared_ptr<const void> call;  // a kernel and its argument struct
  void (*run)(const void* call, int tile, int n_tiles) = nullptr;
  int n_tiles = 1;
  bool changes_state = false;  // writes to variables, sums or results: not to be run once the step is given up
};

template <class Args>
Step step_of(const Kernel<Args>& kernel, const Args& args, int threads) {
  struct Call {
    Kernel<Args> kernel;
    Args args;
  };
  Step step;
  step.call = std::make_shared<const Call>(Call{kernel, args});
  step.run = [](const void* call, int tile, int n_tiles) {
    const Call* c = static_cast<const Call*>(call);
    c->kernel.run(c->args, tile, n_tiles);
  };
  step.n_tiles = kernel.tiles(args, threads);
  return step;
}

// Steps that do not depend on each other. A phase ends when all of its tiles are done.
struct Phase {
  struct Tile {
    int step, tile;
  };
  std::vector<Step> steps;
  std::vector<Tile> tiles;
  // Thread t starts with the tiles [share[t], share[t + 1]): the t-th part of every step, so that from one
  // training step to the next it meets the same weights again.
  std::vector<int> share;
  // Less work than telling another thread about it: run by whoever has finished the phase before.
  bool serial = false;

  void run_all() const {
    for (int i = 0; i < static_cast<int>(tiles.size()); ++i) run_tile(i);
  }
  void run_tile(int index) const {
    const Tile& t = tiles[index];
    const Step& step = steps[t.step];
    step.run(step.call.get(), t.tile, step.n_tiles);
  }
  // Fills tiles and share from the steps.
  void distribute(int threads) {
    tiles.clear();
    share.assign(1, 0);
    for (int64_t t = 0; t < threads; ++t) {
      for (int s = 0; s < static_cast<int>(steps.size()); ++s) {
        const int64_t n = steps[s].n_tiles;
        for (int64_t i = n * t / threads; i < n * (t + 1) / threads; ++i) tiles.push_back({s, static_cast<int>(i)});
      }
      share.push_back(static_cast<int>(tiles.size()));
    }
  }
};

// A program is run phase by phase, step after step; between two steps the state advances. A kernel that sets
// state->abort_step ends the run at the end of its phase; this step then counts for nothing.
struct Program {
  std::vector<Phase> phases;
  double work = 0;             // rough nanoseconds of one step that other threads could share, to decide on waking them
  StepState* state = nullptr;  // in the device's memory
  int64_t batch = 1;           // rows of a step
  bool updates = false;        // whether a step is an update of the optimizer
  int64_t steps = 1;
  // Called now and then by the thread that called Device::run; true cancels at the end of the step.
  std::function<bool()> poll;
  // What the device keeps from run to run: a GPU its compiled graph of the phases, the CPU what a trial has shown.
  mutable std::shared_ptr<void> compiled;
};

// What Device::allocate throws; MemoryError in Python.
class OutOfMemory : public std::bad_alloc {
 public:
  OutOfMemory(const std::string& device, size_t asked, size_t free)
      : text_(device + " is out of memory: " + std::to_string(asked) + " bytes were asked for, " +
              std::to_string(free) + " are free") {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// Writes bytes [begin, begin + bytes) of what is to be copied to `piece`.
using Fill = std::function<void(char* piece, size_t begin, size_t bytes)>;

class Device {
 public:
  virtual ~Device() = default;
  virtual const char* name() const = 0;
  virtual void* allocate(size_t bytes) = 0;              // aligned to 64 bytes, zeroed; throws OutOfMemory
  virtual void release(void* memory, size_t bytes) = 0;  // as it was allocated
  virtual void copy_in(void* to, const void* from_host, size_t bytes) = 0;
  virtual void copy_out(void* to_host, const void* from, size_t bytes) = 0;
  // As copy_in, of what `fill` gives piece by piece. A program may run meanwhile, if it does not use `to`. A device
  // with memory of its own has its own way.
  virtual void copy_in_pieces(void* to, size_t bytes, const Fill& fill) { fill(static_cast<char*>(to), 0, bytes); }
  virtual const KernelTable& kernels() const = 0;
  virtual int threads() const = 0;  // how many tiles can run at a time
  virtual bool uses_host_memory() const = 0;
  // Runs program.steps steps, or fewer where one is given up or the run is cancelled.
  virtual void run(const Program& program) = 0;
  // A device that knows only float32 may pass over this. Plans take it up in their next run.
  virtual void set_matmul_precision(MatmulPrecision) {}
  virtual void run_alone(const Step& step) = 0;  // one kernel call on the calling thread, to its end
};

// Memory of a device, released with its owner.
class Buffer {
 public:
  Buffer(Device& device, size_t bytes) : device_(&device), bytes_(bytes), data_(device.allocate(bytes)) {}
  ~Buffer() { device_->release(data_, bytes_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  float* floats() const { return static_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }
  Device& device() const { return *device_; }

 private:
  Device* device_;
  size_t bytes_;
  void* data_;
};

}  // namespace weft
