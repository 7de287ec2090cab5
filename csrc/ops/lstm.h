// lstm: i, f, o = gate(pre), g = cell(pre) with pre = xp + bias + (h * mask) U in the order i, f, g, o;
// c = f c + i g; h = o cell(c). (Hochreiter and Schmidhuber, 1997; with the forget gate of Gers et al., 2000)
#pragma once

#include <cstdint>

#include "core/types.h"
#include "ops/recurrent.h"

namespace weft {

struct LstmArgs {
  RecurrentShape shape;
  const float* xp;    // (n*t, 4h), stride gate_stride
  const float* u;     // panels (4h/16, h, 16)
  const float* bias;  // (4h), or null
  const float* h0;    // (n, h), stride state_stride, or null for zeros; likewise c0
  const float* c0;
  const float* mask;  // (n, h), stride state_stride, or null
  float* y;           // (n*t, h) or (n, h), stride state_stride
  float* c;           // (n, h), stride state_stride: the last cell states
  float* h;           // (n, h), stride state_stride: the running h * mask
  float* pre;         // (n, 4h), stride gate_stride: the product of the current step
  // What backward needs; null where nobody asks for it.
  float* gates;   // (n*t, 4*saved_gate(h)), stride saved_stride: i, f, g, o
  float* cells;   // (n*t, h), stride state_stride: c after each step
  float* h_prev;  // (n*t, h), stride state_stride: h * mask before each step
  int64_t gate_stride, state_stride, saved_stride;
  RecurrentActivations act;
};

struct LstmGradArgs {
  RecurrentShape shape;
  const float* dy;     // (n*t, h) or (n, h), stride state_stride
  const float* u_t;    // panels (h/16, 4h, 16): U transposed
  const float* gates;  // as in LstmArgs
  const float* cells;  // as in LstmArgs
  const float* c0;     // (n, h), stride state_stride, or null for zeros
  const float* mask;   // (n, h), stride state_stride, or null
  float* dxp;          // (n*t, 4h), stride gate_stride
  float* dh;           // (n, h), stride state_stride: the running gradient; that of h0 at the end if it is wanted
  float* dc;           // (n, h), stride state_stride: likewise of c0
  float* dpre;         // (n, 4h), stride gate_stride: dxp of the current step
  float* sums;         // (n, 4h), stride gate_stride: dxp summed over time, for the bias; or null
  int64_t gate_stride, state_stride, saved_stride;
  bool wants_state;
  RecurrentActivations act;
};

}  // namespace weft
