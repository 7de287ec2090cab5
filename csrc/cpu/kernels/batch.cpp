// The two ends of a plan: the gather of a batch from the data set, converted from the type the user gave, and
// the store of a result. Source rows are contiguous; rows are prefetched ahead of their turn,
// because a shuffled epoch jumps about in an array larger than the caches.
// Tiles: the elements of all rows, see rows.h.
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/saturate.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.15;

// kWidth elements of type T as floats.
template <class T>
WEFT_INLINE Vec load_as_float(const T* x) {
  if constexpr (sizeof(T) <= 2) {
    typedef T Narrow __attribute__((vector_size(sizeof(T) * kWidth)));
    Narrow narrow;
    __builtin_memcpy(&narrow, x, sizeof(narrow));
    return __builtin_convertvector(__builtin_convertvector(narrow, IntVec), Vec);
  } else {
    Vec v;
    for (int i = 0; i < kWidth; i++) v[i] = static_cast<float>(x[i]);
    return v;
  }
}
#if defined(__SSE4_1__)
// Images: gcc 12 would widen bytes one by one.
WEFT_INLINE Vec load_as_float(const uint8_t* x) {
#if defined(__AVX512F__)
  const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return __builtin_convertvector((IntVec)_mm512_maskz_cvtepu8_epi32(0xffff, bytes), Vec);
#elif defined(__AVX2__)
  const auto bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return __builtin_convertvector((IntVec)_mm256_cvtepu8_epi32(bytes), Vec);
#else
  int32_t four;
  __builtin_memcpy(&four, x, sizeof(four));
  return __builtin_convertvector((IntVec)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)), Vec);
#endif
}
#endif
WEFT_INLINE Vec load_as_float(const float* x) { return load(x); }
WEFT_INLINE Vec load_as_float(const int32_t* x) {
  IntVec v;
  __builtin_memcpy(&v, x, sizeof(v));
  return __builtin_convertvector(v, Vec);
}
WEFT_INLINE Vec load_as_float(const double* x) {
  DoubleVec a, b;
  __builtin_memcpy(&a, x, sizeof(a));
  __builtin_memcpy(&b, x + kWidth / 2, sizeof(b));
  return join_halves(__builtin_convertvector(a, HalfVec), __builtin_convertvector(b, HalfVec));
}

template <class T>
WEFT_INLINE void convert(const LoadBatchArgs& args, const T* x, int32_t* y, int64_t n) {
  (void)args;
  for (int64_t i = 0; i < n; i++) y[i] = saturate(x[i]);
}

template <class T>
WEFT_INLINE void convert(const LoadBatchArgs& args, const T* x, float* y, int64_t n) {
  const bool as_is = args.scale == 1.0f && args.offset == 0.0f;
  const Vec scale = broadcast(args.scale), offset = broadcast(args.offset);
  int64_t i = 0;
  if (as_is) {
    for (; i + kWidth <= n; i += kWidth) store(y + i, load_as_float(x + i));
    for (; i < n; i++) y[i] = static_cast<float>(x[i]);
    return;
  }
  for (; i + kWidth <= n; i += kWidth) store(y + i, load_as_float(x + i) * scale + offset);
  if (i == n) return;
  float last[kWidth] = {};
  for (int64_t j = i; j < n; j++) last[j - i] = static_cast<float>(x[j]);
  store(last, load(last) * scale + offset);
  for (int64_t j = i; j < n; j++) y[j] = last[j - i];
}

template <class T, class To>
void load_rows(const LoadBatchArgs& args, int tile, int n_tiles) {
  const T* data = static_cast<const T*>(args.source->data);
  const int32_t* order = args.order ? *args.order : nullptr;
  const int64_t first_row = args.state->row, row_size = args.row_size;
  const auto source_row = [&](int64_t row) {
    return data + (order ? order[first_row + row] : first_row + row) * row_size;
  };
  // Some 2 KiB ahead: converting a single short row does not last as long as a fetch from memory.
  const int64_t row_bytes = row_size * static_cast<int64_t>(sizeof(T));
  const int64_t prefetched = row_bytes < 4096 ? row_bytes : 4096;
  const int64_t rows_ahead = 1 + 2048 / (row_bytes + 1);
  for_each_run({args.rows, row_size, false}, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    if (order && row + rows_ahead < args.rows) {
      const char* next = reinterpret_cast<const char*>(source_row(row + rows_ahead));
      for (int64_t byte = 0; byte < prefetched; byte += 64) __builtin_prefetch(next + byte);
    }
    convert(args, source_row(row) + column, static_cast<To*>(args.y) + row * args.y_stride + column, n);
  });
}

template <class To>
void load_rows_as(const LoadBatchArgs& args, int tile, int n_tiles) {
  switch (args.source->dtype) {
    case DType::kFloat32:
      return load_rows<float, To>(args, tile, n_tiles);
    case DType::kInt32:
      return load_rows<int32_t, To>(args, tile, n_tiles);
    case DType::kUInt8:
    case DType::kBool:
      return load_rows<uint8_t, To>(args, tile, n_tiles);
    case DType::kInt8:
      return load_rows<int8_t, To>(args, tile, n_tiles);
    case DType::kUInt16:
      return load_rows<uint16_t, To>(args, tile, n_tiles);
    case DType::kInt16:
      return load_rows<int16_t, To>(args, tile, n_tiles);
    case DType::kUInt32:
      return load_rows<uint32_t, To>(args, tile, n_tiles);
    case DType::kInt64:
      return load_rows<int64_t, To>(args, tile, n_tiles);
    case DType::kUInt64:
      return load_rows<uint64_t, To>(args, tile, n_tiles);
    case DType::kFloat64:
      return load_rows<double, To>(args, tile, n_tiles);
  }
}

int load_batch_tiles(const LoadBatchArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void load_batch_run(const LoadBatchArgs& args, int tile, int n_tiles) {
  if (args.to == DType::kInt32) return load_rows_as<int32_t>(args, tile, n_tiles);
  load_rows_as<float>(args, tile, n_tiles);
}

int store_batch_tiles(const StoreBatchArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void store_batch_run(const StoreBatchArgs& args, int tile, int n_tiles) {
  float* data = static_cast<float*>(args.target->data) + args.state->row * args.row_size;
  const float* x = static_cast<const float*>(args.x);  // or int32: bits are only moved
  for_each_run({args.rows, args.row_size, false}, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    float* y = data + row * args.row_size + column;
    const float* from = x + row * args.x_stride + column;
    int64_t i = 0;
    for (; i + kChunk <= n; i += kChunk) store_chunk(y + i, load_chunk(from + i));
    copy_few(y + i, from + i, n - i);
  });
}

}  // namespace

void fill_batch(KernelTable& table) {
  table.load_batch = {load_batch_tiles, load_batch_run};
  table.store_batch = {store_batch_tiles, store_batch_run};
}

}  // namespace weft::WEFT_ISA
