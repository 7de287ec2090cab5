// Errors of the core: one clear sentence, thrown as std::invalid_argument (ValueError in Python).
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "core/shape.h"

namespace weft {

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw std::invalid_argument(concat(parts...));
}

template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) fail(parts...);
}

}  // namespace weft
