// What an epoch adds up, and the check of its loss.
#include "ops/metrics.h"

#include "ops/op_table.h"

namespace weft {

namespace {

// Legalizing makes values and weights unpadded runs.
std::vector<ValueSpec> infer_accumulate(const InferContext& c) {
  c.expect_inputs(1, 2);
  for (int i = 0; i < static_cast<int>(c.count()); ++i) c.expect_float(i);
  if (c.count() == 2) c.check(c.shape(0) == c.shape(1), "expects weights of shape ", c.shape(0), ", got ", c.shape(1));
  const int64_t slot = c.attrs.integer("slot");
  c.check(slot >= 0 && slot + 1 < kMaxAccumulators, "there are ", kMaxAccumulators, " accumulators, got slot ", slot);
  return {};
}
void lower_accumulate(LowerContext& c) {
  AccumulateArgs args{c.mutable_state(), c.in(0), c.has(1) ? c.in(1) : nullptr, element_count(c.shape(0)),
                      static_cast<int>(c.node.attrs.integer("slot"))};
  c.call(c.kernels.accumulate, args, static_cast<double>(args.size));
}

std::vector<ValueSpec> infer_check_finite(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  c.check(element_count(c.shape(0)) == 1, "expects a scalar loss, got shape ", c.shape(0));
  return {};
}
void lower_check_finite(LowerContext& c) {
  c.call(c.kernels.check_finite, CheckFiniteArgs{c.mutable_state(), c.in(0)}, 10);
}

std::vector<ValueSpec> infer_in_top_k(const InferContext& c) {
  c.expect_inputs(2, 2);
  c.expect_float(0);
  const Shape& x = c.shape(0);
  c.check(x.size() == 2, "expects scores of shape (batch, classes), got ", x);
  c.check(c.dtype(1) == DType::kInt32 && c.shape(1) == Shape{x[0]}, "expects int32 labels of shape ", Shape{x[0]},
          ", got ", c.shape(1));
  c.check(c.attrs.integer("k") >= 1, "expects k of at least 1, got ", c.attrs.integer("k"));
  return {{{x[0]}}};
}
void lower_in_top_k(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  InTopKArgs args{c.in(0),  reinterpret_cast<const int32_t*>(c.in(1)),  c.out(), r.rows, r.row_size,
                  r.stride, static_cast<int>(c.node.attrs.integer("k"))};
  c.call(c.kernels.in_top_k, args, static_cast<double>(element_count(c.shape(0))));
}

std::vector<ValueSpec> infer_one_hot(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.check(c.dtype(0) == DType::kInt32 && c.shape(0).size() == 1, "expects int32 labels of shape (batch,), got ",
          c.shape(0));
  c.check(c.attrs.integer("depth") >= 1, "expects a depth of at least 1, got ", c.attrs.integer("depth"));
  return {{{c.shape(0)[0], c.attrs.integer("depth")}}};
}
void lower_one_hot(LowerContext& c) {
  const Shape& y = c.out_shape();
  c.call(c.kernels.one_hot,
         OneHotArgs{reinterpret_cast<const int32_t*>(c.in(0)), c.out(), y[0], y[1], row_layout(y).stride},
         static_cast<double>(element_count(y)));
}

}  // namespace

const OpDef kAccumulate = {"accumulate", infer_accumulate, nullptr, lower_accumulate, true};
const OpDef kCheckFinite = {"check_finite", infer_check_finite, nullptr, lower_check_finite, true};
const OpDef kInTopK = {"in_top_k", infer_in_top_k, nullptr, lower_in_top_k};
const OpDef kOneHot = {"one_hot", infer_one_hot, nullptr, lower_one_hot};

}  // namespace weft
