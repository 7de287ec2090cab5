// One struct of function pointers: every kernel a device must have. There is one instance per device
// and instruction set, each filled in one visible file. A null slot is an error when a plan is built.
#pragma once

#include "ops/binary.h"
#include "ops/conv2d.h"
#include "ops/copy.h"
#include "ops/dense.h"
#include "ops/dropout.h"
#include "ops/kernel.h"
#include "ops/metrics.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/unary.h"
#include "ops/update.h"

namespace weft {

struct KernelTable {
  const char* name;  // "baseline", "avx2", "avx512"

  Kernel<DenseForwardArgs> dense_forward;
  Kernel<DenseGradInputArgs> dense_grad_input;
  Kernel<DenseGradKernelArgs> dense_grad_kernel;
  Kernel<DenseGradBiasArgs> dense_grad_bias;
  Kernel<PackArgs> pack;
  Kernel<UnpackArgs> unpack;
  Kernel<TransposeArgs> transpose;

  Kernel<Conv2dForwardArgs> conv2d_forward;
  Kernel<Conv2dFlipKernelArgs> conv2d_flip_kernel;
  Kernel<Conv2dGradInputArgs> conv2d_grad_input;
  Kernel<Conv2dGradKernelArgs> conv2d_grad_kernel;
  Kernel<Conv2dGradKernelPartialsArgs> conv2d_grad_kernel_partials;
  Kernel<ScalePanelsArgs> scale_panels;

  Kernel<UnaryArgs> unary;
  Kernel<UnaryGradArgs> unary_grad;
  Kernel<BinaryArgs> binary;
  Kernel<SelectArgs> select;
  Kernel<DropoutArgs> dropout;
  Kernel<RandomArgs> random;

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
};

}  // namespace weft
