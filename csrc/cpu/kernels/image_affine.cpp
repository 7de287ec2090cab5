// affine_transform: images (N, H, W, C) resampled along an affine map and a displacement; and its gradient.
// A vector of pixels of one output row at a time: their places, the pixels these lie between, and gathers of those.
// Tiles: images.
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"
#include "ops/image.h"

namespace weft::WEFT_ISA {
namespace {

// The largest whole number up to x, in one instruction.
WEFT_INLINE Vec round_down(Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_roundscale_ps(0xffff, (__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (Vec)_mm256_floor_ps((__m256)x);
#else
  return floor(x);
#endif
}

// Where a place between pixels takes its value from along one axis.
struct Tap {
  IntVec offset;  // of that pixel, always one of the image
  IntVec inside;  // 0 where the constant stands
  Vec weight;
};

// An axis of x: how many pixels, and how many floats from one to the next.
struct Axis {
  float size, step;
};

// i: whole numbers. Offsets are exact as floats, since an image has no more than 2^24 elements.
template <FillMode mode>
WEFT_INLINE Tap tap(Vec i, Vec weight, Axis axis) {
  const float n = axis.size, last = n - 1.0f;
  Tap result = {{}, {}, weight};
  if constexpr (mode == FillMode::kConstant) result.inside = (i >= 0.0f) & (i <= last);
  if constexpr (mode == FillMode::kReflect) {
    const Vec r = i - round_down(i / (2.0f * n)) * (2.0f * n);
    i = select(r > last, (2.0f * n - 1.0f) - r, r);
  }
  if constexpr (mode == FillMode::kWrap) i = i - round_down(i / n) * n;
  // NaN becomes 0; its weight is NaN.
  const Vec within = at_most(QuickMaximum{}(i, Vec{}), last);
  result.offset = __builtin_convertvector(within * axis.step, IntVec);
  return result;
}

// The two pixels around each of a vector of places along one axis; not bilinear, the first one counts alone.
struct AxisTaps {
  Tap at[2];
};
template <bool bilinear, FillMode mode>
WEFT_INLINE AxisTaps axis_taps(Vec place, Axis axis) {
  if constexpr (bilinear) {
    const Vec first = round_down(place), fraction = place - first;
    return {{tap<mode>(first, 1.0f - fraction, axis), tap<mode>(first + 1.0f, fraction, axis)}};
  }
  const Tap only = tap<mode>(round_down(place + 0.5f), place - place + 1.0f, axis);
  return {{only, only}};
}

struct Taps {
  AxisTaps rows, columns;
};
// Of the pixels (i, j) to (i, j + kWidth - 1) of an output image; what a lane beyond the row gets is of no account.
template <bool bilinear, FillMode mode>
WEFT_INLINE Taps taps_of(const AffineMap& map, int64_t image, int64_t i, int64_t j) {
  const float* m = map.matrices + image * map.matrix_stride;
  const Vec x = __builtin_convertvector(lane_index(static_cast<int>(j)), Vec);
  const Vec y = broadcast(static_cast<float>(i));
  Vec column = multiply_add(broadcast(m[0]), x, multiply_add(broadcast(m[1]), y, broadcast(m[2])));
  Vec row = multiply_add(broadcast(m[3]), x, multiply_add(broadcast(m[4]), y, broadcast(m[5])));
  if (map.displacement) {
    const float* d = map.displacement + image * map.displacement_stride + i * map.ow + j;
    row += load_partial(d, map.ow - j, 0.0f);
    column += load_partial(d + map.oh * map.ow, map.ow - j, 0.0f);
  }
  const Axis rows = {static_cast<float>(map.h), static_cast<float>(map.w * map.c)};
  const Axis columns = {static_cast<float>(map.w), static_cast<float>(map.c)};
  return {axis_taps<bilinear, mode>(row, rows), axis_taps<bilinear, mode>(column, columns)};
}

WEFT_INLINE Vec gather(const float* p, IntVec index) {
#if defined(__AVX512F__)
  return (Vec)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xffff, (__m512i)index, p, 4);
#elif defined(__AVX2__)
  return (Vec)_mm256_i32gather_ps(p, (__m256i)index, 4);
#else
  Vec x;
  for (int lane = 0; lane < kWidth; lane++) x[lane] = p[index[lane]];
  return x;
#endif
}

// n <= kWidth elements of v, `step` apart.
WEFT_INLINE void store_few(float* p, int64_t step, int64_t n, Vec v) {
  if (step == 1 && n == kWidth) return store(p, v);
  float lanes[kWidth];
  store(lanes, v);
  for (int64_t lane = 0; lane < n; lane++) p[lane * step] = lanes[lane];
}

// A tile of images in one of the eight ways of looking at them.
using RunTransform = void (*)(const AffineTransformArgs& args, int tile, int n_tiles);
using RunGrad = void (*)(const AffineTransformGradArgs& args, int tile, int n_tiles);

WEFT_INLINE int tiles_of(double nanoseconds, const AffineMap& map, int threads) {
  const int tiles = tiles_for(nanoseconds, map.n * map.oh * map.ow * map.c, threads);
  return tiles < map.n ? tiles : static_cast<int>(map.n > 0 ? map.n : 1);
}

int affine_transform_tiles(const AffineTransformArgs& args, int threads) {
  return tiles_of(args.map.bilinear ? 2.0 : 1.0, args.map, threads);
}

template <bool bilinear, FillMode mode>
void transform(const AffineTransformArgs& args, int tile, int n_tiles) {
  const AffineMap& map = args.map;
  constexpr int kTaps = bilinear ? 2 : 1;
  const Range images = split(map.n, 1, tile, n_tiles);
  for (int64_t image = images.begin; image < images.end; image++) {
    const float* x = args.x + image * args.x_stride;
    for (int64_t i = 0; i < map.oh; i++) {
      for (int64_t j = 0; j < map.ow; j += kWidth) {
        const Taps from = taps_of<bilinear, mode>(map, image, i, j);
        float* y = args.y + image * args.y_stride + (i * map.ow + j) * map.c;
        const int64_t n = map.ow - j < kWidth ? map.ow - j : kWidth;
        for (int64_t channel = 0; channel < map.c; channel++) {
          Vec sum = {};
          WEFT_UNROLL
          for (int a = 0; a < kTaps; a++) {
            const Tap row = from.rows.at[a];
            Vec of_row = {};
            WEFT_UNROLL
            for (int b = 0; b < kTaps; b++) {
              const Tap column = from.columns.at[b];
              Vec value = gather(x + channel, row.offset + column.offset);
              if constexpr (mode == FillMode::kConstant) {
                value = select(row.inside & column.inside, value, broadcast(map.fill_value));
              }
              of_row = multiply_add(value, column.weight, of_row);
            }
            sum = multiply_add(of_row, row.weight, sum);
          }
          store_few(y + channel, map.c, n, sum);
        }
      }
    }
  }
}

void affine_transform_run(const AffineTransformArgs& args, int tile, int n_tiles) {
  static constexpr RunTransform kRun[2][4] = {
      {transform<false, FillMode::kConstant>, transform<false, FillMode::kNearest>,
       transform<false, FillMode::kReflect>, transform<false, FillMode::kWrap>},
      {transform<true, FillMode::kConstant>, transform<true, FillMode::kNearest>, transform<true, FillMode::kReflect>,
       transform<true, FillMode::kWrap>}};
  kRun[args.map.bilinear][static_cast<int>(args.map.fill_mode)](args, tile, n_tiles);
}

int affine_transform_grad_tiles(const AffineTransformGradArgs& args, int threads) {
  return tiles_of(5.0, args.map, threads);
}

// Pixel by pixel, so that the order of the sums does not depend on the width of a vector.
template <bool bilinear, FillMode mode>
void transform_grad(const AffineTransformGradArgs& args, int tile, int n_tiles) {
  const AffineMap& map = args.map;
  constexpr int kTaps = bilinear ? 2 : 1;
  int32_t offset[kTaps * kTaps][kWidth];
  float weight[kTaps * kTaps][kWidth];
  const Range images = split(map.n, 1, tile, n_tiles);
  for (int64_t image = images.begin; image < images.end; image++) {
    float* dx = args.dx + image * args.dx_stride;
    __builtin_memset(dx, 0, static_cast<uint64_t>(map.h * map.w * map.c) * sizeof(float));
    for (int64_t i = 0; i < map.oh; i++) {
      for (int64_t j = 0; j < map.ow; j += kWidth) {
        const Taps from = taps_of<bilinear, mode>(map, image, i, j);
        WEFT_UNROLL
        for (int t = 0; t < kTaps * kTaps; t++) {
          const Tap row = from.rows.at[t / kTaps], column = from.columns.at[t % kTaps];
          const IntVec offsets = row.offset + column.offset;
          __builtin_memcpy(offset[t], &offsets, sizeof(offsets));
          Vec weights = row.weight * column.weight;
          if constexpr (mode == FillMode::kConstant) weights = select(row.inside & column.inside, weights, Vec{});
          store(weight[t], weights);
        }
        const float* dy = args.dy + image * args.dy_stride + (i * map.ow + j) * map.c;
        const int64_t n = map.ow - j < kWidth ? map.ow - j : kWidth;
        for (int64_t lane = 0; lane < n; lane++, dy += map.c) {
          for (int t = 0; t < kTaps * kTaps; t++) {
            if (weight[t][lane] == 0.0f) continue;
            for (int64_t c = 0; c < map.c; c++) dx[offset[t][lane] + c] += dy[c] * weight[t][lane];
          }
        }
      }
    }
  }
}

void affine_transform_grad_run(const AffineTransformGradArgs& args, int tile, int n_tiles) {
  static constexpr RunGrad kRun[2][4] = {
      {transform_grad<false, FillMode::kConstant>, transform_grad<false, FillMode::kNearest>,
       transform_grad<false, FillMode::kReflect>, transform_grad<false, FillMode::kWrap>},
      {transform_grad<true, FillMode::kConstant>, transform_grad<true, FillMode::kNearest>,
       transform_grad<true, FillMode::kReflect>, transform_grad<true, FillMode::kWrap>}};
  kRun[args.map.bilinear][static_cast<int>(args.map.fill_mode)](args, tile, n_tiles);
}

}  // namespace

void fill_image_affine(KernelTable& table) {
  table.affine_transform = {affine_transform_tiles, affine_transform_run};
  table.affine_transform_grad = {affine_transform_grad_tiles, affine_transform_grad_run};
}

}  // namespace weft::WEFT_ISA
