// Yardsticks for the benchmarks: the FMA peak of the machine, and the kernels of one layer alone.
#pragma once

#include <cstdint>
#include <string>

namespace weft {

// GFLOP/s of a register-only FMA loop on each of `threads` threads, summed. An empty isa means the one in use.
double measure_fma_peak(int threads, double seconds, const std::string& isa);

// Nanoseconds in which a cache line goes to another thread and back: the least of some batches. Cores that share a
// cache take a fraction of what others take.
double measure_round_trip();

// GFLOP/s (of 2*m*k*n a call) of one dense kernel: role forward, grad_input or grad_kernel.
double measure_dense(const std::string& role, int64_t m, int64_t k, int64_t n, int threads, double seconds);

// One convolution with a square kernel, stride 1, over images (n, h, w, c), and behind it a relu and max-pooling of
// pool x pool (1: none). As in a training step, grad_input flips the kernel first, and grad_kernel adds up the partial
// gradients of a small one.
struct ConvBenchmark {
  int64_t n, h, w, c, f, kernel;
  bool padding_same;
  int64_t pool;
};

// GFLOP/s (of 2*kernel*kernel*c*f for each output pixel before pooling) of one role: forward (with a bias),
// grad_input or grad_kernel.
double measure_conv(const std::string& role, const ConvBenchmark& sizes, int threads, double seconds);

}  // namespace weft
