// Variable and Graph.
#include "plan/graph.h"

#include <cstring>

#include "bindings/bindings.h"
#include "core/check.h"
#include "ops/specs.h"

namespace weft {

DType dtype_of(const py::array& array) {
  const py::dtype type = array.dtype();
  // The text of an error is made only where there is one: this runs on every call of a plan.
  if (type.byteorder() == '>')
    fail("arrays must be in the machine's byte order, got dtype ", std::string(py::str(type)));
  const char kind = type.kind();
  const auto size = type.itemsize();
  if (kind == 'f' && size == 4) return DType::kFloat32;
  if (kind == 'f' && size == 8) return DType::kFloat64;
  if (kind == 'b') return DType::kBool;
  if (kind == 'i')
    return size == 1 ? DType::kInt8 : size == 2 ? DType::kInt16 : size == 4 ? DType::kInt32 : DType::kInt64;
  if (kind == 'u' && size <= 8)
    return size == 1 ? DType::kUInt8 : size == 2 ? DType::kUInt16 : size == 4 ? DType::kUInt32 : DType::kUInt64;
  fail("arrays must hold numbers (float32, float64, integers or bool), got dtype ", std::string(py::str(type)));
}

const char* dtype_name(DType dtype) { return dtype == DType::kInt32 ? "int32" : "float32"; }

Shape shape_of(const py::array& array) { return Shape(array.shape(), array.shape() + array.ndim()); }

namespace {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

DType value_dtype(const std::string& name) {
  check(name == "float32" || name == "int32", "dtype must be float32 or int32, got '", name, "'");
  return name == "int32" ? DType::kInt32 : DType::kFloat32;
}

std::shared_ptr<Variable> make_variable(const FloatArray& value, const std::string& name) {
  auto variable = std::make_shared<Variable>(current_device(), shape_of(value), name);
  variable->write(value.data());
  return variable;
}

void assign_variable(Variable& variable, const FloatArray& value) {
  const Shape shape = shape_of(value);
  check(shape == variable.shape(), "'", variable.name, "' expects a value of shape ", variable.shape(), ", got ",
        shape);
  variable.write(value.data());
}

FloatArray read_variable(const Variable& variable) {
  FloatArray result(variable.shape());
  variable.read(result.mutable_data());
  return result;
}

ValueId add_constant(Graph& graph, const py::array& value) {
  const char kind = value.dtype().kind();
  check(kind == 'f' || kind == 'i' || kind == 'u' || kind == 'b', "a constant must hold numbers, got dtype ",
        std::string(py::str(value.dtype())));
  std::vector<float> bits;
  if (kind == 'i' || kind == 'u') {
    const auto ints = py::array_t < int32_t, py::array::c_style | py::array::forcecast > (value);
    bits.resize(ints.size());
    std::memcpy(bits.data(), ints.data(), bits.size() * sizeof(float));
    return graph.constant(shape_of(ints), DType::kInt32, std::move(bits));
  }
  const auto floats = FloatArray(value);
  bits.assign(floats.data(), floats.data() + floats.size());
  return graph.constant(shape_of(floats), DType::kFloat32, std::move(bits));
}

Attrs attrs_of(const py::dict& dict) {
  Attrs attrs;
  for (const auto& [key, value] : dict) {
    const std::string name = key.cast<std::string>();
    if (value.is_none()) continue;
    if (py::isinstance<py::bool_>(value))
      attrs.set(name, static_cast<int64_t>(value.cast<bool>()));
    else if (py::isinstance<py::str>(value))
      attrs.set(name, value.cast<std::string>());
    else if (py::isinstance<py::float_>(value))
      attrs.set(name, value.cast<double>());
    else if (py::isinstance<py::int_>(value))
      attrs.set(name, value.cast<int64_t>());
    else if (py::isinstance<py::sequence>(value))
      attrs.set(name, value.cast<Shape>());
    else if (py::hasattr(value, "__index__"))
      attrs.set(name, value.attr("__index__")().cast<int64_t>());
    else if (py::hasattr(value, "__float__"))
      attrs.set(name, value.attr("__float__")().cast<double>());
    else
      fail("attribute '", name, "' has an unsupported type");
  }
  return attrs;
}

}  // namespace

void bind_graph(py::module_& m) {
  py::class_<Variable, std::shared_ptr<Variable>>(m, "Variable")
      .def(py::init(&make_variable), py::arg("value"), py::arg("name") = "")
      .def_property_readonly("shape", [](const Variable& v) { return py::tuple(py::cast(v.shape())); })
      .def_property_readonly("dtype", [](const Variable&) { return "float32"; })
      .def_property_readonly("device", [](const Variable& v) { return std::string(v.device().name()); })
      .def_readwrite("name", &Variable::name)
      .def("numpy", &read_variable)
      .def("assign", &assign_variable, py::arg("value"));

  py::class_<Graph>(m, "Graph")
      .def(py::init<>())
      .def(
          "input",
          [](Graph& g, Shape shape, const std::string& dtype, std::string name) {
            return g.input(std::move(shape), value_dtype(dtype), std::move(name));
          },
          py::arg("shape"), py::arg("dtype") = "float32", py::arg("name") = "")
      .def("variable", &Graph::variable, py::arg("variable").none(false))
      .def("constant", &add_constant, py::arg("value"))
      .def(
          "op",
          [](Graph& g, const std::string& kind, std::vector<ValueId> inputs, const std::optional<py::dict>& attrs,
             std::string layer) {
            return g.record(kind, std::move(inputs), attrs ? attrs_of(*attrs) : Attrs{}, std::move(layer));
          },
          py::arg("kind"), py::arg("inputs"), py::arg("attrs") = py::none(), py::arg("layer") = "")
      .def(
          "shape", [](const Graph& g, ValueId v) { return py::tuple(py::cast(g.shape(v))); }, py::arg("value"))
      .def(
          "dtype", [](const Graph& g, ValueId v) { return dtype_name(g.value(v).dtype); }, py::arg("value"))
      .def(
          "results",
          [](const Graph& g, ValueId v) {
            const Node* producer = g.producer(v);
            return producer ? producer->outputs : std::vector<ValueId>{v};
          },
          py::arg("value"))
      .def("gradients", &Graph::gradients, py::arg("loss"), py::arg("values"));

  py::tuple names(unary_count());
  for (int i = 0; i < unary_count(); ++i) names[i] = kUnaryNames[i];
  m.attr("UNARY_FUNCTIONS") = names;
}

}  // namespace weft
