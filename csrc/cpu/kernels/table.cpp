// The kernel table of one instruction set: every slot, filled in one place. See kernel_table.h.

#include "cpu/kernels/table.h"

#define WEFT_STRING_OF(name) #name
#define WEFT_STRING(name) WEFT_STRING_OF(name)

namespace weft::WEFT_ISA {

static KernelTable table;

const KernelTable* kernel_table() {
  table.name = WEFT_STRING(WEFT_ISA);
  fill_conv2d_forward(table);
  fill_conv2d_grad_input(table);
  fill_conv2d_grad_kernel(table);
  fill_conv2d_winograd_kernel(table);
  fill_dense_forward(table);
  fill_dense_grad_input(table);
  fill_dense_grad_kernel(table);
  fill_dense_grad_bias(table);
  fill_lstm(table);
  fill_gru(table);
  fill_simple_rnn(table);
  fill_embedding(table);
  fill_pack(table);
  fill_pool2d(table);
  fill_batch_norm(table);
  fill_layer_norm(table);
  fill_unary(table);
  fill_binary(table);
  fill_depthwise_conv2d(table);
  fill_depthwise_conv2d_grad_kernel(table);
  fill_dropout(table);
  fill_random(table);
  fill_image_affine(table);
  fill_image_gaussian(table);
  fill_reduce(table);
  fill_softmax(table);
  fill_copy(table);
  fill_batch(table);
  fill_shuffle(table);
  fill_update(table);
  fill_metrics(table);
  fill_nonzeros(table);
  return &table;
}

}  // namespace weft::WEFT_ISA
