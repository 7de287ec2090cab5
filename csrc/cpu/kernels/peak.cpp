// fma_peak_gflops: independent chains of multiply-adds that never leave the registers. One thread.

#include "cpu/kernels/peak.h"

#include <time.h>

namespace weft::WEFT_ISA {
namespace {

constexpr int kChains = 12;        // latency (4) times the multiply-adds a cycle (2), and some
constexpr int64_t kSteps = 20000;  // between two looks at the clock: tens of microseconds

double now() {
  timespec t;
  timespec_get(&t, TIME_UTC);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Tells the compiler that x may have changed, so that the loop is not computed away.
WEFT_INLINE void keep(Vec& x) {
#if defined(__x86_64__)
  asm volatile("" : "+v"(x));
#elif defined(__aarch64__)
  asm volatile("" : "+w"(x));
#else
  asm volatile("" : "+m"(x));
#endif
}

}  // namespace

double fma_peak_gflops(double seconds) {
  // Towards a fixed point, away from denormals and infinity.
  const Vec factor = broadcast(0.999f), term = broadcast(0.001f);
  Vec acc[kChains];
  WEFT_UNROLL
  for (int i = 0; i < kChains; i++) acc[i] = broadcast(static_cast<float>(i));
  const double begin = now();
  double elapsed = 0, steps = 0;
  while (elapsed < seconds || steps == 0) {
    for (int64_t s = 0; s < kSteps; s++) {
      WEFT_UNROLL
      for (int i = 0; i < kChains; i++) {
        acc[i] = acc[i] * factor + term;
        keep(acc[i]);
      }
    }
    steps += kSteps;
    elapsed = now() - begin;
  }
  return 2e-9 * kChains * kWidth * steps / elapsed;
}

}  // namespace weft::WEFT_ISA
