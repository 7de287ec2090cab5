#include <map>
#include <mutex>
#include <utility>

#include "cuda/launch.h"

namespace weft::cuda {

LaunchContext& launch_context() {
  static thread_local LaunchContext context;
  return context;
}

void allow_shared_memory(const void* kernel, size_t bytes) {
  static std::mutex mutex;
  static std::map<std::pair<int, const void*>, size_t> allowed;  // by GPU and kernel
  std::lock_guard lock(mutex);
  int device = 0;
  WEFT_CUDA(cudaGetDevice(&device));
  size_t& most = allowed[{device, kernel}];
  if (bytes <= most) return;
  WEFT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  most = bytes;
}

}  // namespace weft::cuda
