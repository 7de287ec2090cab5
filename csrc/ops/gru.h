// gru: z, r = gate(xp + bias[0] + rec), g = cell(xp + bias[0] + r * rec) with rec = bias[1] + h U, in the order z, r,
// g; h = z h + (1 - z) g. The reset gate acts after the product, Keras's reset_after=True. (Cho et al., 2014; this form
// as in cuDNN)
#pragma once

#include <cstdint>

#include "core/types.h"
#include "ops/recurrent.h"

namespace weft {

struct GruArgs {
  RecurrentShape shape;
  const float* xp;    // (n*t, 3h), stride gate_stride
  const float* u;     // panels (3h/16, h, 16)
  const float* bias;  // (2, 3h), stride gate_stride: of the inputs, of the recurrence; or null
  const float* h0;    // (n, h), stride state_stride, or null for zeros
  float* y;           // (n*t, h) or (n, h), stride state_stride
  float* last;        // (n, h), stride state_stride: h after the last step
  float* h;           // (n, h), stride state_stride: the running h
  float* rec;         // (n, 3h), stride gate_stride: rec of the current step
  // What backward needs; null where nobody asks for it.
  float* gates;   // (n*t, 4*saved_gate(h)), stride saved_stride: z, r, g, and rec of g
  float* h_prev;  // (n*t, h), stride state_stride: h before each step
  int64_t gate_stride, state_stride, saved_stride;
  RecurrentActivations act;
};

struct GruGradArgs {
  RecurrentShape shape;
  const float* dy;      // (n*t, h) or (n, h), stride state_stride
  const float* u_t;     // panels (h/16, 3h, 16): U transposed
  const float* gates;   // as in GruArgs
  const float* h_prev;  // as in GruArgs
  float* dxp;           // (n*t, 3h), stride gate_stride
  float* dh;            // (n, h), stride state_stride: the running gradient; that of h0 at the end if it is wanted
  float* drec;          // (n*t, 3h), stride gate_stride
  float* now;           // (n, 3h), stride gate_stride: drec of the current step
  float* direct;        // (n, h), stride state_stride: the part of dh that does not pass through the product
  float* sums;          // (2n, 3h), stride gate_stride: dxp summed over time, then drec; or null
  int64_t gate_stride, state_stride, saved_stride;
  bool wants_state;
  RecurrentActivations act;
};

}  // namespace weft
