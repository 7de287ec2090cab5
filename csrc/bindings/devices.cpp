// The devices that variables and plans can live on: the CPU, and those that another module adds.
#include <map>
#include <mutex>

#include "bindings/bindings.h"
#include "core/check.h"
#include "cpu/cpu_device.h"

namespace weft {

namespace {

struct Devices {
  std::mutex mutex;
  std::map<std::string, Device*> by_name = {{"cpu", &cpu_device()}};
  Device* current = &cpu_device();
  MatmulPrecision precision = MatmulPrecision::kTf32;
};

Devices& devices() {
  static Devices* all = new Devices;  // devices may be asked for while the interpreter shuts down
  return *all;
}

std::string add_device(const py::capsule& capsule) {
  check(std::string(capsule.name() ? capsule.name() : "") == "weft::Device", "expects a capsule with a weft::Device");
  auto* device = capsule.get_pointer<Device>();
  capsule.inc_ref();  // for good
  std::lock_guard lock(devices().mutex);
  devices().by_name[device->name()] = device;
  device->set_matmul_precision(devices().precision);
  return device->name();
}

Device& device_named(const std::string& name) {
  std::lock_guard lock(devices().mutex);
  const auto found = devices().by_name.find(name);
  check(found != devices().by_name.end(), "there is no device '", name, "'");
  return *found->second;
}

}  // namespace

Device& current_device() {
  std::lock_guard lock(devices().mutex);
  return *devices().current;
}

void bind_devices(py::module_& m) {
  m.def("add_device", &add_device, py::arg("capsule"));
  m.def(
      "set_device",
      [](const std::string& name) {
        Device& device = device_named(name);
        std::lock_guard lock(devices().mutex);
        devices().current = &device;
      },
      py::arg("name"));
  m.def(
      "set_matmul_precision",
      [](const std::string& name) {
        const std::map<std::string, MatmulPrecision> known = {{"float32", MatmulPrecision::kFloat32},
                                                              {"tf32", MatmulPrecision::kTf32},
                                                              {"bfloat16", MatmulPrecision::kBfloat16},
                                                              {"tf32x3", MatmulPrecision::kTf32x3}};
        const auto found = known.find(name);
        check(found != known.end(), "set_matmul_precision expects 'float32', 'tf32', 'tf32x3' or 'bfloat16', got '",
              name, "'");
        std::lock_guard lock(devices().mutex);
        devices().precision = found->second;
        for (auto& [unused, device] : devices().by_name) device->set_matmul_precision(found->second);
      },
      py::arg("precision"));
  m.def("get_device", [] { return std::string(current_device().name()); });
}

}  // namespace weft
