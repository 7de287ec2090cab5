#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "cuda/cuda_device.h"
#include "cuda/launch.h"
#include "cuda/step_graph.h"

namespace weft::cuda {

// Older ones cannot read compressed kernels, nor load a kernel while a stream is captured.
static constexpr int kOldestDriver = 12040;
// Compute capabilities, 75 for 7.5: the oldest that nvcc 13 compiles for, and the first with tensor cores for TF32 and
// bfloat16.
static constexpr int kOldestCapability = 75, kTensorCapability = 80;

struct Nothing {};
static __device__ void do_nothing(const Nothing&) {}

// Whether this build has kernels for the GPU in use, or PTX that its driver can compile.
static bool has_kernels() {
  cudaFuncAttributes attributes = {};
  const cudaError_t error = cudaFuncGetAttributes(&attributes, entry<Nothing, do_nothing, 1>);
  cudaGetLastError();  // what was found out is no error of a later call
  return error == cudaSuccess;
}

int device_count(std::string& reason) {
  int driver = 0, runtime = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
  const bool asked = cudaDriverGetVersion(&driver) == cudaSuccess;
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (!asked || driver == 0) {
    reason = "no driver";
  } else if (const int needed = std::max(runtime / 1000 * 1000, kOldestDriver); driver < needed) {
    reason = "driver too old: need one for CUDA " + version(needed) + ", found CUDA " + version(driver);
  } else if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0) {
    reason = error == cudaSuccess ? "no device" : std::string("no device: ") + cudaGetErrorString(error);
    count = 0;
  }
  cudaGetLastError();  // what was found out is no error of a later call
  return count;
}

std::string description(int index) {
  cudaDeviceProp p;
  WEFT_CUDA(cudaGetDeviceProperties(&p, index));
  return std::string(p.name) + ", compute capability " + std::to_string(p.major) + "." + std::to_string(p.minor) +
         ", " + std::to_string(p.multiProcessorCount) + " multiprocessors, " + std::to_string(p.totalGlobalMem >> 30) +
         " GiB";
}

CudaDevice::CudaDevice(int index) : index_(index), name_("cuda:" + std::to_string(index)) {
  std::string reason;
  const int count = device_count(reason);
  if (index < 0 || index >= count) {
    throw std::runtime_error(count == 0 ? "CUDA cannot be used: " + reason
                                        : "there is no " + name_ + ": this machine has " + std::to_string(count) +
                                              (count == 1 ? " GPU" : " GPUs"));
  }
  cudaDeviceProp properties;
  WEFT_CUDA(cudaGetDeviceProperties(&properties, index));
  const int capability = 10 * properties.major + properties.minor;
  if (capability < kOldestCapability) {
    throw std::runtime_error(description(index) + " is too old: weft needs compute capability 7.5");
  }
  has_tensor_cores_ = capability >= kTensorCapability;
  set_matmul_precision(precision_);
  WEFT_CUDA(cudaSetDevice(index_));
  if (!has_kernels()) {
    throw std::runtime_error("weft was built for other GPUs than " + description(index) +
                             ": install it anew from its source on this machine, or with WEFT_CUDA_RELEASE=ON");
  }
  WEFT_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  staging_ = std::make_unique<Staging>();
}

CudaDevice::~CudaDevice() { cudaStreamDestroy(stream_); }

void CudaDevice::set_matmul_precision(MatmulPrecision precision) {
  precision_ = has_tensor_cores_ ? precision : MatmulPrecision::kFloat32;
}

void CudaDevice::use() const {
  WEFT_CUDA(cudaSetDevice(index_));
  launch_context() = {stream_, nullptr, precision_};
}

void* CudaDevice::allocate(size_t bytes) {
  std::lock_guard lock(mutex_);
  use();
  // Kernels and graphs take memory of their own when they are first used.
  constexpr size_t kLeftOver = size_t{512} << 20, kLarge = size_t{64} << 20;
  const auto available = [] {
    size_t free = 0, all = 0;
    WEFT_CUDA(cudaMemGetInfo(&free, &all));
    return free > kLeftOver ? free - kLeftOver : 0;
  };
  if (bytes >= kLarge && bytes > available()) throw OutOfMemory(name_, bytes, available());
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // no error of a later call
    throw OutOfMemory(name_, bytes, available());
  }
  WEFT_CUDA(error);
  WEFT_CUDA(cudaMemsetAsync(memory, 0, bytes, stream_));
  WEFT_CUDA(cudaStreamSynchronize(stream_));  // copies through the staging do not wait for this stream
  return memory;
}

void CudaDevice::release(void* memory, size_t) {
  cudaSetDevice(index_);
  cudaFree(memory);  // waits for kernels that still use it; at exit the driver may be gone already
}

// Whoever has the lock has the stream, and nobody captures it. Runs are synchronous, so kernels are on their way only
// where one is being polled; a copy that does not go through their stream lets them end first.

void CudaDevice::copy_in(void* to, const void* from_host, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex_);
  use();
  if (bytes >= Staging::kSmall) {
    WEFT_CUDA(cudaStreamSynchronize(stream_));
    if (staging_->copy_in(to, from_host, bytes)) return;
  }
  WEFT_CUDA(cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, stream_));
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

void CudaDevice::copy_out(void* to_host, const void* from, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex_);
  use();
  if (bytes >= Staging::kSmall) {
    WEFT_CUDA(cudaStreamSynchronize(stream_));
    if (staging_->copy_out(to_host, from, bytes)) return;
  }
  WEFT_CUDA(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, stream_));
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

void CudaDevice::copy_in_pieces(void* to, size_t bytes, const Fill& fill) {
  if (bytes == 0) return;
  // Without the lock, which a run in another thread holds: its kernels do not use this memory.
  WEFT_CUDA(cudaSetDevice(index_));
  staging_->copy_in_pieces(to, bytes, fill);
}

const KernelTable& CudaDevice::kernels() const { return kernel_table(); }

void CudaDevice::run_alone(const Step& step) {
  std::lock_guard lock(mutex_);
  use();
  for (int call = 0; call < step.n_tiles; call++) step.run(step.call.get(), call, step.n_tiles);
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

void CudaDevice::run(const Program& program) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPollInterval = std::chrono::milliseconds(50);
  std::unique_lock lock(mutex_);
  use();
  const MatmulPrecision precision = precision_;
  auto graph = std::static_pointer_cast<StepGraph>(program.compiled);
  if (!graph || graph->precision() != precision) {
    program.compiled = graph = std::make_shared<StepGraph>(program, precision);
  }
  auto polled = Clock::now();
  // Whether to go on. Others may use the device meanwhile: poll may wait for a thread that waits for it.
  const auto poll = [&] {
    const auto now = Clock::now();
    if (!program.poll || now - polled < kPollInterval) return true;
    polled = now;
    lock.unlock();
    const bool cancelled = program.poll();
    lock.lock();
    use();
    return !cancelled;
  };
  // Few graphs at a time are on their way, so that a run can be cancelled, and stops soon after a step was given up.
  int64_t started = 0;
  bool goes_on = true;
  while (goes_on && started < program.steps) {
    if (!graph->has_room()) {
      std::this_thread::yield();
    } else {
      started += graph->launch(program.steps - started, stream_);
    }
    goes_on = poll() && !graph->was_given_up();
  }
  while (!graph->is_idle()) {
    std::this_thread::yield();
    poll();
  }
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

}  // namespace weft::cuda
