#include <cstdarg>
#include <cstdio>
#include <sstream>
#include <stdexcept>

#include "cuda/errors.h"

namespace weft::cuda {

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
