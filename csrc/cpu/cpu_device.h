// The CPU as a device: aligned memory, the kernels of the chosen instruction set, and the thread pool.
#pragma once

#include <memory>
#include <string>

#include "core/device.h"

namespace weft {

class CpuDevice final : public Device {
 public:
  const char* name() const override { return "cpu"; }
  void* allocate(size_t bytes) override;
  void release(void* memory, size_t bytes) override;
  void copy_in(void* to, const void* from_host, size_t bytes) override;
  void copy_out(void* to_host, const void* from, size_t bytes) override;
  const KernelTable& kernels() const override;
  int threads() const override;
  bool uses_host_memory() const override { return true; }
  void run(const Program& program) override;
  void run_alone(const Step& step) override;
};

CpuDevice& cpu_device();

// 0 chooses anew: WEFT_NUM_THREADS, or the CPUs of this process's affinity capped by the cgroup's quota.
void set_num_threads(int threads);
int num_threads();
std::string num_threads_reason();

}  // namespace weft
