// affine_transform: images (N, H, W, C) resampled along an affine map and a displacement; and its gradient.
// Forward, a thread makes one channel of one pixel. The gradient cannot ask a pixel of x who looked at it, as a map
// need not have an inverse: so blocks own a tile of x each and look through all outputs, and where several of them want
// the same pixel at once, they take turns in a fixed order.
#include "cuda/images.h"
#include "cuda/table.h"
#include "ops/image.h"

namespace weft::cuda {
namespace {

// Where a place between pixels takes its value from along one axis.
struct Tap {
  int pixel;    // always one of the image
  bool inside;  // false where the constant stands
  float weight;
};

// i: a whole number.
__device__ __forceinline__ Tap tap_at(FillMode mode, float i, float weight, int64_t size) {
  const float n = static_cast<float>(size), last = n - 1.0f;
  const bool inside = mode != FillMode::kConstant || (i >= 0.0f && i <= last);
  if (mode == FillMode::kReflect) {
    const float r = i - floorf(i / (2.0f * n)) * (2.0f * n);
    i = r > last ? (2.0f * n - 1.0f) - r : r;
  }
  if (mode == FillMode::kWrap) i -= floorf(i / n) * n;
  return {static_cast<int>(fminf(fmaxf(i, 0.0f), last)), inside, weight};  // NaN becomes 0; its weight is NaN
}

// The two pixels around a place along one axis; not bilinear, the first one counts alone.
template <bool bilinear>
struct AxisTaps {
  static constexpr int kCount = bilinear ? 2 : 1;
  Tap at[kCount];
};
template <bool bilinear>
__device__ __forceinline__ AxisTaps<bilinear> axis_taps(FillMode mode, float place, int64_t size) {
  if constexpr (bilinear) {
    const float first = floorf(place), fraction = place - first;
    return {{tap_at(mode, first, 1.0f - fraction, size), tap_at(mode, first + 1.0f, fraction, size)}};
  } else {
    return {{tap_at(mode, floorf(place + 0.5f), place - place + 1.0f, size)}};
  }
}

template <bool bilinear>
struct Taps {
  AxisTaps<bilinear> rows, columns;
};
// Of pixel (i, j) of an output image.
template <bool bilinear>
__device__ __forceinline__ Taps<bilinear> taps_of(const AffineMap& map, int64_t image, int i, int j) {
  const float* m = map.matrices + image * map.matrix_stride;
  const float x = static_cast<float>(j), y = static_cast<float>(i);
  float column = fmaf(m[0], x, fmaf(m[1], y, m[2]));
  float row = fmaf(m[3], x, fmaf(m[4], y, m[5]));
  if (map.displacement) {
    const float* d = map.displacement + image * map.displacement_stride + i * map.ow + j;
    row += d[0];
    column += d[map.oh * map.ow];
  }
  return {axis_taps<bilinear>(map.fill_mode, row, map.h), axis_taps<bilinear>(map.fill_mode, column, map.w)};
}

struct TransformGrid {
  AffineTransformArgs args;
  ImageItems items;
};

template <bool bilinear>
__device__ void transform_body(const TransformGrid& grid) {
  const AffineMap& map = grid.args.map;
  const int width = static_cast<int>(map.w), channels = static_cast<int>(map.c);
  for_each_item(grid.items.count, [&](int64_t item) {
    const Item at = grid.items.at(item);
    const Taps<bilinear> from = taps_of<bilinear>(map, at.image, at.y, at.x);
    const float* x = grid.args.x + at.image * grid.args.x_stride + at.channel;
    float sum = 0.0f;
    for (const Tap& row : from.rows.at) {
      float of_row = 0.0f;
      for (const Tap& column : from.columns.at) {
        const bool inside = row.inside && column.inside;
        const float value = inside ? x[(row.pixel * width + column.pixel) * channels] : map.fill_value;
        of_row = fmaf(value, column.weight, of_row);
      }
      sum = fmaf(of_row, row.weight, sum);
    }
    grid.args.y[at.image * grid.args.y_stride + (at.y * map.ow + at.x) * channels + at.channel] = sum;
  });
}

void affine_transform(const AffineTransformArgs& args) {
  const AffineMap& map = args.map;
  for_image_items(map.n, map.oh, map.ow, map.c, [&](const ImageItems& items) {
    const TransformGrid grid = {args, items};
    map.bilinear ? launch<TransformGrid, transform_body<true>>(blocks_for(items.count), grid)
                 : launch<TransformGrid, transform_body<false>>(blocks_for(items.count), grid);
  });
}

// --- Gradient ----------------------------------------------------------------------------------------

struct TransformGradGrid {
  AffineTransformGradArgs args;
  Divisor output_width;
  int tile_pixels, tile_channels;
};

// Block (tile of pixels, tile of channels, image). Shared memory: the sums of its tile (tile_pixels, tile_channels),
// then for each pixel the thread whose turn it is.
template <bool bilinear>
__device__ void transform_grad_body(const TransformGradGrid& grid) {
  const AffineMap& map = grid.args.map;
  const int thread = static_cast<int>(threadIdx.x), width = static_cast<int>(map.w);
  const int first_pixel = static_cast<int>(blockIdx.x) * grid.tile_pixels;
  const int first_channel = static_cast<int>(blockIdx.y) * grid.tile_channels;
  const int pixels = std::min(grid.tile_pixels, static_cast<int>(map.h) * width - first_pixel);
  const int channels = std::min(grid.tile_channels, static_cast<int>(map.c) - first_channel);
  float* sums = static_cast<float*>(shared_memory());
  int* turns = reinterpret_cast<int*>(sums + grid.tile_pixels * grid.tile_channels);

  for (int64_t image = blockIdx.z; image < map.n; image += gridDim.z) {
    for (int i = thread; i < pixels; i += kThreads) {
      turns[i] = 0;
      for (int c = 0; c < channels; c++) sums[i * grid.tile_channels + c] = 0.0f;
    }
    __syncthreads();

    const int outputs = static_cast<int>(map.oh * map.ow);
    for (int first = 0; first < outputs; first += kThreads) {
      const int output = std::min(first + thread, outputs - 1);
      const int i = static_cast<int>(grid.output_width.quotient(output)), j = output - i * static_cast<int>(map.ow);
      const Taps<bilinear> from = taps_of<bilinear>(map, image, i, j);
      const float* dy = grid.args.dy + image * grid.args.dy_stride + output * map.c + first_channel;
#pragma unroll
      for (const Tap& row : from.rows.at) {
#pragma unroll
        for (const Tap& column : from.columns.at) {
          const int pixel = row.pixel * width + column.pixel - first_pixel;
          const float weight = row.weight * column.weight;
          bool waits =
              first + thread < outputs && row.inside && column.inside && pixel >= 0 && pixel < pixels && weight != 0.0f;
          while (__syncthreads_or(waits)) {
            if (waits) atomicMax(&turns[pixel], thread + 1);  // whoever is first, the last thread's turn it is
            __syncthreads();
            const bool now = waits && turns[pixel] == thread + 1;
            __syncthreads();
            if (!now) continue;
            turns[pixel] = 0;
            waits = false;
            float* sum = sums + pixel * grid.tile_channels;
            for (int c = 0; c < channels; c++) sum[c] = fmaf(dy[c], weight, sum[c]);
          }
        }
      }
    }
    float* dx = grid.args.dx + image * grid.args.dx_stride + first_pixel * map.c + first_channel;
    for (int i = thread; i < pixels * channels; i += kThreads) {
      const int pixel = i / channels, c = i % channels;
      dx[pixel * map.c + c] = sums[pixel * grid.tile_channels + c];
    }
    __syncthreads();
  }
}

void affine_transform_grad(const AffineTransformGradArgs& args) {
  constexpr int64_t kMostSums = 8192, kMostPixels = 4096, kMostChannels = 8;
  const AffineMap& map = args.map;
  if (map.c == 0) return;
  const int64_t channels = std::min(map.c, kMostChannels);
  const int64_t pixels = std::min({map.h * map.w, kMostPixels, kMostSums / channels});
  const TransformGradGrid grid = {args, divisor_of(map.ow), static_cast<int>(pixels), static_cast<int>(channels)};
  const dim3 blocks(static_cast<unsigned>(ceil_divide(map.h * map.w, pixels)),
                    static_cast<unsigned>(ceil_divide(map.c, channels)),
                    static_cast<unsigned>(std::min<int64_t>(map.n, 65535)));
  const size_t shared_bytes = static_cast<size_t>(pixels * (channels + 1)) * sizeof(float);
  map.bilinear ? launch<TransformGradGrid, transform_grad_body<true>>(blocks, grid, shared_bytes)
               : launch<TransformGradGrid, transform_grad_body<false>>(blocks, grid, shared_bytes);
}

}  // namespace

void fill_image_affine(KernelTable& table) {
  table.affine_transform = kernel_of<AffineTransformArgs, affine_transform>();
  table.affine_transform_grad = kernel_of<AffineTransformGradArgs, affine_transform_grad>();
}

}  // namespace weft::cuda
