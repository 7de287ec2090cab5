// Yardsticks for the benchmarks: the FMA peak of the machine, and a dense kernel alone.
#pragma once

#include <cstdint>
#include <string>

namespace weft {

// GFLOP/s of a register-only FMA loop on each of `threads` threads, summed. An empty isa means the one in use.
double measure_fma_peak(int threads, double seconds, const std::string& isa);

// GFLOP/s (of 2*m*k*n a call) of one dense kernel: role forward, grad_input or grad_kernel.
double measure_dense(const std::string& role, int64_t m, int64_t k, int64_t n, int threads, double seconds);

}  // namespace weft
