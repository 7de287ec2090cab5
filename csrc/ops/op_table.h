// Every op, by the file that defines it.
#pragma once

#include "ops/op.h"

namespace weft {

extern const OpDef kDense, kDenseGradInput, kDenseGradKernel, kDenseGradBias, kPack, kUnpack,
    kTransposeRows;                     // dense.cpp
extern const OpDef kUnary, kUnaryGrad;  // unary.cpp
extern const OpDef kBinary, kSelect;    // binary.cpp
extern const OpDef kDropout, kRandom;   // random.cpp
extern const OpDef kReduce, kArgmax;    // reduce.cpp
extern const OpDef kSoftmax, kSoftmaxGrad, kSoftmaxCrossEntropy, kSoftmaxCrossEntropyGrad,
    kSoftmaxCrossEntropyWithGrad;                                                                       // softmax.cpp
extern const OpDef kReshape, kReshapeCopy, kTranspose, kBroadcastTo, kConcatenate, kSlice, kSliceGrad;  // copy.cpp
extern const OpDef kCast, kStopGradient, kLoadBatch, kStoreBatch;                                       // batch.cpp
extern const OpDef kUpdate, kUpdateScalars, kAssign;                                                    // update.cpp
extern const OpDef kAccumulate, kCheckFinite, kInTopK, kOneHot;                                         // metrics.cpp

}  // namespace weft
