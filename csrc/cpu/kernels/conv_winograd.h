// Convolutions with 3x3 kernels by Winograd's way, see ops/conv2d.h.
#pragma once

#include "cpu/kernels/conv_product.h"

namespace weft::WEFT_ISA {

// One thread's share of a convolution whose w is the transformed kernel: panels (f/16, 16*c, 16). Each product is one
// chain of FMAs over ci.
void winograd_run(const Convolution& conv, int tile, int n_tiles);
int64_t winograd_pieces(const Convolution& conv);

// The gradient of the kernel from some images: args.grad gets the elements of one of winograd_units.
void winograd_grad_run(const Conv2dGradKernelArgs& args, Range images, int64_t unit);

}  // namespace weft::WEFT_ISA
