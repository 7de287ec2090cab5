// What the kernel files of one instruction set offer: each fills its slots of the table.
#pragma once

#include "cpu/kernels/vec.h"
#include "ops/kernel_table.h"

namespace weft::WEFT_ISA {

void fill_conv2d_forward(KernelTable& table);
void fill_conv2d_grad_input(KernelTable& table);
void fill_conv2d_grad_kernel(KernelTable& table);
void fill_conv2d_winograd_kernel(KernelTable& table);
void fill_dense_forward(KernelTable& table);
void fill_dense_grad_input(KernelTable& table);
void fill_dense_grad_kernel(KernelTable& table);
void fill_dense_grad_bias(KernelTable& table);
void fill_batch_norm(KernelTable& table);
void fill_layer_norm(KernelTable& table);
void fill_lstm(KernelTable& table);
void fill_gru(KernelTable& table);
void fill_shuffle(KernelTable& table);
void fill_simple_rnn(KernelTable& table);
void fill_embedding(KernelTable& table);
void fill_pack(KernelTable& table);
void fill_pool2d(KernelTable& table);
void fill_unary(KernelTable& table);
void fill_binary(KernelTable& table);
void fill_depthwise_conv2d(KernelTable& table);
void fill_depthwise_conv2d_grad_kernel(KernelTable& table);
void fill_dropout(KernelTable& table);
void fill_random(KernelTable& table);
void fill_image_affine(KernelTable& table);
void fill_image_gaussian(KernelTable& table);
void fill_reduce(KernelTable& table);
void fill_softmax(KernelTable& table);
void fill_copy(KernelTable& table);
void fill_batch(KernelTable& table);
void fill_update(KernelTable& table);
void fill_metrics(KernelTable& table);
void fill_nonzeros(KernelTable& table);

// The table, filled. Called once, while the device is made: it is not safe to call from two threads.
const KernelTable* kernel_table();

}  // namespace weft::WEFT_ISA
