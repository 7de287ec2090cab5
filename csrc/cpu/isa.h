// Which instruction set the kernels use: the best that is built, found on this CPU and allowed by WEFT_ISA.
#pragma once

#include <string>
#include <vector>

#include "ops/kernel_table.h"

namespace weft {

struct IsaChoice {
  const KernelTable* table;
  double (*fma_peak_gflops)(double seconds);
  std::string name, reason;
  std::vector<std::string> built, found;
};

// Decided on first use; throws std::invalid_argument if WEFT_ISA names none that can be used.
const IsaChoice& isa_choice();

// The peak loop of one instruction set; null if it is not built or not found.
double (*fma_peak_of(const std::string& name))(double seconds);

std::string cpu_name();

}  // namespace weft
