#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "core/device.h"
#include "core/shape.h"

namespace weft {

namespace py = pybind11;

void bind_devices(py::module_& m);
void bind_graph(py::module_& m);
void bind_plan(py::module_& m);
void bind_system(py::module_& m);

// Where new variables live, and plans without any.
Device& current_device();

// The element type of an array; ValueError for types that are not numbers.
DType dtype_of(const py::array& array);
const char* dtype_name(DType dtype);
Shape shape_of(const py::array& array);

}  // namespace weft
