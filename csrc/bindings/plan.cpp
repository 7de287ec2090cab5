// StepState and Plan.
#include "plan/plan.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <variant>

#include "bindings/bindings.h"
#include "core/check.h"

namespace weft {

namespace {

// A copy of a user's array in a device's memory, or of some of its rows, for plans that read it in many runs.
struct DeviceArray {
  Shape shape;
  DType dtype;
  int64_t bytes;
  Buffer buffer;
};

std::unique_ptr<DeviceArray> copied_to(Device& device, const py::array& array) {
  check(array.flags() & py::array::c_style, "the array must be C-contiguous");
  const Shape shape = shape_of(array);
  const DType dtype = dtype_of(array);
  const void* const data = array.data();
  const int64_t bytes = array.nbytes();
  py::gil_scoped_release release;
  const auto size = static_cast<size_t>(bytes);
  std::unique_ptr<DeviceArray> copy(new DeviceArray{shape, dtype, bytes, Buffer(device, size)});
  device.copy_in(copy->buffer.floats(), data, size);
  return copy;
}

// Zeros, as many rows as the user wants and like those of an array.
std::unique_ptr<DeviceArray> room_on(Device& device, const py::array& array, int64_t rows) {
  Shape shape = shape_of(array);
  check(!shape.empty() && rows >= 0, "room is for 0 rows or more, like those of an array, got ", rows,
        " rows and an array of shape ", shape);
  shape[0] = rows;
  const DType dtype = dtype_of(array);
  const int64_t bytes = element_count(shape) * array.itemsize();
  py::gil_scoped_release release;
  return std::unique_ptr<DeviceArray>(new DeviceArray{shape, dtype, bytes, Buffer(device, static_cast<size_t>(bytes))});
}

const int32_t* rows_of(const py::array& order) {
  check(order.dtype().kind() == 'i' && order.dtype().itemsize() == 4 && order.ndim() == 1 &&
            (order.flags() & py::array::c_style),
        "order must be a contiguous int32 vector");
  return static_cast<const int32_t*>(order.data());
}

// The first rows become those of an array that order[begin, end) names, or [begin, end) of its own.
void gather(DeviceArray& held, const py::array& array, const std::optional<py::array>& order, int64_t begin,
            int64_t end) {
  const Shape shape = shape_of(array);
  check(array.flags() & py::array::c_style, "the array must be C-contiguous");
  check(dtype_of(array) == held.dtype, "the array must have the type that the room is for, got ",
        std::string(py::str(array.dtype())));
  check(!shape.empty() && shape.size() == held.shape.size() &&
            std::equal(shape.begin() + 1, shape.end(), held.shape.begin() + 1),
        "the array must have rows like those of shape ", held.shape, ", got shape ", shape);
  const int32_t* const rows = order ? rows_of(*order) : nullptr;
  const int64_t available = order ? order->shape(0) : shape[0];
  check(0 <= begin && begin <= end && end <= available, "there are no rows ", begin, " to ", end, " of ", available);
  check(end - begin <= held.shape[0], "there is room for ", held.shape[0], " rows, not for ", end - begin);
  const char* const from = static_cast<const char*>(array.data());
  const size_t row_bytes = shape[0] > 0 ? static_cast<size_t>(array.nbytes() / shape[0]) : 0;

  py::gil_scoped_release release;
  for (int64_t i = begin; rows && i < end; ++i) {
    check(rows[i] >= 0 && rows[i] < shape[0], "order names row ", rows[i], " of ", shape[0]);
  }
  const auto fill = [&](char* piece, size_t first, size_t bytes) {
    if (!rows) {
      std::memcpy(piece, from + static_cast<size_t>(begin) * row_bytes + first, bytes);
      return;
    }
    // A piece may begin and end within a row.
    const char* const piece_end = piece + bytes;
    const int32_t* row = rows + begin + first / row_bytes;
    for (size_t skip = first % row_bytes; piece < piece_end; skip = 0, ++row) {
      const size_t size = std::min(row_bytes - skip, static_cast<size_t>(piece_end - piece));
      std::memcpy(piece, from + static_cast<size_t>(*row) * row_bytes + skip, size);
      piece += size;
    }
  };
  const size_t bytes = static_cast<size_t>(end - begin) * row_bytes;
  if (bytes > 0) held.buffer.device().copy_in_pieces(held.buffer.floats(), bytes, fill);
}

// An input as it was given: an array of the host's or one of the device's.
struct Input {
  Shape shape;
  UserArray array;  // all of it
};
Input input_of(const py::handle& given, size_t i, const Device& device) {
  if (py::isinstance<DeviceArray>(given)) {
    const auto& held = given.cast<const DeviceArray&>();
    check(&held.buffer.device() == &device, "input ", i, " is on ", held.buffer.device().name(), ", the plan on ",
          device.name());
    return {held.shape, {held.buffer.floats(), held.dtype, held.bytes, 0, true}};
  }
  const auto array = given.cast<py::array>();
  check(array.flags() & py::array::c_style, "input ", i, " must be C-contiguous");
  return {shape_of(array), {const_cast<void*>(array.data()), dtype_of(array), array.nbytes(), 0}};
}

// Rows of an array of this shape must have the shape of the value's rows; returns how many there are.
int64_t check_rows(const char* what, size_t i, const Value& value, const Shape& shape) {
  const size_t rank = value.shape.size();
  const bool fits =
      shape.size() == rank && (rank == 0 || std::equal(shape.begin() + 1, shape.end(), value.shape.begin() + 1));
  check(fits, what, " ", i, " must have rows like ", value.shape, ", got an array of shape ", shape);
  return rank == 0 ? 1 : shape[0];
}

// Which rows make up an epoch, as Python says it; none: all, in their own order.
using OrderArgument = std::optional<std::variant<Shuffle, py::array>>;

// A request and the arrays it points into: the sequences they came in may change while the plan runs.
struct HeldRequest {
  Plan::Request request;
  std::vector<py::object> arrays;
};

HeldRequest request_of(Plan& plan, StepState& state, const py::sequence& inputs, const OrderArgument& order,
                       int64_t start, int64_t steps, const py::sequence& outputs) {
  HeldRequest held{{&state, {}, {}, {}, start, steps, nullptr, nullptr}, {}};
  Plan::Request& request = held.request;
  check(inputs.size() == plan.input_values().size(), "the plan takes ", plan.input_values().size(), " inputs, got ",
        inputs.size());
  check(outputs.size() == plan.output_values().size(), "the plan gives ", plan.output_values().size(), " outputs, got ",
        outputs.size());
  check(start >= 0 && steps >= 0, "start and steps must not be negative");
  const int64_t most = std::numeric_limits<int64_t>::max();
  check(steps <= (most - start) / std::max<int64_t>(1, plan.batch()), "there are no ", steps, " steps from row ",
        start);
  const auto is_batch = [&](const Value& value) { return !value.shape.empty() && value.shape[0] == plan.batch(); };
  const int64_t end = start + steps * plan.batch();
  const auto* const named = order ? std::get_if<py::array>(&*order) : nullptr;
  if (named) {
    request.order.rows = rows_of(*named);
    check(end <= named->shape(0), "the steps need ", end, " rows, order has ", named->shape(0));
  }
  int64_t rows_available = -1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const py::object given = inputs[i];  // once: a sequence may make each of them anew
    const auto [shape, whole] = input_of(given, i, plan.device());
    const Value& value = plan.input_values()[i];
    const int64_t rows = check_rows("input", i, value, shape);
    if (!is_batch(value)) {
      // Read whole, from its first row.
      check(!order && start == 0 && steps <= 1, "input ", i, " of shape ", value.shape, " is no batch of ",
            plan.batch(), " rows: it can be read by one step from row 0 only");
      check(value.shape.empty() || rows >= value.shape[0], "input ", i, " must have ", value.shape, ", got ", rows,
            " rows");
    } else if (!order) {
      check(end <= rows, "the steps need ", end, " rows, input ", i, " has ", rows);
    }
    if (order && rows_available >= 0) check(rows == rows_available, "inputs must have the same number of rows");
    rows_available = rows;
    // The rows of these steps, unless the order may name any.
    const int64_t row = rows > 0 ? whole.bytes / rows : 0;
    const bool all = order || !is_batch(value);
    const int64_t skip = all ? 0 : start * row, bytes = all ? whole.bytes : (end - start) * row;
    request.inputs.push_back({static_cast<char*>(whole.data) + skip, whole.dtype, bytes, skip, whole.on_device});
    held.arrays.push_back(given);
  }
  if (named && rows_available >= 0) {
    for (int64_t i = start; i < end; ++i) {
      const int32_t row = request.order.rows[i];
      check(row >= 0 && row < rows_available, "order names row ", row, " of ", rows_available);
    }
  } else if (order && !named) {
    check(rows_available >= 0, "there are no inputs whose rows could be shuffled");
    check(end <= rows_available, "the steps need ", end, " rows, the inputs have ", rows_available);
    request.order.drawn = draw_permutation(rows_available, std::get<Shuffle>(*order));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    auto array = outputs[i].cast<py::array>();
    const Value& value = plan.output_values()[i];
    check(array.writeable(), "output ", i, " must be writeable");
    check(dtype_of(array) == value.dtype, "output ", i, " must be ", dtype_name(value.dtype));
    check(array.flags() & py::array::c_style, "output ", i, " must be C-contiguous");
    const int64_t rows = check_rows("output", i, value, shape_of(array));
    char* data = static_cast<char*>(array.mutable_data());
    int64_t bytes = array.nbytes(), skip = 0;
    if (is_batch(value)) {
      check(end <= rows, "the steps give ", end, " rows, output ", i, " has ", rows);
      const int64_t row = rows > 0 ? bytes / rows : 0;
      data += skip = start * row;
      bytes = (end - start) * row;
    } else {
      // Not a batch: stored whole, wherever the step stands in the epoch.
      check(steps <= 1, "output ", i, " of shape ", value.shape, " can be stored by one step only");
      const int64_t row_size = value.shape.size() < 2 ? 1 : row_layout(value.shape).row_size;
      check(value.shape.empty() || rows >= value.shape[0], "output ", i, " must have ", value.shape, ", got ", rows,
            " rows");
      skip = start * row_size * 4;
      bytes = element_count(value.shape) * 4;
    }
    request.outputs.push_back({data, value.dtype, bytes, skip});
    held.arrays.push_back(array);
  }
  return held;
}

bool signals_pending() {
  py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

int64_t run(Plan& plan, StepState& state, const py::sequence& inputs, const OrderArgument& order, int64_t start,
            int64_t steps, const py::sequence& outputs,
            const std::optional<py::array_t<float, py::array::c_style>>& learning_rates) {
  HeldRequest held = request_of(plan, state, inputs, order, start, steps, outputs);
  if (learning_rates) {
    check(learning_rates->ndim() == 1 && learning_rates->shape(0) == steps, "learning_rates must be a vector of ",
          steps, " numbers, one for each step");
    held.request.learning_rates = learning_rates->data();
  }
  bool interrupted = false;
  held.request.poll = [&] { return interrupted = interrupted || signals_pending(); };
  int64_t completed;
  {
    py::gil_scoped_release release;
    completed = plan.run(held.request);
  }
  if (interrupted) throw py::error_already_set();
  return completed;
}

// That of the graph's variables, who must all be in one place; the current one if it has none.
Device& device_of(const Graph& graph) {
  Device* device = nullptr;
  for (const Value& value : graph.values) {
    if (value.source != Value::Source::kVariable) continue;
    Device* const own = &value.variable->device();
    check(!device || device == own, "'", value.variable->name, "' is on ", own->name(), ", other variables are on ",
          device ? device->name() : "");
    device = own;
  }
  return device ? *device : current_device();
}

py::list describe(const Plan& plan) {
  py::list steps;
  int index = 0;
  for (const StepInfo& info : plan.describe()) {
    py::dict step;
    step["step"] = index++;
    step["phase"] = info.phase;
    step["kernel"] = info.kernel;
    step["layer"] = info.layer;
    step["shape"] = py::tuple(py::cast(info.shape));
    step["bytes"] = info.bytes;
    step["offset"] = info.offset;
    step["flops"] = info.flops;
    step["tiles"] = info.n_tiles;
    steps.append(step);
  }
  return steps;
}

}  // namespace

void bind_plan(py::module_& m) {
  py::class_<StepState>(m, "StepState")
      .def(py::init([](uint64_t seed) {
             StepState state{};
             state.seed = seed;
             return state;
           }),
           py::arg("seed") = 0)
      .def_readwrite("iteration", &StepState::iteration)
      .def_readwrite("learning_rate", &StepState::learning_rate)
      .def_readwrite("seed", &StepState::seed)
      .def_readwrite("draw", &StepState::draw)
      .def_property_readonly("sums",
                             [](py::object self) {
                               auto& state = self.cast<StepState&>();
                               return py::array_t<double>({kMaxAccumulators}, {sizeof(double)}, state.sums, self);
                             })
      .def_property_readonly("aborted", [](const StepState& state) { return state.abort_step != 0; })
      .def("reset_sums", [](StepState& state) { std::fill(std::begin(state.sums), std::end(state.sums), 0.0); });

  py::class_<Shuffle>(m, "Shuffle")
      .def(py::init([](uint64_t seed, uint64_t epoch) { return Shuffle{seed, epoch}; }), py::arg("seed"),
           py::arg("epoch"))
      .def_readonly("seed", &Shuffle::seed)
      .def_readonly("epoch", &Shuffle::epoch);

  py::class_<DeviceArray>(m, "DeviceArray")
      .def(py::init([](const py::array& array, const Plan& plan) { return copied_to(plan.device(), array); }),
           py::arg("array"), py::arg("plan"))
      .def_static(
          "room",
          [](const py::array& array, int64_t rows, const Plan& plan) { return room_on(plan.device(), array, rows); },
          py::arg("array"), py::arg("rows"), py::arg("plan"))
      .def("gather", &gather, py::arg("array"), py::arg("order"), py::arg("begin"), py::arg("end"))
      .def_property_readonly("shape", [](const DeviceArray& a) { return py::tuple(py::cast(a.shape)); });

  py::class_<Plan>(m, "Plan")
      .def(py::init([](const Graph& graph, std::vector<ValueId> outputs, bool fuse) {
             return std::make_unique<Plan>(device_of(graph), graph, std::move(outputs), fuse);
           }),
           py::arg("graph"), py::arg("outputs") = std::vector<ValueId>{}, py::arg("fuse") = true)
      .def("run", &run, py::arg("state"), py::arg("inputs"), py::arg("order"), py::arg("start"), py::arg("steps"),
           py::arg("outputs") = py::tuple(), py::arg("learning_rates") = py::none())
      .def(
          "find_nonfinite",
          [](Plan& plan, StepState& state, const py::sequence& inputs, const OrderArgument& order, int64_t start) {
            check(plan.output_values().empty(), "find_nonfinite is for plans without outputs");
            const HeldRequest held = request_of(plan, state, inputs, order, start, 1, py::tuple());
            py::gil_scoped_release release;  // whoever runs the plan may be waiting for the GIL
            return plan.find_nonfinite(held.request);
          },
          py::arg("state"), py::arg("inputs"), py::arg("order"), py::arg("start"))
      .def(
          "profile",
          [](Plan& plan, StepState& state, const py::sequence& inputs, const OrderArgument& order, int repeats) {
            check(plan.output_values().empty(), "profile is for plans without outputs");
            const HeldRequest held = request_of(plan, state, inputs, order, 0, 1, py::tuple());
            py::gil_scoped_release release;
            return plan.profile(held.request, repeats);
          },
          py::arg("state"), py::arg("inputs"), py::arg("order"), py::arg("repeats"))
      .def("describe", &describe)
      .def_property_readonly("device", [](const Plan& plan) { return std::string(plan.device().name()); })
      .def_property_readonly("arena_bytes", &Plan::arena_bytes)
      .def_property_readonly("flops", &Plan::flops);
}

}  // namespace weft
