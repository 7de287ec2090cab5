#include <cstdarg>
#include <cstdio>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>

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

void fail_call(cudaError_t error, const char* expression, const char* file, int line) {
  std::ostringstream text;
  text << "CUDA: " << cudaGetErrorString(error) << " (" << cudaGetErrorName(error) << ") in " << expression << ", "
       << file << ":" << line;
  throw std::runtime_error(text.str());
}

void fail(const char* format, ...) {
  char text[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof(text), format, values);
  va_end(values);
  throw std::invalid_argument(text);
}

}  // namespace weft::cuda
