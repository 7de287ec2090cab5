// One struct of function pointers: every kernel a device must have. There is one instance per device
// and instruction set, each filled in one visible file. A null slot is an error when a plan is built.
#pragma once

#include "ops/batch_norm.h"
#include "ops/binary.h"
#include "ops/conv2d.h"
#include "ops/copy.h"
#include "ops/dense.h"
#include "ops/depthwise_conv2d.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/gru.h"
#include "ops/image.h"
#include "ops/kernel.h"
#include "ops/layer_norm.h"
#include "ops/lstm.h"
#include "ops/metrics.h"
#include "ops/nonzeros.h"
#include "ops/pool2d.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shuffle.h"
#include "ops/simple_rnn.h"
#include "ops/softmax.h"
#include "ops/unary.h"
#include "ops/update.h"

namespace weft {

struct KernelTable {
  const char* name;  // "baseline", "avx2", "avx512"

  Kernel<DenseForwardArgs> dense_forward;
  Kernel<DenseGradInputArgs> dense_grad_input;
  bool transposes_dy = false;  // whether dense_grad_input takes dy transposed
  Kernel<DenseGradKernelArgs> dense_grad_kernel;
  Kernel<DenseGradBiasArgs> dense_grad_bias;
  Kernel<FindNonzerosArgs> find_nonzeros;  // may be missing: dense layers then multiply with every zero
  Kernel<PackArgs> pack;
  Kernel<UnpackArgs> unpack;
  Kernel<TransposeArgs> transpose;

  Kernel<Conv2dForwardArgs> conv2d_forward;
  Kernel<Conv2dFlipKernelArgs> conv2d_flip_kernel;
  Kernel<Conv2dGradInputArgs> conv2d_grad_input;
  Kernel<Conv2dGradKernelArgs> conv2d_grad_kernel;
  Kernel<Conv2dGradKernelPartialsArgs> conv2d_grad_kernel_partials;
  bool winograd = false;  // whether 3x3 convolutions go by Winograd's way, where it suits
  Kernel<Conv2dWinogradKernelArgs> conv2d_winograd_kernel;  // with winograd only
  Kernel<ScalePanelsArgs> scale_panels;

  Kernel<MaxPool2dArgs> max_pool2d;
  Kernel<MaxPool2dGradArgs> max_pool2d_grad;
  Kernel<AvgPool2dArgs> avg_pool2d;
  Kernel<AvgPool2dGradArgs> avg_pool2d_grad;

  Kernel<DepthwiseConv2dArgs> depthwise_conv2d;
  Kernel<DepthwiseConv2dGradInputArgs> depthwise_conv2d_grad_input;
  Kernel<DepthwiseConv2dGradKernelArgs> depthwise_conv2d_grad_kernel;

  Kernel<LstmArgs> lstm;
  Kernel<LstmGradArgs> lstm_grad;
  Kernel<GruArgs> gru;
  Kernel<GruGradArgs> gru_grad;
  Kernel<SimpleRnnArgs> simple_rnn;
  Kernel<SimpleRnnGradArgs> simple_rnn_grad;
  Kernel<EmbeddingArgs> embedding;
  Kernel<EmbeddingGradArgs> embedding_grad;

  Kernel<ChannelMomentsArgs> channel_moments;
  Kernel<CombineMomentsArgs> combine_moments;
  Kernel<BatchNormApplyArgs> batch_norm_apply;
  Kernel<BatchNormGradSumsArgs> batch_norm_grad_sums;
  Kernel<SumGroupsArgs> sum_groups;
  Kernel<BatchNormGradInputArgs> batch_norm_grad_input;
  Kernel<LayerNormArgs> layer_norm;
  Kernel<LayerNormGradArgs> layer_norm_grad;

  Kernel<UnaryArgs> unary;
  Kernel<UnaryGradArgs> unary_grad;
  Kernel<BinaryArgs> binary;
  Kernel<SelectArgs> select;
  Kernel<DropoutArgs> dropout;
  Kernel<RandomArgs> random;

  Kernel<AffineTransformArgs> affine_transform;
  Kernel<AffineTransformGradArgs> affine_transform_grad;
  Kernel<GaussianFilterArgs> gaussian_filter;

  Kernel<ReduceArgs> reduce;
  Kernel<ArgmaxArgs> argmax;
  Kernel<SoftmaxArgs> softmax;
  Kernel<SoftmaxGradArgs> softmax_grad;
  Kernel<SoftmaxCrossEntropyArgs> softmax_cross_entropy;

  Kernel<CopyArgs> copy;
  Kernel<CastArgs> cast;
  Kernel<FillArgs> fill;
  Kernel<LoadBatchArgs> load_batch;
  Kernel<StoreBatchArgs> store_batch;

  Kernel<UpdateArgs> update;
  Kernel<UpdateScalarsArgs> update_scalars;

  Kernel<AccumulateArgs> accumulate;
  Kernel<CheckFiniteArgs> check_finite;
  Kernel<InTopKArgs> in_top_k;
  Kernel<OneHotArgs> one_hot;

  Kernel<ShuffleArgs> shuffle;
};

}  // namespace weft
