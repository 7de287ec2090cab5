// Threads, instruction sets, yardsticks, and two helpers on whole arrays.
#include <cmath>
#include <cstring>

#include "bindings/bindings.h"
#include "core/check.h"
#include "cpu/cpu_device.h"
#include "cpu/isa.h"
#include "cpu/measure.h"

namespace weft {

namespace {

// A float is finite unless its exponent is all ones; integer arithmetic lets the compiler vectorise.
template <class Bits, Bits kExponent>
bool finite_bits(const void* data, int64_t n) {
  const char* bytes = static_cast<const char*>(data);
  for (int64_t begin = 0; begin < n; begin += 4096) {
    const int64_t end = begin + 4096 < n ? begin + 4096 : n;
    Bits bad = 0;
    for (int64_t i = begin; i < end; ++i) {
      Bits bits;
      std::memcpy(&bits, bytes + i * static_cast<int64_t>(sizeof(Bits)), sizeof(Bits));
      bad |= static_cast<Bits>((bits & kExponent) == kExponent);
    }
    if (bad) return false;
  }
  return true;
}

bool all_finite(const py::array& array) {
  if (array.dtype().kind() != 'f') return true;
  if (!(array.flags() & py::array::c_style)) return all_finite(py::array::ensure(array, py::array::c_style));
  const int64_t n = array.size();
  if (array.itemsize() == 4) return finite_bits<uint32_t, 0x7F800000u>(array.data(), n);
  if (array.itemsize() == 8) return finite_bits<uint64_t, 0x7FF0000000000000u>(array.data(), n);
  return all_finite(py::array_t < double, py::array::c_style | py::array::forcecast > (array));
}

py::dict cpu_info() {
  const IsaChoice& isa = isa_choice();
  py::dict info;
  info["isas_built"] = isa.built;
  info["isas_found"] = isa.found;
  info["isa"] = isa.name;
  info["isa_reason"] = isa.reason;
  info["threads"] = num_threads();
  info["threads_reason"] = num_threads_reason();
  info["compiler"] = WEFT_COMPILER;
  info["flags"] = WEFT_FLAGS;
  info["build_type"] = WEFT_BUILD_TYPE;
  info["cpu_name"] = cpu_name();
  info["cuda_build"] = WEFT_CUDA_BUILD;
  return info;
}

}  // namespace

void bind_system(py::module_& m) {
  m.def(
      "shuffled",
      [](int64_t n, uint64_t seed, uint64_t epoch) {
        const Permutation permutation = draw_permutation(n, {seed, epoch});
        py::array_t<int32_t> order(n);
        cpu_device().run_alone(step_of(cpu_device().kernels().shuffle, {order.mutable_data(), 0, n, permutation}, 1));
        return order;
      },
      py::arg("n"), py::arg("seed"), py::arg("epoch"));
  m.def("all_finite", &all_finite, py::arg("array"));
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("get_num_threads", &num_threads);
  m.def("cpu_info", &cpu_info);
  m.def(
      "fma_peak",
      [](int threads, double seconds, const std::optional<std::string>& isa) {
        py::gil_scoped_release release;
        return measure_fma_peak(threads, seconds, isa.value_or(""));
      },
      py::arg("threads") = 1, py::arg("seconds") = 0.05, py::arg("isa") = py::none());
  m.def("round_trip", &measure_round_trip, py::call_guard<py::gil_scoped_release>());
  m.def(
      "bench_dense",
      [](const std::string& role, int64_t rows, int64_t k, int64_t n, int threads, double seconds) {
        py::gil_scoped_release release;
        return measure_dense(role, rows, k, n, threads, seconds);
      },
      py::arg("role"), py::arg("m"), py::arg("k"), py::arg("n"), py::arg("threads") = 1, py::arg("seconds") = 0.2);
  m.def(
      "bench_conv",
      [](const std::string& role, int64_t n, int64_t h, int64_t w, int64_t c, int64_t f, int64_t kernel,
         bool padding_same, int threads, double seconds, int64_t pool) {
        py::gil_scoped_release release;
        return measure_conv(role, {n, h, w, c, f, kernel, padding_same, pool}, threads, seconds);
      },
      py::arg("role"), py::arg("n"), py::arg("h"), py::arg("w"), py::arg("c"), py::arg("f"), py::arg("kernel") = 3,
      py::arg("padding_same") = false, py::arg("threads") = 1, py::arg("seconds") = 0.2, py::arg("pool") = 1);
}

}  // namespace weft
