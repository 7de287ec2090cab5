// Errors of CUDA calls, as exceptions that say which call failed and where; and of sizes that kernels cannot take.
// Their texts are made in errors.cu: <sstream> here would cost each file of kernels three seconds of compiling.
#pragma once

#include <cuda_runtime.h>

namespace weft::cuda {

// std::runtime_error
[[noreturn]] void fail_call(cudaError_t error, const char* expression, const char* file, int line);
// std::invalid_argument with printf's format (ValueError in Python)
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...);

inline void check_call(cudaError_t error, const char* expression, const char* file, int line) {
  if (error != cudaSuccess) fail_call(error, expression, file, line);
}

}  // namespace weft::cuda

#define WEFT_CUDA(expression) ::weft::cuda::check_call((expression), #expression, __FILE__, __LINE__)
