// Uniform and normal values from Philox, element by element a function of (seed, stream, draw, element).
// One block is kWidth counters, 4*kWidth elements.
// Tiles: runs of 16 elements, see rows.h.
#include "cpu/kernels/philox.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.8;
static constexpr int kBlock = 4 * kWidth;

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

// Box-Muller: radius from word 2j, angle from word 2j + 1; the cosine goes to element 2j, the sine to 2j + 1.
WEFT_INLINE void box_muller(UIntVec radius_word, UIntVec angle_word, Vec& first, Vec& second) {
  const Vec u = unit(radius_word) + 0x1p-24f;  // 0 < u <= 1
  const Vec radius = square_root(log(u) * -2.0f);
  const SinCos angle = sin_cos_of_turn(unit(angle_word));
  first = radius * angle.cos;
  second = radius * angle.sin;
}

// The largest float below b > a, which rounding in a + u*(b - a) might otherwise reach; inf if the range is empty.
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
  return tiles_for(kNanosecondsPerElement * static_cast<double>(args.rows * args.row_size), threads);
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
    for (int64_t i = 0; i < n; i += kBlock) {
      const PhiloxWords words = philox(static_cast<uint64_t>(first_element + i) / 4, args.stream, draw, seed);
      Vec value[4];
      if constexpr (fn == RandomFn::kUniform) {
        WEFT_UNROLL for (int j = 0; j < 4; j++) {
          value[j] = at_most(unit(words.word[j]) * (args.b - args.a) + args.a, limit);
        }
      } else {
        box_muller(words.word[0], words.word[1], value[0], value[1]);
        box_muller(words.word[2], words.word[3], value[2], value[3]);
        WEFT_UNROLL for (int j = 0; j < 4; j++) value[j] = value[j] * args.b + args.a;
      }
      to_element_order(value);
      float block[kBlock];
      const bool whole = n - i >= kBlock;
      float* target = whole ? y + i : block;
      WEFT_UNROLL for (int j = 0; j < 4; j++) store(target + j * kWidth, value[j]);
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
