#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/errors.h"
#include "cuda/staging.h"

namespace weft::cuda {

// The stream does not wait for others, nor do they for it: whoever calls sees to it that the memory is not in use, and
// all copies have ended on return. Nothing here may disturb a capture in another thread: it is limited to that thread
// (cudaStreamCaptureModeThreadLocal), and nothing here waits for the whole device.

static bool is_wanted() {
  const char* wish = std::getenv("WEFT_CUDA_COPIES");
  const std::string way = wish ? wish : "staged";
  if (way != "staged" && way != "direct") {
    throw std::runtime_error("WEFT_CUDA_COPIES must be staged or direct, got '" + way + "'");
  }
  return way == "staged";
}

Staging::Staging() {
  WEFT_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  for (PinnedBuffer& buffer : buffers_) {
    WEFT_CUDA(cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming));
  }
}

Staging::~Staging() {
  for (PinnedBuffer& buffer : buffers_) {
    if (buffer.memory) cudaFreeHost(buffer.memory);
    if (buffer.copied) cudaEventDestroy(buffer.copied);
  }
  if (stream_) cudaStreamDestroy(stream_);
}

bool Staging::has_buffers() {
  for (PinnedBuffer& buffer : buffers_) {
    if (buffer.memory) continue;
    void* memory = nullptr;
    if (cudaMallocHost(&memory, kPiece) != cudaSuccess) {
      cudaGetLastError();  // no error of a later call
      return false;
    }
    buffer.memory = static_cast<char*>(memory);
  }
  return true;
}

// With the lock and the buffers.
void Staging::send(char* to, size_t bytes, const Fill& fill) {
  try {
    for (size_t begin = 0, i = 0; begin < bytes; begin += kPiece, i++) {
      const size_t size = std::min(kPiece, bytes - begin);
      const PinnedBuffer& buffer = buffers_[i % kBuffers];
      WEFT_CUDA(cudaEventSynchronize(buffer.copied));  // the piece that it held before
      fill(buffer.memory, begin, size);
      WEFT_CUDA(cudaMemcpyAsync(to + begin, buffer.memory, size, cudaMemcpyHostToDevice, stream_));
      WEFT_CUDA(cudaEventRecord(buffer.copied, stream_));
    }
  } catch (...) {
    cudaStreamSynchronize(stream_);  // `to` may be released next
    throw;
  }
  WEFT_CUDA(cudaStreamSynchronize(stream_));
}

bool Staging::copy_in(void* to, const void* from_host, size_t bytes) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || !is_wanted() || !has_buffers()) return false;
  const char* const from = static_cast<const char*>(from_host);
  send(static_cast<char*>(to), bytes,
       [&](char* piece, size_t begin, size_t size) { std::memcpy(piece, from + begin, size); });
  return true;
}

bool Staging::copy_out(void* to_host, const void* from, size_t bytes) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || !is_wanted() || !has_buffers()) return false;
  const size_t pieces = (bytes + kPiece - 1) / kPiece;
  const auto size_of = [&](size_t piece) { return std::min(kPiece, bytes - piece * kPiece); };
  try {
    // Piece i is on its way while the one before is taken out of its buffer.
    for (size_t i = 0; i <= pieces; i++) {
      if (i < pieces) {
        const PinnedBuffer& buffer = buffers_[i % kBuffers];
        WEFT_CUDA(cudaMemcpyAsync(buffer.memory, static_cast<const char*>(from) + i * kPiece, size_of(i),
                                  cudaMemcpyDeviceToHost, stream_));
        WEFT_CUDA(cudaEventRecord(buffer.copied, stream_));
      }
      if (i > 0) {
        const PinnedBuffer& buffer = buffers_[(i - 1) % kBuffers];
        WEFT_CUDA(cudaEventSynchronize(buffer.copied));
        std::memcpy(static_cast<char*>(to_host) + (i - 1) * kPiece, buffer.memory, size_of(i - 1));
      }
    }
  } catch (...) {
    cudaStreamSynchronize(stream_);  // `from` may be released next
    throw;
  }
  return true;
}

void Staging::copy_in_pieces(void* to, size_t bytes, const Fill& fill) {
  std::lock_guard lock(mutex_);
  char* const target = static_cast<char*>(to);
  if (has_buffers()) return send(target, bytes, fill);
  std::vector<char> piece(std::min(kPiece, bytes));
  for (size_t begin = 0; begin < bytes; begin += kPiece) {
    const size_t size = std::min(kPiece, bytes - begin);
    fill(piece.data(), begin, size);
    WEFT_CUDA(cudaMemcpyAsync(target + begin, piece.data(), size, cudaMemcpyHostToDevice, stream_));
    WEFT_CUDA(cudaStreamSynchronize(stream_));
  }
}

}  // namespace weft::cuda
