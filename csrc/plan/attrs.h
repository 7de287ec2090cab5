// The parameters of one op, by name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "core/check.h"

namespace weft {

class Attrs {
 public:
  using Value = std::variant<int64_t, double, std::string, Shape>;

  Attrs() = default;
  Attrs(std::initializer_list<std::pair<const std::string, Value>> values) : values_(values) {}

  void set(const std::string& name, Value value) { values_[name] = std::move(value); }
  bool has(const std::string& name) const { return values_.count(name) > 0; }
  // Adds what `other` has, over what is here.
  void merge(const Attrs& other) {
    for (const auto& [name, value] : other.values_) values_[name] = value;
  }

  int64_t integer(const std::string& name, int64_t fallback = 0) const {
    const Value* v = find(name);
    if (!v) return fallback;
    if (const double* d = std::get_if<double>(v)) return static_cast<int64_t>(*d);
    return as<int64_t>(name, *v);
  }
  double number(const std::string& name, double fallback = 0) const {
    const Value* v = find(name);
    if (!v) return fallback;
    if (const int64_t* i = std::get_if<int64_t>(v)) return static_cast<double>(*i);
    return as<double>(name, *v);
  }
  float real(const std::string& name, double fallback = 0) const { return static_cast<float>(number(name, fallback)); }
  bool flag(const std::string& name) const { return integer(name) != 0; }
  std::string text(const std::string& name, const std::string& fallback = "") const {
    const Value* v = find(name);
    return v ? as<std::string>(name, *v) : fallback;
  }
  Shape ints(const std::string& name) const {
    const Value* v = find(name);
    return v ? as<Shape>(name, *v) : Shape{};
  }

 private:
  const Value* find(const std::string& name) const {
    const auto it = values_.find(name);
    return it == values_.end() ? nullptr : &it->second;
  }
  template <class T>
  static const T& as(const std::string& name, const Value& value) {
    const T* v = std::get_if<T>(&value);
    check(v != nullptr, "attribute '", name, "' has the wrong type");
    return *v;
  }

  std::map<std::string, Value> values_;
};

}  // namespace weft
