// dropout and random values: both draw from Philox at a place that only seed, stream, step and element decide.
#include "ops/random.h"

#include <cmath>

#include "ops/dropout.h"
#include "ops/op_table.h"
#include "ops/specs.h"

namespace weft {

DropoutSpec dropout_spec(const LowerContext& c) {
  DropoutSpec spec{};
  const double rate = c.node.attrs.number("rate");
  if (rate > 0) {
    spec.threshold = static_cast<uint32_t>(std::min(rate * 4294967296.0, 4294967295.0));
    spec.scale = static_cast<float>(1.0 / (1.0 - rate));
    spec.stream = static_cast<uint32_t>(c.node.attrs.integer("stream"));
    spec.state = c.state;
  }
  return spec;
}

namespace {

std::vector<ValueSpec> infer_dropout(const InferContext& c) {
  c.expect_inputs(1, 1);
  c.expect_float(0);
  const double rate = c.attrs.number("rate");
  c.check(rate >= 0 && rate < 1, "expects a rate of at least 0 and below 1, got ", rate);
  return {{c.shape(0)}};
}

void gradient_dropout(GradientContext& c) { c.result[0] = c.record("dropout", {c.dy}, c.node.attrs); }

void lower_dropout(LowerContext& c) {
  const RowLayout r = row_layout(c.shape(0));
  c.call(c.kernels.dropout, DropoutArgs{c.in(0), c.out(), r.rows, r.row_size, r.stride, r.stride, dropout_spec(c)},
         static_cast<double>(element_count(c.shape(0))) / 2.0);
}

std::vector<ValueSpec> infer_random(const InferContext& c) {
  const std::string fn = c.attrs.text("fn");
  c.check(fn == "uniform" || fn == "normal", "expects fn 'uniform' or 'normal', got '", fn, "'");
  return {{c.attrs.ints("shape")}};
}

void lower_random(LowerContext& c) {
  const RowLayout r = row_layout(c.out_shape());
  const Attrs& attrs = c.node.attrs;
  RandomArgs args{c.out(),
                  r.rows,
                  r.row_size,
                  r.stride,
                  c.state,
                  static_cast<uint32_t>(attrs.integer("stream")),
                  attrs.text("fn") == "normal" ? RandomFn::kNormal : RandomFn::kUniform,
                  attrs.real("a"),
                  attrs.real("b", 1)};
  c.call(c.kernels.random, args, static_cast<double>(element_count(c.out_shape())));
}

}  // namespace

const OpDef kDropout = {"dropout", infer_dropout, gradient_dropout, lower_dropout};
const OpDef kRandom = {"random", infer_random, nullptr, lower_random};

}  // namespace weft
