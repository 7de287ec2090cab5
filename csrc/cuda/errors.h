// Errors of CUDA calls, as exceptions that say which call failed and where.
#pragma once

#include <cuda_runtime.h>

#include <sstream>
#include <stdexcept>

namespace weft::cuda {

inline void check_call(cudaError_t error, const char* expression, const char* file, int line) {
  if (error == cudaSuccess) return;
  std::ostringstream text;
  text << "CUDA: " << cudaGetErrorString(error) << " (" << cudaGetErrorName(error) << ") in " << expression << ", "
       << file << ":" << line;
  throw std::runtime_error(text.str());
}

}  // namespace weft::cuda

#define WEFT_CUDA(expression) ::weft::cuda::check_call((expression), #expression, __FILE__, __LINE__)
