// conv2d_grad_input: to be written.

#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {

void fill_conv2d_grad_input(KernelTable&) {}

}  // namespace weft::WEFT_ISA
