// What the core can do at most, to print beside what a kernel does.
#pragma once

#include "cpu/kernels/vec.h"

namespace weft::WEFT_ISA {

// GFLOP/s of multiply-adds between registers, on the calling thread, measured for about `seconds`.
double fma_peak_gflops(double seconds);

}  // namespace weft::WEFT_ISA
