// conv2d_grad_kernel: to be written.

#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {

void fill_conv2d_grad_kernel(KernelTable&) {}

}  // namespace weft::WEFT_ISA
