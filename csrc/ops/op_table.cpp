#include "ops/op_table.h"

namespace weft {

const OpDef* find_op(const std::string& name) {
  static const OpDef* const ops[] = {
      &kDense,
      &kDenseGradInput,
      &kDenseGradKernel,
      &kDenseGradBias,
      &kPack,
      &kUnpack,
      &kTransposeRows,
      &kSumPartials,
      &kConv2d,
      &kConv2dTranspose,
      &kConv2dGradInput,
      &kConv2dFlipKernel,
      &kConv2dGradKernel,
      &kConv2dGradKernelPartials,
      &kScalePanels,
      &kMaxPool2d,
      &kMaxPool2dGrad,
      &kAvgPool2d,
      &kAvgPool2dGrad,
      &kDepthwiseConv2d,
      &kDepthwiseConv2dGradInput,
      &kDepthwiseConv2dGradKernel,
      &kLstm,
      &kLstmGrad,
      &kGru,
      &kGruGrad,
      &kSimpleRnn,
      &kSimpleRnnGrad,
      &kEmbedding,
      &kEmbeddingGrad,
      &kBatchNorm,
      &kBatchNormInference,
      &kBatchNormApply,
      &kChannelMoments,
      &kCombineMoments,
      &kBatchNormGradSums,
      &kSumGroups,
      &kBatchNormGradInput,
      &kLayerNorm,
      &kLayerNormGrad,
      &kUnary,
      &kUnaryGrad,
      &kBinary,
      &kSelect,
      &kDropout,
      &kRandom,
      &kAffineTransform,
      &kAffineTransformGrad,
      &kGaussianFilter,
      &kReduce,
      &kArgmax,
      &kSoftmax,
      &kSoftmaxGrad,
      &kSoftmaxCrossEntropy,
      &kSoftmaxCrossEntropyGrad,
      &kSoftmaxCrossEntropyWithGrad,
      &kReshape,
      &kReshapeCopy,
      &kTranspose,
      &kBroadcastTo,
      &kConcatenate,
      &kSlice,
      &kSliceGrad,
      &kCast,
      &kStopGradient,
      &kLoadBatch,
      &kStoreBatch,
      &kUpdate,
      &kUpdateScalars,
      &kAssign,
      &kAccumulate,
      &kCheckFinite,
      &kInTopK,
      &kOneHot,
  };
  for (const OpDef* op : ops) {
    if (name == op->name) return op;
  }
  return nullptr;
}

int updated_input(const Node& node) {
  if (!node.attrs.has("rule")) return -1;
  if (node.op == &kUpdate) return 0;
  if (node.op == &kDenseGradBias || node.op == &kSumPartials) return 1;
  if (node.op == &kDenseGradKernel) return 2;
  if (node.op == &kConv2dGradKernel) return 3;
  return -1;
}

}  // namespace weft
