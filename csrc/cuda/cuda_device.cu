#include <chrono>
#include <new>

#include "cuda/cuda_device.h"
#include "cuda/launch.h"
#include "cuda/step_graph.h"

namespace weft::cuda {

LaunchContext& launch_context() {
  static thread_local LaunchContext context;
  return context;
}

int device_count(std::string& reason) {
  int driver = 0, runtime = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
  const bool asked = cudaDriverGetVersion(&driver) == cudaSuccess;
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (!asked || driver == 0) {
    reason = "no driver";
  } else if (driver / 1000 < runtime / 1000) {
    reason = "driver too old: need one for CUDA " + version(runtime) + ", found CUDA " + version(driver);
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
  WEFT_CUDA(cudaSetDevice(index_));
  WEFT_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

CudaDevice::~CudaDevice() { cudaStreamDestroy(stream_); }

void CudaDevice::use() const {
  WEFT_CUDA(cudaSetDevice(index_));
  launch_context() = {stream_, nullptr, precision_};
}

void* CudaDevice::allocate(size_t bytes) {
  std::lock_guard lock(mutex_);
  use();
  void* memory = nullptr;
  if (cudaMalloc(&memory, bytes > 0 ? bytes : 1) != cudaSuccess) {
    cudaGetLastError();
    throw std::bad_alloc();
  }
  WEFT_CUDA(cudaMemsetAsync(memory, 0, bytes, stream_));
  return memory;
}

void CudaDevice::release(void* memory) {
  cudaFree(memory);  // waits for kernels that still use it; at exit the driver may be gone already
}

void CudaDevice::copy_in(void* to, const void* from_host, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex_);
  use();
  WEFT_CUDA(cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, stream_));
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

void CudaDevice::copy_out(void* to_host, const void* from, size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex_);
  use();
  WEFT_CUDA(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, stream_));
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

const KernelTable& CudaDevice::kernels() const { return kernel_table(); }

void CudaDevice::synchronize() { WEFT_CUDA(cudaStreamSynchronize(stream_)); }

void CudaDevice::run(const Program& program) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPollInterval = std::chrono::milliseconds(50);
  std::unique_lock lock(mutex_);
  use();
  auto graph = std::static_pointer_cast<StepGraph>(program.compiled);
  if (!graph || graph->precision() != precision_) {
    program.compiled = graph = std::make_shared<StepGraph>(program, stream_, precision_);
  }
  auto polled = Clock::now();
  for (int64_t done = 0; done < program.steps;) {
    done += graph->launch(program.steps - done, stream_);
    const auto now = Clock::now();
    if (!program.poll || now - polled < kPollInterval) continue;
    polled = now;
    // It may wait for a thread that waits for this device.
    lock.unlock();
    const bool cancelled = program.poll();
    lock.lock();
    if (cancelled) break;
  }
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

}  // namespace weft::cuda
