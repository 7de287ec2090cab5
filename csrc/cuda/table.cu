// The kernel table of CUDA: every slot, filled in one place. See kernel_table.h.
#include "cuda/cuda_device.h"
#include "cuda/table.h"

namespace weft::cuda {

const KernelTable& kernel_table() {
  static const KernelTable table = [] {
    KernelTable t{};
    t.name = "cuda";
    fill_batch(t);
    fill_batch_norm(t);
    fill_binary(t);
    fill_conv2d_forward(t);
    fill_conv2d_grad_input(t);
    fill_conv2d_grad_kernel(t);
    fill_copy(t);
    fill_dense_forward(t);
    fill_dense_grad_bias(t);
    fill_dense_grad_input(t);
    fill_dense_grad_kernel(t);
    fill_depthwise_conv2d(t);
    fill_depthwise_conv2d_grad_kernel(t);
    fill_dropout(t);
    fill_embedding(t);
    fill_gru(t);
    fill_image_affine(t);
    fill_image_gaussian(t);
    fill_layer_norm(t);
    fill_lstm(t);
    fill_metrics(t);
    fill_pack(t);
    fill_pool2d(t);
    fill_random(t);
    fill_reduce(t);
    fill_shuffle(t);
    fill_simple_rnn(t);
    fill_softmax(t);
    fill_unary(t);
    fill_update(t);
    return t;
  }();
  return table;
}

}  // namespace weft::cuda
