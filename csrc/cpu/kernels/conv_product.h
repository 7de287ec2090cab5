// A convolution as the register tile sees it: what conv2d_forward and each phase of conv2d_grad_input come down to.
// Pixels of the input are the rows of a product, panels of the kernel its columns.
#pragma once

#include "cpu/kernels/conv_window.h"

namespace weft::WEFT_ISA {

// Where the outputs go and what becomes of them on the way: dropout(pool(act(x))), or, with `saved`,
// x * dropout mask * saved_act'(saved). Pixel (oy, ox) of an image, after any pooling, are the f floats from
// first + oy*row_step + ox*pixel_step on.
struct ConvOutput {
  float* y;            // (n, row_size), image stride y_stride
  uint8_t* argmax;     // as y, image stride argmax_stride; null where no one asks
  const float* saved;  // as y, image stride y_stride; or null
  int64_t y_stride, argmax_stride, row_size;
  int64_t first, row_step, pixel_step;
  ConvPool pool;
  UnarySpec act, saved_act;
  DropoutSpec dropout;
};

struct Convolution {
  ConvShape shape;
  ConvImages images;  // what is convolved
  const float* w;     // panels (f/16, kh*kw*c, 16)
  const float* bias;  // (round_up(f, 16)), or null
  bool winograd;      // w is transformed: panels (f/16, 16*c, 16), see conv_winograd.h
  ConvOutput out;
};

// The most pieces that it can be cut into, and one thread's share of it. An output is one chain of FMAs over ky, kx
// and ci; with up to 4 outputs to a pixel (and runs of at least 16 inputs) sixteen, folded as in chunk.h; with winograd
// see conv_winograd.h.
int64_t convolution_pieces(const Convolution& conv);
void convolution_run(const Convolution& conv, int tile, int n_tiles);

}  // namespace weft::WEFT_ISA
