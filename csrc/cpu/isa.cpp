#include "cpu/isa.h"

#include <cstdlib>
#include <fstream>

#include "core/check.h"

namespace weft {

// Each instruction set's namespace offers these two (cpu/kernels/table.cpp and peak.cpp).
namespace baseline {
const KernelTable* kernel_table();
double fma_peak_gflops(double seconds);
}  // namespace baseline
#if defined(__x86_64__)
namespace avx2 {
const KernelTable* kernel_table();
double fma_peak_gflops(double seconds);
}  // namespace avx2
namespace avx512 {
const KernelTable* kernel_table();
double fma_peak_gflops(double seconds);
}  // namespace avx512
#endif

namespace {

struct Isa {
  const char* name;
  bool found;
  const KernelTable* (*table)();
  double (*fma_peak_gflops)(double seconds);
};

// From the narrowest to the widest.
std::vector<Isa> all_isas() {
  std::vector<Isa> isas = {{"baseline", true, baseline::kernel_table, baseline::fma_peak_gflops}};
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("x86-64-v3");
  const bool has_avx512 = __builtin_cpu_supports("x86-64-v4");
  isas.push_back({"avx2", has_avx2, avx2::kernel_table, avx2::fma_peak_gflops});
  isas.push_back({"avx512", has_avx512, avx512::kernel_table, avx512::fma_peak_gflops});
#endif
  return isas;
}

IsaChoice choose() {
  IsaChoice choice{};
  const char* cap = std::getenv("WEFT_ISA");
  const bool capped = cap && *cap;
  bool cap_known = !capped;
  const Isa* best = nullptr;
  const std::vector<Isa> isas = all_isas();
  for (const Isa& isa : isas) {
    choice.built.push_back(isa.name);
    if (isa.found) choice.found.push_back(isa.name);
    if (isa.found && (!capped || !cap_known)) best = &isa;
    if (capped && std::string(cap) == isa.name) cap_known = true;
  }
  if (!cap_known) {
    std::string names;
    for (const Isa& isa : isas) names += (names.empty() ? "" : ", ") + std::string(isa.name);
    fail("WEFT_ISA must be one of ", names, ", got '", cap, "'");
  }
  choice.table = best->table();
  choice.fma_peak_gflops = best->fma_peak_gflops;
  choice.name = best->name;
  choice.reason = capped ? concat("capped by WEFT_ISA=", cap) : "the widest that this CPU has";
  return choice;
}

}  // namespace

const IsaChoice& isa_choice() {
  static const IsaChoice choice = choose();
  return choice;
}

double (*fma_peak_of(const std::string& name))(double seconds) {
  for (const Isa& isa : all_isas()) {
    if (isa.found && name == isa.name) return isa.fma_peak_gflops;
  }
  return nullptr;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace weft
