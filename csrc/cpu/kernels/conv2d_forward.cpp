// conv2d_forward: to be written.

#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {

void fill_conv2d_forward(KernelTable&) {}

}  // namespace weft::WEFT_ISA
