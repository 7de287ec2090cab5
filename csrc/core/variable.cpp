#include "core/variable.h"

#include <cstring>
#include <vector>

namespace weft {

Variable::Variable(Device& device, Shape shape, std::string name)
    : name(std::move(name)), shape_(std::move(shape)), device_(&device) {
  allocate();
}

void Variable::allocate() {
  storage_ = layout_ == Layout::kPanels ? panel_size(shape_) : row_layout(shape_).storage();
  buffer_ = std::make_unique<Buffer>(*device_, static_cast<size_t>(storage_) * sizeof(float));
}

// Calls visit(offset in storage, offset in the contiguous array, length) for every contiguous run.
template <class Visit>
static void for_each_run(const Shape& shape, Layout layout, Visit visit) {
  if (layout == Layout::kRows) {
    const RowLayout rows = row_layout(shape);
    for (int64_t r = 0; r < rows.rows; ++r) visit(r * rows.stride, r * rows.row_size, rows.row_size);
    return;
  }
  const int64_t k_count = panel_rows(shape), n_count = shape.back();
  for (int64_t n = 0; n < n_count; n += kPanel) {
    const int64_t width = n_count - n < kPanel ? n_count - n : kPanel;
    for (int64_t k = 0; k < k_count; ++k) visit(n * k_count + k * kPanel, k * n_count + n, width);
  }
}

void Variable::read(float* contiguous) const {
  std::vector<float> storage(storage_);
  device().copy_out(storage.data(), data(), storage.size() * sizeof(float));
  for_each_run(shape_, layout_, [&](int64_t from, int64_t to, int64_t n) {
    std::memcpy(contiguous + to, storage.data() + from, n * sizeof(float));
  });
}

void Variable::write(const float* contiguous) {
  std::vector<float> storage(storage_, 0.0f);
  for_each_run(shape_, layout_, [&](int64_t to, int64_t from, int64_t n) {
    std::memcpy(storage.data() + to, contiguous + from, n * sizeof(float));
  });
  device().copy_in(data(), storage.data(), storage.size() * sizeof(float));
}

void Variable::settle_layout(Layout wanted) {
  if (!settled_ && wanted != layout_) {
    std::vector<float> contiguous(element_count(shape_));
    read(contiguous.data());
    layout_ = wanted;
    allocate();
    write(contiguous.data());
  }
  settled_ = true;
}

}  // namespace weft
