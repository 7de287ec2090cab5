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
      &kUnary,
      &kUnaryGrad,
      &kBinary,
      &kSelect,
      &kDropout,
      &kRandom,
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

}  // namespace weft
