// Elementwise functions of two arguments, and select, with broadcasting. Runs go through blocks of up to
// 512 elements: an operand that is contiguous is used where it lies, any other is gathered into a buffer
// in L1, so there is a single contiguous loop for each function.
// Tiles: see strided.h.
#include "cpu/kernels/strided.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/binary_functions.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.4;
static constexpr int64_t kBlock = 512;

// The next block of a run: whole chunks while there are any, then the last few elements on their own.
WEFT_INLINE int64_t block_size(int64_t left) {
  if (left >= kBlock) return kBlock;
  return left >= kChunk ? left / kChunk * kChunk : left;
}

// One operand of the current run.
struct Operand {
  const float* data;
  int64_t stride;
  float buffer[kBlock];

  // The elements [first, first + n), contiguous and readable up to a multiple of 16. Blocks come in order
  // from the first, so a repeated element need be written only once: the first block is the largest.
  const float* block(int64_t first, int64_t n) {
    if (stride == 1 && n >= kChunk) return data + first;
    if (stride == 0) {
      if (first > 0) return buffer;
      const Vec value = broadcast(*data);
      for (int64_t i = 0; i < round_up(n, kChunk); i += kWidth) store(buffer + i, value);
    } else if (stride == 1) {
      store_chunk(buffer, load_partial_chunk(data + first, n, 0.0f));
    } else {
      if (n < kChunk) store_chunk(buffer, broadcast_chunk(0.0f));
      const float* x = data + first * stride;
      for (int64_t i = 0; i < n; i++, x += stride) buffer[i] = *x;
    }
    return buffer;
  }
};

// The result likewise: computed in place if it is contiguous, else in a buffer and then stored.
struct Result {
  float* data;
  int64_t stride;
  float buffer[kBlock];

  float* block(int64_t first, int64_t n) { return stride == 1 && n >= kChunk ? data + first : buffer; }
  void finish(int64_t first, int64_t n) {
    if (stride == 1) {
      if (n < kChunk) store_partial_chunk(data + first, n, load_chunk(buffer));
      return;
    }
    float* y = data + first * stride;
    for (int64_t i = 0; i < n; i++, y += stride) *y = buffer[i];
  }
};

// n is a multiple of 16.
template <Vec (*function)(Vec, Vec)>
void each(const float* a, const float* b, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kWidth) store(y + i, function(load(a + i), load(b + i)));
}
template <float (*function)(float, float)>
void each_scalar(const float* a, const float* b, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = function(a[i], b[i]);
}

using BlockFunction = void (*)(const float* a, const float* b, float* y, int64_t n);

BlockFunction block_function(BinaryFn fn) {
  BlockFunction chosen = nullptr;
  with_function(fn, [&](auto function) {
    if constexpr (function.of_lanes)
      chosen = each<function.value>;
    else
      chosen = each_scalar<function.value>;
  });
  return chosen;
}

int binary_tiles(const BinaryArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, count_elements(args.rank, args.shape), threads);
}

void binary_run(const BinaryArgs& args, int tile, int n_tiles) {
  Strided<3> s = merge_axes<3>(args.rank, args.shape, {args.a_stride, args.b_stride, args.y_stride});
  lengthen_runs(s);
  const BlockFunction function = block_function(args.fn);
  const int last = s.rank - 1;
  Operand a, b;
  Result y;
  a.stride = s.stride[0][last];
  b.stride = s.stride[1][last];
  y.stride = s.stride[2][last];
  for_each_strided_run(s, tile, n_tiles, [&](const int64_t(&offset)[3], int64_t size) {
    a.data = args.a + offset[0];
    b.data = args.b + offset[1];
    y.data = args.y + offset[2];
    for (int64_t first = 0, n; first < size; first += n) {
      n = block_size(size - first);
      function(a.block(first, n), b.block(first, n), y.block(first, n), round_up(n, kChunk));
      y.finish(first, n);
    }
  });
}

int select_tiles(const SelectArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, count_elements(args.rank, args.shape), threads);
}

void select_run(const SelectArgs& args, int tile, int n_tiles) {
  Strided<4> s =
      merge_axes<4>(args.rank, args.shape, {args.condition_stride, args.a_stride, args.b_stride, args.y_stride});
  lengthen_runs(s);
  const int last = s.rank - 1;
  Operand condition, a, b;
  Result y;
  condition.stride = s.stride[0][last];
  a.stride = s.stride[1][last];
  b.stride = s.stride[2][last];
  y.stride = s.stride[3][last];
  for_each_strided_run(s, tile, n_tiles, [&](const int64_t(&offset)[4], int64_t size) {
    condition.data = args.condition + offset[0];
    a.data = args.a + offset[1];
    b.data = args.b + offset[2];
    y.data = args.y + offset[3];
    for (int64_t first = 0, n; first < size; first += n) {
      n = block_size(size - first);
      const float* c_block = condition.block(first, n);
      const float *a_block = a.block(first, n), *b_block = b.block(first, n);
      float* y_block = y.block(first, n);
      for (int64_t i = 0; i < n; i += kWidth) {
        store(y_block + i, select(load(c_block + i) != 0.0f, load(a_block + i), load(b_block + i)));
      }
      y.finish(first, n);
    }
  });
}

}  // namespace

void fill_binary(KernelTable& table) {
  table.binary = {binary_tiles, binary_run};
  table.select = {select_tiles, select_run};
}

}  // namespace weft::WEFT_ISA
