// simple_rnn: h = cell(xp + bias + (h * mask) U). (Elman, 1990)
#pragma once

#include <cstdint>

#include "core/types.h"
#include "ops/recurrent.h"

namespace weft {

struct SimpleRnnArgs {
  RecurrentShape shape;
  const float* xp;    // (n*t, h), stride stride; every value here has that stride
  const float* u;     // panels (h/16, h, 16)
  const float* bias;  // (h), or null
  const float* h0;    // (n, h), or null for zeros
  const float* mask;  // (n, h), or null
  float* y;           // (n*t, h) or (n, h)
  float* last;        // (n, h): h after the last step
  float* h;           // (n, h): the running h * mask
  float* pre;         // (n, h): the product of the current step
  // What backward needs; null where nobody asks for it.
  float* states;  // (n*t, h): h after each step
  float* h_prev;  // (n*t, h): h * mask before each step
  int64_t stride;
  RecurrentActivations act;
};

struct SimpleRnnGradArgs {
  RecurrentShape shape;
  const float* dy;      // (n*t, h) or (n, h), stride stride; every value here has that stride
  const float* u_t;     // panels (h/16, h, 16): U transposed
  const float* states;  // as in SimpleRnnArgs
  const float* mask;    // (n, h), or null
  float* dxp;           // (n*t, h)
  float* dh;            // (n, h): the running gradient; that of h0 at the end if it is wanted
  float* dpre;          // (n, h): dxp of the current step
  float* sums;          // (n, h): dxp summed over time, for the bias; or null
  int64_t stride;
  bool wants_state;
  RecurrentActivations act;
};

}  // namespace weft
