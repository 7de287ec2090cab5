// Uniform and normal values from Philox, element by element a function of (seed, stream, draw, element).
// Tiles: runs of 16 elements, see rows.h.
#include "cpu/kernels/philox.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.8;

// The top 24 bits of each word, as 0 <= u < 1.
WEFT_INLINE Vec unit(UIntVec word) { return __builtin_convertvector((IntVec)(word >> 8), Vec) * 0x1p-24f; }

// sin or cos of 2*pi*u, reduced exactly to quarters of a turn.
struct SinCos {
  Vec sin, cos;
};
WEFT_INLINE SinCos sin_cos_of_turn(Vec u) {
  const float kMagic = 0x1.8p23f;
  const Vec quarters = u * 4.0f;
  const Vec shifted = quarters + kMagic;
  const Vec r = (quarters - (shifted - kMagic)) * 1.57079632679489662f;
  const IntVec quadrant = (IntVec)shifted;
  return {sin_of_quadrant(r, quadrant), sin_of_quadrant(r, quadrant + 1)};
}

// The even or odd elements of two vectors.
template <int first, int... lane>
WEFT_INLINE UIntVec every_other(UIntVec a, UIntVec b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (first + 2 * lane)...);
}

struct Pair {
  Vec part[2];
};
WEFT_INLINE Pair uniform(PhiloxWords words, const RandomArgs& args, float limit) {
  const auto one = [&](UIntVec word) { return at_most(unit(word) * (args.b - args.a) + args.a, limit); };
  return {{one(words.part[0]), one(words.part[1])}};
}
// Box-Muller: radius from word 2j, angle from word 2j + 1; the cosine goes to element 2j, the sine to 2j + 1.
WEFT_INLINE Pair normal(PhiloxWords words, const RandomArgs& args) {
  const auto lanes = std::make_integer_sequence<int, kWidth>{};
  const Vec u = unit(every_other<0>(words.part[0], words.part[1], lanes)) + 0x1p-24f;  // 0 < u <= 1
  const Vec radius = square_root(log(u) * -2.0f) * args.b;
  const SinCos angle = sin_cos_of_turn(unit(every_other<1>(words.part[0], words.part[1], lanes)));
  const Vec even = radius * angle.cos + args.a, odd = radius * angle.sin + args.a;
  return {{interleave_low<kWidth>(even, odd), interleave_high<kWidth>(even, odd)}};
}

// The largest float below b > a: rounding in a + u*(b - a) could reach b itself. inf if the range is empty.
WEFT_INLINE float below(float a, float b) {
  if (!(a < b)) return kInfinity;
  if (b == 0.0f) return -0x1p-149f;
  int32_t bits;
  __builtin_memcpy(&bits, &b, sizeof(bits));
  bits += b > 0.0f ? -1 : 1;
  __builtin_memcpy(&b, &bits, sizeof(bits));
  return b;
}

int random_tiles(const RandomArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.row_size, threads);
}

template <RandomFn fn>
void random_rows(const RandomArgs& args, int tile, int n_tiles) {
  const int64_t padded_size = round_up(args.row_size, kChunk);
  const RowShape flat = row_shape(args.rows, args.row_size, args.y_stride, args.y_stride);
  const RowShape by_row = {args.rows, args.row_size, flat.padded};
  const uint64_t seed = args.state->seed;
  const uint32_t draw = static_cast<uint32_t>(args.state->draw);
  const float limit = below(args.a, args.b);
  for_each_run(flat.padded ? flat : by_row, tile, n_tiles, [&](int64_t row, int64_t column, int64_t n) {
    float* y = args.y + row * args.y_stride + column;
    const int64_t first_element = row * padded_size + column;
    for (int64_t i = 0; i < n; i += kPhiloxWords) {
      const PhiloxWords words = philox(static_cast<uint64_t>(first_element + i) / 4, args.stream, draw, seed);
      const Pair value = fn == RandomFn::kUniform ? uniform(words, args, limit) : normal(words, args);
      float block[kPhiloxWords];
      const bool whole = n - i >= kPhiloxWords;
      float* target = whole ? y + i : block;
      WEFT_UNROLL
      for (int j = 0; j < 2; j++) store(target + j * kWidth, value.part[j]);
      if (!whole) __builtin_memcpy(y + i, block, static_cast<uint64_t>(n - i) * sizeof(float));
    }
  });
}

void random_run(const RandomArgs& args, int tile, int n_tiles) {
  if (args.fn == RandomFn::kUniform) return random_rows<RandomFn::kUniform>(args, tile, n_tiles);
  random_rows<RandomFn::kNormal>(args, tile, n_tiles);
}

}  // namespace

void fill_random(KernelTable& table) { table.random = {random_tiles, random_run}; }

}  // namespace weft::WEFT_ISA
