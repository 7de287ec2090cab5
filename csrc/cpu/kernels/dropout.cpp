// y = x * mask * scale with a mask drawn from Philox, the same on every device; dropped elements become 0
// even where x is not finite.
// Tiles: runs of 16 elements, see rows.h.
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/philox.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.5;

// n elements from `first_element`, a multiple of 4.
void dropout_run_of(const DropoutSpec& spec, const float* x, float* y, int64_t first_element, int64_t n) {
  const uint64_t seed = spec.state->seed;
  const uint32_t draw = static_cast<uint32_t>(spec.state->draw);
  for (int64_t i = 0; i < n; i += kPhiloxWords) {
    const PhiloxWords words = philox(static_cast<uint64_t>(first_element + i) / 4, spec.stream, draw, seed);
    WEFT_UNROLL
    for (int j = 0; j < 2; j++) {
      const int64_t first = i + j * kWidth;
      const IntVec kept = words.part[j] >= spec.threshold;
      if (n - first >= kWidth) {
        store(y + first, kept ? load(x + first) * spec.scale : Vec{});
      } else if (n > first) {
        float last[kChunk] = {};
        copy_few(last, x + first, n - first);
        store(last, kept ? load(last) * spec.scale : Vec{});
        copy_few(y + first, last, n - first);
      }
    }
  }
}

int dropout_tiles(const DropoutArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

void dropout_run(const DropoutArgs& args, int tile, int n_tiles) {
  const int64_t padded_size = round_up(args.row_size, kChunk);
  // Rows count their elements with the padding: without padding in memory they are no single long row.
  const RowShape flat = row_shape(args.rows, args.row_size, args.x_stride, args.y_stride);
  const RowShape by_row = {args.rows, args.row_size, flat.padded};
  for_each_run(flat.padded ? flat : by_row, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    dropout_run_of(args.spec, args.x + row * args.x_stride + column, args.y + row * args.y_stride + column,
                   row * padded_size + column, n);
  });
}

}  // namespace

void dropout_apply(const DropoutSpec& spec, const float* x, float* y, int64_t first_element, int64_t n) {
  dropout_run_of(spec, x, y, first_element, n);
}

void fill_dropout(KernelTable& table) { table.dropout = {dropout_tiles, dropout_run}; }

}  // namespace weft::WEFT_ISA
