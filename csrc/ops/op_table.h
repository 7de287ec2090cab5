// Every op, by the file that defines it.
#pragma once

#include "ops/op.h"

namespace weft {

extern const OpDef kDense, kDenseGradInput, kDenseGradKernel, kDenseGradBias, kPack, kUnpack, kTransposeRows,
    kSumPartials;                  // dense.cpp
extern const OpDef kFindNonzeros;  // nonzeros.cpp
extern const OpDef kConv2d, kConv2dTranspose, kConv2dGradInput, kConv2dFlipKernel, kConv2dGradKernel,
    kConv2dGradKernelPartials, kConv2dWinogradKernel, kScalePanels;         // conv2d.cpp
extern const OpDef kMaxPool2d, kMaxPool2dGrad, kAvgPool2d, kAvgPool2dGrad;  // pool2d.cpp
extern const OpDef kDepthwiseConv2d, kDepthwiseConv2dGradInput,
    kDepthwiseConv2dGradKernel;                 // depthwise_conv2d.cpp
extern const OpDef kLstm, kLstmGrad;            // lstm.cpp
extern const OpDef kGru, kGruGrad;              // gru.cpp
extern const OpDef kSimpleRnn, kSimpleRnnGrad;  // simple_rnn.cpp
extern const OpDef kEmbedding, kEmbeddingGrad;  // embedding.cpp
extern const OpDef kBatchNorm, kBatchNormInference, kBatchNormApply, kChannelMoments, kCombineMoments,
    kBatchNormGradSums, kSumGroups, kBatchNormGradInput;                     // batch_norm.cpp
extern const OpDef kLayerNorm, kLayerNormGrad;                               // layer_norm.cpp
extern const OpDef kUnary, kUnaryGrad;                                       // unary.cpp
extern const OpDef kBinary, kSelect;                                         // binary.cpp
extern const OpDef kDropout, kRandom;                                        // random.cpp
extern const OpDef kAffineTransform, kAffineTransformGrad, kGaussianFilter;  // image.cpp
extern const OpDef kReduce, kArgmax;                                         // reduce.cpp
extern const OpDef kSoftmax, kSoftmaxGrad, kSoftmaxCrossEntropy, kSoftmaxCrossEntropyGrad,
    kSoftmaxCrossEntropyWithGrad;                                                                       // softmax.cpp
extern const OpDef kReshape, kReshapeCopy, kTranspose, kBroadcastTo, kConcatenate, kSlice, kSliceGrad;  // copy.cpp
extern const OpDef kCast, kStopGradient, kLoadBatch, kStoreBatch;                                       // batch.cpp
extern const OpDef kUpdate, kUpdateScalars, kAssign;                                                    // update.cpp
extern const OpDef kAccumulate, kCheckFinite, kInTopK, kOneHot;                                         // metrics.cpp

// Where the variable stands among the inputs of a node that updates one: an update by itself, or fused into the kernel
// that makes the gradient; -1 for other nodes. Its slots follow it (in an update by itself, after the gradient).
int updated_input(const Node& node);

// Makes three nodes of batch_norm: the moments of groups of positions, their combination, the normalization.
void split_batch_norm(Graph& graph, int node);

}  // namespace weft
