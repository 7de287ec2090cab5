// Elementwise functions and their derivatives over (rows, row_size), and over hot tiles of other kernels.
// The function is chosen once for a run of elements, then one loop goes over vectors.
// Tiles: runs of 16 elements, see rows.h.
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/unary_functions.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.3;

WEFT_INLINE Constants constants_of(const UnarySpec& spec) {
  return {broadcast(spec.a), broadcast(spec.b), broadcast(spec.c)};
}

// n is a multiple of 16.
template <Vec (*function)(Vec, Constants)>
void each(const UnarySpec& spec, const float* x, float* y, int64_t n) {
  const Constants c = constants_of(spec);
  for (int64_t i = 0; i < n; i += kWidth) store(y + i, function(load(x + i), c));
}
template <Vec (*function)(Vec, Vec, Constants)>
void each_grad(const UnarySpec& spec, const float* dy, const float* saved, float* dx, int64_t n) {
  const Constants c = constants_of(spec);
  for (int64_t i = 0; i < n; i += kWidth) store(dx + i, function(load(dy + i), load(saved + i), c));
}

// Exponents that need no logarithm.
void power_apply(const UnarySpec& spec, const float* x, float* y, int64_t n) {
  const float exponent = spec.a;
  if (exponent == 2.0f) return each<square>(spec, x, y, n);
  if (exponent == 1.0f) return each<identity>(spec, x, y, n);
  if (exponent == 0.5f) return each<sqrt>(spec, x, y, n);
  if (exponent == -0.5f) return each<rsqrt>(spec, x, y, n);
  if (exponent == -1.0f) return each<reciprocal>(spec, x, y, n);
  if (exponent == 3.0f) return each<cube>(spec, x, y, n);
  each<pow_scalar>(spec, x, y, n);
}
void power_grad_apply(const UnarySpec& spec, const float* dy, const float* saved, float* dx, int64_t n) {
  const float exponent = spec.a;
  if (exponent == 2.0f) return each_grad<square_grad>(spec, dy, saved, dx, n);
  if (exponent == 1.0f) return each_grad<identity_grad>(spec, dy, saved, dx, n);
  if (exponent == 0.0f) return each_grad<zero_grad>(spec, dy, saved, dx, n);
  if (exponent == 0.5f) return each_grad<sqrt_grad>(spec, dy, saved, dx, n);
  if (exponent == -0.5f) return each_grad<rsqrt_grad>(spec, dy, saved, dx, n);
  if (exponent == -1.0f) return each_grad<reciprocal_grad>(spec, dy, saved, dx, n);
  if (exponent == 3.0f) return each_grad<cube_grad>(spec, dy, saved, dx, n);
  each_grad<pow_scalar_grad>(spec, dy, saved, dx, n);
}

}  // namespace

void unary_apply(const UnarySpec& spec, const float* x, float* y, int64_t n) {
  switch (spec.fn) {
    case UnaryFn::kIdentity:
      return each<identity>(spec, x, y, n);
    case UnaryFn::kRelu:
      return each<relu>(spec, x, y, n);
    case UnaryFn::kLeakyRelu:
      return each<leaky_relu>(spec, x, y, n);
    case UnaryFn::kElu:
      return each<elu>(spec, x, y, n);
    case UnaryFn::kSelu:
      return each<selu>(spec, x, y, n);
    case UnaryFn::kSigmoid:
      return each<sigmoid>(spec, x, y, n);
    case UnaryFn::kTanh:
      return each<tanh>(spec, x, y, n);
    case UnaryFn::kSoftplus:
      return each<softplus>(spec, x, y, n);
    case UnaryFn::kSoftsign:
      return each<softsign>(spec, x, y, n);
    case UnaryFn::kExp:
      return each<exp>(spec, x, y, n);
    case UnaryFn::kHardSigmoid:
      return each<hard_sigmoid>(spec, x, y, n);
    case UnaryFn::kRelu6:
      return each<relu6>(spec, x, y, n);
    case UnaryFn::kStep:
      return each<step>(spec, x, y, n);
    case UnaryFn::kGelu:
      return each<gelu>(spec, x, y, n);
    case UnaryFn::kGeluTanh:
      return each<gelu_tanh>(spec, x, y, n);
    case UnaryFn::kSilu:
      return each<silu>(spec, x, y, n);
    case UnaryFn::kHardSilu:
      return each<hard_silu>(spec, x, y, n);
    case UnaryFn::kLogSigmoid:
      return each<log_sigmoid>(spec, x, y, n);
    case UnaryFn::kMish:
      return each<mish>(spec, x, y, n);
    case UnaryFn::kReluGeneral:
      return each<relu_general>(spec, x, y, n);
    case UnaryFn::kNegative:
      return each<negative>(spec, x, y, n);
    case UnaryFn::kAbs:
      return each<abs>(spec, x, y, n);
    case UnaryFn::kSign:
      return each<sign>(spec, x, y, n);
    case UnaryFn::kSquare:
      return each<square>(spec, x, y, n);
    case UnaryFn::kSqrt:
      return each<sqrt>(spec, x, y, n);
    case UnaryFn::kRsqrt:
      return each<rsqrt>(spec, x, y, n);
    case UnaryFn::kReciprocal:
      return each<reciprocal>(spec, x, y, n);
    case UnaryFn::kLog:
      return each<log>(spec, x, y, n);
    case UnaryFn::kLog1p:
      return each<log1p>(spec, x, y, n);
    case UnaryFn::kExpm1:
      return each<expm1>(spec, x, y, n);
    case UnaryFn::kSin:
      return each<sin>(spec, x, y, n);
    case UnaryFn::kCos:
      return each<cos>(spec, x, y, n);
    case UnaryFn::kFloor:
      return each<floor>(spec, x, y, n);
    case UnaryFn::kCeil:
      return each<ceil>(spec, x, y, n);
    case UnaryFn::kRound:
      return each<round>(spec, x, y, n);
    case UnaryFn::kErf:
      return each<erf>(spec, x, y, n);
    case UnaryFn::kLogCosh:
      return each<log_cosh>(spec, x, y, n);
    case UnaryFn::kIsNan:
      return each<is_nan>(spec, x, y, n);
    case UnaryFn::kIsFinite:
      return each<is_finite>(spec, x, y, n);
    case UnaryFn::kLogicalNot:
      return each<logical_not>(spec, x, y, n);
    case UnaryFn::kPowScalar:
      return power_apply(spec, x, y, n);
    case UnaryFn::kClip:
      return each<clip>(spec, x, y, n);
    case UnaryFn::kAffine:
      return each<affine>(spec, x, y, n);
    case UnaryFn::kReverseDivide:
      return each<reverse_divide>(spec, x, y, n);
  }
}

void unary_grad_apply(const UnarySpec& spec, const float* dy, const float* saved, float* dx, int64_t n) {
  switch (spec.fn) {
    case UnaryFn::kIdentity:
      return each_grad<identity_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kRelu:
      return each_grad<relu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kLeakyRelu:
      return each_grad<leaky_relu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kElu:
      return each_grad<elu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSelu:
      return each_grad<selu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSigmoid:
      return each_grad<sigmoid_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kTanh:
      return each_grad<tanh_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSoftplus:
      return each_grad<softplus_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSoftsign:
      return each_grad<softsign_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kExp:
      return each_grad<exp_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kHardSigmoid:
      return each_grad<hard_sigmoid_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kRelu6:
      return each_grad<relu6_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kGelu:
      return each_grad<gelu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kGeluTanh:
      return each_grad<gelu_tanh_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSilu:
      return each_grad<silu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kHardSilu:
      return each_grad<hard_silu_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kLogSigmoid:
      return each_grad<log_sigmoid_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kMish:
      return each_grad<mish_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kReluGeneral:
      return each_grad<relu_general_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kNegative:
      return each_grad<negative_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kAbs:
      return each_grad<abs_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSquare:
      return each_grad<square_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSqrt:
      return each_grad<sqrt_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kRsqrt:
      return each_grad<rsqrt_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kReciprocal:
      return each_grad<reciprocal_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kLog:
      return each_grad<log_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kLog1p:
      return each_grad<log1p_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kExpm1:
      return each_grad<expm1_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kSin:
      return each_grad<sin_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kCos:
      return each_grad<cos_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kErf:
      return each_grad<erf_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kLogCosh:
      return each_grad<log_cosh_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kPowScalar:
      return power_grad_apply(spec, dy, saved, dx, n);
    case UnaryFn::kClip:
      return each_grad<clip_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kAffine:
      return each_grad<affine_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kReverseDivide:
      return each_grad<reverse_divide_grad>(spec, dy, saved, dx, n);
    case UnaryFn::kStep:
    case UnaryFn::kSign:
    case UnaryFn::kFloor:
    case UnaryFn::kCeil:
    case UnaryFn::kRound:
    case UnaryFn::kIsNan:
    case UnaryFn::kIsFinite:
    case UnaryFn::kLogicalNot:
      return each_grad<zero_grad>(spec, dy, saved, dx, n);
  }
}

namespace {

int unary_tiles(const UnaryArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void unary_run(const UnaryArgs& args, int tile, int n_tiles) {
  const RowShape shape = row_shape(args.rows, args.row_size, args.x_stride, args.y_stride);
  for_each_run(shape, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    const float* x = args.x + row * args.x_stride + column;
    float* y = args.y + row * args.y_stride + column;
    const int64_t whole = n / kChunk * kChunk;
    unary_apply(args.spec, x, y, whole);
    if (whole == n) return;
    float last[kChunk] = {};
    copy_few(last, x + whole, n - whole);
    unary_apply(args.spec, last, last, kChunk);
    copy_few(y + whole, last, n - whole);
  });
}

int unary_grad_tiles(const UnaryGradArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void unary_grad_run(const UnaryGradArgs& args, int tile, int n_tiles) {
  const RowShape shape = row_shape(args.rows, args.row_size, args.dy_stride, args.saved_stride, args.dx_stride);
  for_each_run(shape, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    const float* dy = args.dy + row * args.dy_stride + column;
    // identity needs no saved value
    const float* saved = args.saved ? args.saved + row * args.saved_stride + column : dy;
    float* dx = args.dx + row * args.dx_stride + column;
    const int64_t whole = n / kChunk * kChunk;
    unary_grad_apply(args.spec, dy, saved, dx, whole);
    if (whole == n) return;
    float last_dy[kChunk] = {}, last_saved[kChunk] = {};
    copy_few(last_dy, dy + whole, n - whole);
    copy_few(last_saved, saved + whole, n - whole);
    unary_grad_apply(args.spec, last_dy, last_saved, last_dy, kChunk);
    copy_few(dx + whole, last_dy, n - whole);
  });
}

}  // namespace

void fill_unary(KernelTable& table) {
  table.unary = {unary_tiles, unary_run};
  table.unary_grad = {unary_grad_tiles, unary_grad_run};
}

}  // namespace weft::WEFT_ISA
