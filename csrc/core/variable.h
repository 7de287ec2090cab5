// A trainable or state array. Its layout is the device's business: the first plan that uses it decides
// between padded rows and panels, and what goes in and out is always a plain contiguous array.
#pragma once

#include <memory>
#include <string>

#include "core/device.h"
#include "core/shape.h"

namespace weft {

enum class Layout : uint8_t { kRows, kPanels };

class Variable {
 public:
  Variable(Device& device, Shape shape, std::string name);

  const Shape& shape() const { return shape_; }
  float* data() const { return buffer_->floats(); }
  int64_t storage() const { return storage_; }  // floats, padding included; padding is 0
  Device& device() const { return buffer_->device(); }

  void read(float* contiguous) const;
  void write(const float* contiguous);

  // The layout is settled by the first plan; a later wish for another one is not granted.
  Layout layout() const { return layout_; }
  void settle_layout(Layout wanted);

  std::string name;

 private:
  void allocate();

  Shape shape_;
  Layout layout_ = Layout::kRows;
  bool settled_ = false;
  int64_t storage_ = 0;
  std::unique_ptr<Buffer> buffer_;
  Device* device_;
};

}  // namespace weft
