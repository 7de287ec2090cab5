// Numbers as int32. As in unary_functions.h, the includer has said where the functions are to run.
#pragma once

#include <cstdint>

namespace weft::WEFT_ISA {

// Out of range is never wrapped into range, where it might look like a valid label; NaN becomes INT32_MIN.
template <class T>
WEFT_INLINE int32_t saturate(T x) {
  if constexpr (static_cast<T>(0.5) != 0) {
    if (x != x || x < static_cast<T>(-2147483648.0)) return INT32_MIN;
    return x >= static_cast<T>(2147483648.0) ? INT32_MAX : static_cast<int32_t>(x);
  } else if constexpr (static_cast<T>(-1) > 0) {
    return x > static_cast<T>(INT32_MAX) ? INT32_MAX : static_cast<int32_t>(x);
  } else {
    const int64_t wide = x;
    return wide < INT32_MIN ? INT32_MIN : wide > INT32_MAX ? INT32_MAX : static_cast<int32_t>(wide);
  }
}

}  // namespace weft::WEFT_ISA
