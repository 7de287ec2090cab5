// The Python module weft._cuda: it makes CUDA devices for weft._core, which knows nothing of CUDA.
#include <pybind11/pybind11.h>

#include <map>

#include "cuda/cuda_device.h"

namespace py = pybind11;
using weft::cuda::CudaDevice;

PYBIND11_MODULE(WEFT_CUDA_MODULE, m) {
  m.doc() = "CUDA devices for weft._core.add_device.";
  m.def(
      "device_count",
      [] {
        std::string reason;
        const int count = weft::cuda::device_count(reason);
        return py::make_tuple(count, reason);
      },
      "How many GPUs can be used, and why none can.");
  m.def("describe", &weft::cuda::description, py::arg("index"), "What a GPU is, in words.");
  m.def(
      "device",
      [](int index) {
        // One for each GPU, under the GIL. Never destroyed: variables and plans may live until the interpreter is gone.
        static auto* const made = new std::map<int, CudaDevice*>;
        CudaDevice*& device = (*made)[index];
        if (!device) device = new CudaDevice(index);
        return py::capsule(static_cast<weft::Device*>(device), "weft::Device");
      },
      py::arg("index"), "A device, in a capsule.");
}
