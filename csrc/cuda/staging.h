// Copies of much data between the host's memory and a GPU's, through two pinned buffers and on a stream of their own:
// the CPU fills or empties one buffer while the other is on its way.
#pragma once

#include <cuda_runtime.h>

#include <mutex>

#include "core/device.h"

namespace weft::cuda {

class Staging {
 public:
  // Below this, one call of the driver is as good.
  static constexpr size_t kSmall = size_t{64} << 10;

  Staging();  // for the GPU in use, as are all calls
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // These return when all has arrived. False if nothing was done: another thread is using the buffers, there is no
  // memory to be pinned, or the environment variable WEFT_CUDA_COPIES is "direct" and not "staged".
  bool copy_in(void* to, const void* from_host, size_t bytes);
  bool copy_out(void* to_host, const void* from, size_t bytes);
  // As Device::copy_in_pieces; one thread after the other.
  void copy_in_pieces(void* to, size_t bytes, const Fill& fill);

 private:
  static constexpr size_t kPiece = size_t{2} << 20;
  static constexpr int kBuffers = 2;

  struct PinnedBuffer {
    char* memory = nullptr;        // (kPiece)
    cudaEvent_t copied = nullptr;  // the end of the last copy from or to it
  };

  bool has_buffers();  // allocates them if need be
  void send(char* to, size_t bytes, const Fill& fill);

  std::mutex mutex_;  // whoever uses the buffers
  cudaStream_t stream_ = nullptr;
  PinnedBuffer buffers_[kBuffers];
};

}  // namespace weft::cuda
