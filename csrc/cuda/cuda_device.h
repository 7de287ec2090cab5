// A GPU as a device: memory, the CUDA kernels, and steps captured in a graph.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <mutex>
#include <string>

#include "core/device.h"
#include "cuda/staging.h"

namespace weft::cuda {

class CudaDevice final : public Device {
 public:
  // Throws std::runtime_error, with a reason, if there is no such device.
  explicit CudaDevice(int index);
  ~CudaDevice() override;

  const char* name() const override { return name_.c_str(); }  // "cuda:0"
  void* allocate(size_t bytes) override;
  void release(void* memory, size_t bytes) override;
  void copy_in(void* to, const void* from_host, size_t bytes) override;
  void copy_out(void* to_host, const void* from, size_t bytes) override;
  void copy_in_pieces(void* to, size_t bytes, const Fill& fill) override;
  const KernelTable& kernels() const override;
  int threads() const override { return 1; }
  bool uses_host_memory() const override { return false; }
  void run(const Program& program) override;
  void set_matmul_precision(MatmulPrecision precision) override;
  void run_alone(const Step& step) override;

 private:
  void use() const;  // makes this GPU and its stream those of the calling thread

  std::mutex mutex_;  // one thread at a time uses the stream: another one may be capturing it
  int index_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Staging> staging_;
  bool has_tensor_cores_ = false;                       // for TF32 and bfloat16; without them products are float32
  MatmulPrecision precision_ = MatmulPrecision::kTf32;  // as TensorFlow and JAX have it
};

// How many there are, 0 with a reason: "no driver", "driver too old: ...", "no device".
int device_count(std::string& reason);
std::string description(int index);  // "NVIDIA H200, compute capability 9.0, 132 multiprocessors, 139 GiB"

// The table of CUDA's kernels, filled in table.cu.
const KernelTable& kernel_table();

}  // namespace weft::cuda
