// The Python module weft._core. Nothing here computes: it converts, checks and calls.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native core: variables, the tape of ops, and plans that run them.";
  m.attr("__version__") = WEFT_VERSION;
  weft::bind_devices(m);
  weft::bind_graph(m);
  weft::bind_plan(m);
  weft::bind_system(m);
}
