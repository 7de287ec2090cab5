// Strided copies (any permutation, broadcast, slice or concatenation), conversion between float32 and int32,
// and fill. Elements of 4 bytes are moved as bits. A permutation that swaps the contiguous axis is done in
// blocks of 4 x 4 elements, so that whole cache lines are read.
// Tiles: see strided.h and rows.h; nothing is written between the elements of y.
#include "cpu/kernels/strided.h"
#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {
namespace {

typedef int32_t Word __attribute__((may_alias));
typedef int32_t WordVec __attribute__((vector_size(16)));
typedef int32_t UnalignedWordVec __attribute__((vector_size(16), aligned(4), may_alias));

static constexpr double kNanosecondsPerElement = 0.25;

void copy_run_of(const Word* x, int64_t x_stride, Word* y, int64_t y_stride, int64_t n) {
  if (x_stride == 1 && y_stride == 1) {
    if (n < 16) {
      copy_few(y, x, n);
    } else {
      __builtin_memcpy(y, x, static_cast<uint64_t>(n) * sizeof(Word));
    }
  } else if (y_stride == 1 && x_stride == 0) {
    const Word value = *x;
    const WordVec four = value - WordVec{};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) *reinterpret_cast<UnalignedWordVec*>(y + i) = four;
    for (; i < n; i++) y[i] = value;
  } else {
    for (int64_t i = 0; i < n; i++) y[i * y_stride] = x[i * x_stride];
  }
}

// y[p*y_stride + q] = x[p + q*x_stride] for four p and four q.
WEFT_INLINE void transpose_4x4(const Word* x, int64_t x_stride, Word* y, int64_t y_stride) {
  WordVec r[4];
  WEFT_UNROLL
  for (int q = 0; q < 4; q++) r[q] = *reinterpret_cast<const UnalignedWordVec*>(x + q * x_stride);
  const WordVec low_02 = __builtin_shufflevector(r[0], r[2], 0, 4, 1, 5);
  const WordVec high_02 = __builtin_shufflevector(r[0], r[2], 2, 6, 3, 7);
  const WordVec low_13 = __builtin_shufflevector(r[1], r[3], 0, 4, 1, 5);
  const WordVec high_13 = __builtin_shufflevector(r[1], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(low_02, low_13, 0, 4, 1, 5);
  r[1] = __builtin_shufflevector(low_02, low_13, 2, 6, 3, 7);
  r[2] = __builtin_shufflevector(high_02, high_13, 0, 4, 1, 5);
  r[3] = __builtin_shufflevector(high_02, high_13, 2, 6, 3, 7);
  WEFT_UNROLL
  for (int p = 0; p < 4; p++) *reinterpret_cast<UnalignedWordVec*>(y + p * y_stride) = r[p];
}

// y (p_size, q_size) from x (q_size, p_size); 16 columns of x at a time, which is a cache line.
void transpose_block(const Word* x, int64_t x_stride, Word* y, int64_t y_stride, int64_t p_size, int64_t q_size) {
  const int64_t p_whole = p_size / 4 * 4, q_whole = q_size / 4 * 4;
  for (int64_t first = 0; first < p_whole; first += 16) {
    const int64_t end = first + 16 < p_whole ? first + 16 : p_whole;
    for (int64_t q = 0; q < q_whole; q += 4) {
      for (int64_t p = first; p < end; p += 4) {
        transpose_4x4(x + q * x_stride + p, x_stride, y + p * y_stride + q, y_stride);
      }
    }
  }
  for (int64_t q = q_whole; q < q_size; q++) {
    for (int64_t p = 0; p < p_whole; p++) y[p * y_stride + q] = x[q * x_stride + p];
  }
  for (int64_t p = p_whole; p < p_size; p++) {
    for (int64_t q = 0; q < q_size; q++) y[p * y_stride + q] = x[q * x_stride + p];
  }
}

// The axis along which operand `operand` is contiguous, or -1.
WEFT_INLINE int contiguous_axis(const Strided<2>& s, int operand) {
  for (int axis = 0; axis < s.rank; axis++) {
    if (s.stride[operand][axis] == 1) return axis;
  }
  return -1;
}

int copy_tiles(const CopyArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, count_elements(args.rank, args.shape), threads);
}

void copy_run(const CopyArgs& args, int tile, int n_tiles) {
  const Word* x = static_cast<const Word*>(args.x);
  Word* y = static_cast<Word*>(args.y);
  Strided<2> s = merge_axes<2>(args.rank, args.shape, {args.x_stride, args.y_stride});
  const int last = s.rank - 1, y_axis = contiguous_axis(s, 1);
  if (y_axis >= 0) swap_axes(s, y_axis, last);
  const int64_t x_stride = s.stride[0][last], y_stride = s.stride[1][last];
  const int x_axis = contiguous_axis(s, 0);
  if (y_axis >= 0 && x_axis >= 0 && x_axis != last) {
    const int64_t q_size = s.shape[last];
    swap_axes(s, x_axis, last - 1);  // runs go along x's contiguous axis, and each covers all of y's
    const int64_t y_row = s.stride[1][last - 1];
    s.rank--;
    for_each_strided_run(s, tile, n_tiles, [&](const int64_t(&offset)[2], int64_t n) {
      transpose_block(x + offset[0], x_stride, y + offset[1], y_row, n, q_size);
    });
    return;
  }
  for_each_strided_run(s, tile, n_tiles, [&](const int64_t(&offset)[2], int64_t n) {
    copy_run_of(x + offset[0], x_stride, y + offset[1], y_stride, n);
  });
}

WEFT_INLINE Vec cast_float_to_int(Vec x) { return (Vec) __builtin_convertvector(x, IntVec); }
WEFT_INLINE Vec cast_int_to_float(Vec x) { return __builtin_convertvector((IntVec)x, Vec); }
WEFT_INLINE Vec cast_nothing(Vec x) { return x; }

template <Vec (*function)(Vec)>
void cast_rows(const CastArgs& args, int tile, int n_tiles) {
  const RowShape shape = row_shape(args.rows, args.row_size, args.x_stride, args.y_stride);
  for_each_run(shape, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    const float* x = static_cast<const float*>(args.x) + row * args.x_stride + column;
    float* y = static_cast<float*>(args.y) + row * args.y_stride + column;
    int64_t i = 0;
    for (; i + kChunk <= n; i += kChunk) store_chunk(y + i, map(load_chunk(x + i), function));
    if (i < n) store_partial_chunk(y + i, n - i, map(load_partial_chunk(x + i, n - i, 0.0f), function));
  });
}

int cast_tiles(const CastArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void cast_run(const CastArgs& args, int tile, int n_tiles) {
  if (args.from == args.to) return cast_rows<cast_nothing>(args, tile, n_tiles);
  if (args.to == DType::kInt32) return cast_rows<cast_float_to_int>(args, tile, n_tiles);
  cast_rows<cast_int_to_float>(args, tile, n_tiles);
}

int fill_tiles(const FillArgs& args, int threads) { return tiles_for(0.1, args.size, threads); }

void fill_run(const FillArgs& args, int tile, int n_tiles) {
  const Range range = split(args.size, kChunk, tile, n_tiles);
  const Vec value = broadcast(args.value);
  int64_t i = range.begin;
  for (; i + kWidth <= range.end; i += kWidth) store(args.y + i, value);
  for (; i < range.end; i++) args.y[i] = args.value;
}

}  // namespace

void fill_copy(KernelTable& table) {
  table.copy = {copy_tiles, copy_run};
  table.cast = {cast_tiles, cast_run};
  table.fill = {fill_tiles, fill_run};
}

}  // namespace weft::WEFT_ISA
