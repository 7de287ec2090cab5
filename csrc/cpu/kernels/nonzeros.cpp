// find_nonzeros: bits that tell where x is not 0. A unit of work is 64 columns of x.

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "ops/nonzeros.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kUnitVecs = kRowBits / kWidth;  // of a row of a unit
// Comparing an element and setting its bits costs about what 4 multiply-adds of a product do.
constexpr int64_t kCompareWork = 4;

int find_nonzeros_tiles(const FindNonzerosArgs& args, int threads) {
  return suitable_tiles(args.m * args.k * kCompareWork, ceil_divide(args.k, kRowBits), threads);
}

// Bit i: whether lane i is set.
WEFT_INLINE uint64_t mask_bits(IntVec lanes) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)lanes);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)lanes));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps((__m128)lanes));
#else
  uint64_t bits = 0;
  for (int i = 0; i < kWidth; i++) bits |= static_cast<uint64_t>(lanes[i] & 1) << i;
  return bits;
#endif
}

// Columns [begin, begin + 64) of rows [row, row + rows), at most 32: `vecs` vectors of each, a constant where kVecs is
// not 0. Returns how many elements are not 0.
template <int kVecs>
WEFT_INLINE int64_t find_in_rows(const FindNonzerosArgs& args, int64_t begin, int64_t vecs, int64_t row, int64_t rows) {
  const int64_t count = kVecs > 0 ? kVecs : vecs;
  int64_t nonzeros = 0;
  IntVec columns[kUnitVecs] = {};
  for (int64_t i = 0; i < rows; i++) {
    const float* x = args.x + (row + i) * args.x_stride + begin;  // (64) or what is left
    const IntVec bit = static_cast<int32_t>(uint32_t{1} << i) - IntVec{};
    uint64_t found = 0;
    WEFT_UNROLL
    for (int64_t c = 0; c < count; c++) {
      const IntVec nonzero = load(x + c * kWidth) != 0;
      found |= mask_bits(nonzero) << (c * kWidth);
      columns[c] |= nonzero & bit;
    }
    const int64_t left = args.k - begin;
    if (left < kRowBits) found &= (uint64_t{1} << left) - 1;  // what stands in the padding does not count
    args.row_bits[begin / kRowBits * args.m + row + i] = found;
    nonzeros += __builtin_popcountll(found);
  }
  if (!args.column_bits) return nonzeros;
  uint32_t* out = args.column_bits + row / kColumnBits * round_up(args.k, kPanel) + begin;
  for (int64_t c = 0; c < count; c++) __builtin_memcpy(out + c * kWidth, &columns[c], sizeof(IntVec));
  return nonzeros;
}

void find_nonzeros_run(const FindNonzerosArgs& args, int tile, int n_tiles) {
  const Range columns = split(args.k, kRowBits, tile, n_tiles);
  const int64_t words = ceil_divide(args.k, kRowBits);
  for (int64_t begin = columns.begin; begin < columns.end; begin += kRowBits) {
    const int64_t vecs = smaller(kUnitVecs, round_up(args.k - begin, kPanel) / kWidth);
    int64_t nonzeros = 0;
    for (int64_t row = 0; row < args.m; row += kColumnBits) {
      const int64_t rows = smaller(kColumnBits, args.m - row);
      nonzeros += vecs == kUnitVecs ? find_in_rows<kUnitVecs>(args, begin, vecs, row, rows)
                                    : find_in_rows<0>(args, begin, vecs, row, rows);
    }
    const int64_t word = begin / kRowBits;
    args.row_bits[words * args.m + word] = static_cast<uint64_t>(nonzeros);
    if (!args.column_bits) continue;
    args.column_bits[ceil_divide(args.m, kColumnBits) * round_up(args.k, kPanel) + word] =
        static_cast<uint32_t>(nonzeros);
  }
}

}  // namespace

void fill_nonzeros(KernelTable& table) { table.find_nonzeros = {find_nonzeros_tiles, find_nonzeros_run}; }

}  // namespace weft::WEFT_ISA
