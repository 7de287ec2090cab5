// Max- and average-pooling over (N, H, W, C), forward and gradient. Vectors run over the channels of one pixel.
// Forward: the windows of an output pixel one after the other. Gradient: for each input pixel, the windows over it
// in order, so every element is written once. Tiles: rows of images (output rows forward, input rows backward).
#include "ops/pool2d.h"

#include "cpu/kernels/image_rows.h"
#include "cpu/kernels/places.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

WEFT_INLINE IntChunk load_channels(const uint8_t* x, int64_t n, const uint8_t* end) {
  return n >= kChunk || x + kChunk <= end ? load_places(x) : load_few_places(x, n);
}
WEFT_INLINE void store_channels(uint8_t* y, int64_t n, const uint8_t* end, IntChunk c) {
  if (n >= kChunk || y + kChunk <= end) return store_places(y, c);
  store_few_places(y, n, c);
}

// Of a window whose first place is at `first`: the places that lie in the image.
WEFT_INLINE Range places_inside(int64_t first, int64_t window, int64_t size) {
  return {first < 0 ? -first : 0, smaller(window, size - first)};
}

int pool_tiles(const PoolShape& s, int64_t rows, int threads) {
  const int64_t chunks = s.n * s.oh * s.ow * ceil_divide(s.c, kChunk);
  return static_cast<int>(smaller(tiles_for(1.0, chunks * (s.window_h * s.window_w + 1), threads), larger(1, rows)));
}

// --- Max ---------------------------------------------------------------------------------------------

struct Largest {
  Chunk value;
  IntChunk place;
};

// The first largest stays, and so does the first NaN.
template <bool kPlaces>
WEFT_INLINE void consider(Largest& largest, Chunk x, int32_t place) {
  WEFT_UNROLL
  for (int j = 0; j < kParts; j++) {
    const Vec best = largest.value.part[j], v = x.part[j];
    if constexpr (kPlaces) {
      const IntVec stays = largest.place.part[j];
      largest.place.part[j] = (best != best) ? stays : ((v <= best) ? stays : broadcast_int(place));
    }
    largest.value.part[j] = select(best != best, best, QuickMaximum{}(best, v));
  }
}

// One output row. kSide: windows of kSide x kSide, none of them over the border; 0: any.
template <bool kPlaces, int kSide>
void max_pool_row(const MaxPool2dArgs& args, Row row) {
  const PoolShape& s = args.shape;
  const float* image = args.x + row.image * args.x_stride;
  float* y = args.y + row.image * args.y_stride;
  uint8_t* argmax = kPlaces ? args.argmax + row.image * args.argmax_stride : nullptr;
  const float* image_end = image + padded_size(s.h, s.w, s.c);
  const int64_t first_y = row.y * s.stride_y - s.top;
  const Range rows = places_inside(first_y, s.window_h, s.h);
  for (int64_t ox = 0; ox < s.ow; ox++) {
    const int64_t first_x = ox * s.stride_x - s.left;
    const Range columns = places_inside(first_x, s.window_w, s.w);
    const int64_t first_place = rows.begin * s.window_w + columns.begin;
    const float* window = image + ((first_y + rows.begin) * s.w + first_x + columns.begin) * s.c;
    for (int64_t c = 0; c < s.c; c += kChunk) {
      const int64_t left = s.c - c;
      const float* x = window + c;
      Largest largest = {load_channels(x, left, image_end), {}};
      if constexpr (kSide > 0) {
        WEFT_UNROLL
        for (int p = 1; p < kSide * kSide; p++) {
          const float* at = x + (p / kSide * s.w + p % kSide) * s.c;
          consider<kPlaces>(largest, load_channels(at, left, image_end), p);
        }
      } else {
        largest.place = map(IntChunk{}, [=](IntVec zero) { return zero + static_cast<int32_t>(first_place); });
        for (int64_t py = rows.begin; py < rows.end; py++, x += s.w * s.c) {
          const float* at = x;
          for (int64_t px = columns.begin; px < columns.end; px++, at += s.c) {
            consider<kPlaces>(largest, load_channels(at, left, image_end), static_cast<int32_t>(py * s.window_w + px));
          }
        }
      }
      const int64_t offset = (row.y * s.ow + ox) * s.c + c;
      store_channels(y + offset, left, y + row.end, largest.value);
      if constexpr (kPlaces) store_channels(argmax + offset, left, argmax + row.end, largest.place);
    }
  }
}

int max_pool_tiles(const MaxPool2dArgs& args, int threads) {
  return pool_tiles(args.shape, args.shape.n * args.shape.oh, threads);
}

void max_pool_run(const MaxPool2dArgs& args, int tile, int n_tiles) {
  const PoolShape& s = args.shape;
  const bool inside = s.top == 0 && s.left == 0 && (s.oh - 1) * s.stride_y + s.window_h <= s.h &&
                      (s.ow - 1) * s.stride_x + s.window_w <= s.w;
  const bool two = inside && s.window_h == 2 && s.window_w == 2;
  for_each_row(s.n, s.oh, s.ow, s.c, tile, n_tiles, [&](Row row) {
    if (args.argmax) {
      two ? max_pool_row<true, 2>(args, row) : max_pool_row<true, 0>(args, row);
    } else {
      two ? max_pool_row<false, 2>(args, row) : max_pool_row<false, 0>(args, row);
    }
  });
}

// --- Gradients ---------------------------------------------------------------------------------------

// The windows of a row or column of outputs that lie over the input `at`, which counts from the start of the padding.
WEFT_INLINE Range windows_over(int64_t at, int64_t window, int64_t stride, int64_t count) {
  return {at < window ? 0 : (at - window) / stride + 1, smaller(count, at / stride + 1)};
}

// f(x, windows over it) for the pixels of an input row, without a division for each.
template <class F>
WEFT_INLINE void for_each_column(const PoolShape& s, F f) {
  Range columns = {0, 0};
  for (int64_t x = 0; x < s.w; x++) {
    while (columns.begin * s.stride_x + s.window_w <= x + s.left) columns.begin++;
    while (columns.end < s.ow && columns.end * s.stride_x <= x + s.left) columns.end++;
    f(x, columns);
  }
}

// Whether windows lie side by side: one over each pixel, none over what is left over at the end.
bool side_by_side(const PoolShape& s) {
  return s.stride_y == s.window_h && s.stride_x == s.window_w && s.top == 0 && s.left == 0 &&
         s.oh * s.window_h <= s.h && s.ow * s.window_w <= s.w;
}

// Then, for one row of dx: dx = f(where dy is, channels left of the pixel, place within the window), and 0.
template <class F>
WEFT_INLINE void row_side_by_side(const PoolShape& s, Row row, float* image, F f) {
  float* dx = image + row.y * s.w * s.c;
  const float* end = image + row.end;
  const int64_t oy = row.y / s.window_h, covered = oy < s.oh ? s.ow * s.window_w : 0;
  const int64_t place_y = row.y % s.window_h * s.window_w;
  int64_t offset = oy * s.ow * s.c, place_x = 0;
  for (int64_t x = 0; x < covered; x++, dx += s.c) {
    const int32_t place = static_cast<int32_t>(place_y + place_x);
    for (int64_t c = 0; c < s.c; c += kChunk) store_channels(dx + c, s.c - c, end, f(offset + c, s.c - c, place));
    if (++place_x == s.window_w) place_x = 0, offset += s.c;
  }
  for (int64_t i = 0, n = (s.w - covered) * s.c; i < n; i += kChunk) store_channels(dx + i, n - i, end, Chunk{});
}

void max_pool_grad_row(const MaxPool2dGradArgs& args, Row row) {
  const PoolShape& s = args.shape;
  const float* dy = args.dy + row.image * args.dy_stride;
  const uint8_t* argmax = args.argmax + row.image * args.argmax_stride;
  float* dx = args.dx + row.image * args.dx_stride;
  const float* dy_end = dy + padded_size(s.oh, s.ow, s.c);
  const uint8_t* argmax_end = argmax + padded_size(s.oh, s.ow, s.c);
  if (side_by_side(s)) {
    return row_side_by_side(s, row, dx, [&](int64_t offset, int64_t left, int32_t place) {
      return map(load_channels(dy + offset, left, dy_end), load_channels(argmax + offset, left, argmax_end),
                 [=](Vec d, IntVec p) { return select(p == place, d, Vec{}); });
    });
  }
  const Range rows = windows_over(row.y + s.top, s.window_h, s.stride_y, s.oh);
  for_each_column(s, [&](int64_t x, Range columns) {
    for (int64_t c = 0; c < s.c; c += kChunk) {
      const int64_t left = s.c - c;
      Chunk sum = {};
      for (int64_t oy = rows.begin; oy < rows.end; oy++) {
        const int64_t place_y = (row.y + s.top - oy * s.stride_y) * s.window_w;
        int64_t offset = (oy * s.ow + columns.begin) * s.c + c;
        for (int64_t ox = columns.begin; ox < columns.end; ox++, offset += s.c) {
          const int32_t place = static_cast<int32_t>(place_y + x + s.left - ox * s.stride_x);
          sum = map(sum, load_channels(dy + offset, left, dy_end), load_channels(argmax + offset, left, argmax_end),
                    [=](Vec a, Vec d, IntVec p) { return select(p == place, a + d, a); });
        }
      }
      store_channels(dx + (row.y * s.w + x) * s.c + c, left, dx + row.end, sum);
    }
  });
}

int max_pool_grad_tiles(const MaxPool2dGradArgs& args, int threads) {
  return pool_tiles(args.shape, args.shape.n * args.shape.h, threads);
}

void max_pool_grad_run(const MaxPool2dGradArgs& args, int tile, int n_tiles) {
  const PoolShape& s = args.shape;
  for_each_row(s.n, s.h, s.w, s.c, tile, n_tiles, [&](Row row) { max_pool_grad_row(args, row); });
}

// --- Average -----------------------------------------------------------------------------------------

void avg_pool_row(const AvgPool2dArgs& args, Row row) {
  const PoolShape& s = args.shape;
  const float* image = args.x + row.image * args.x_stride;
  float* y = args.y + row.image * args.y_stride;
  const float* image_end = image + padded_size(s.h, s.w, s.c);
  const int64_t first_y = row.y * s.stride_y - s.top;
  const Range rows = places_inside(first_y, s.window_h, s.h);
  for (int64_t ox = 0; ox < s.ow; ox++) {
    const int64_t first_x = ox * s.stride_x - s.left;
    const Range columns = places_inside(first_x, s.window_w, s.w);
    const float share = 1.0f / static_cast<float>(length(rows) * length(columns));
    const float* window = image + ((first_y + rows.begin) * s.w + first_x + columns.begin) * s.c;
    for (int64_t c = 0; c < s.c; c += kChunk) {
      const int64_t left = s.c - c;
      const float* x = window + c;
      Chunk sum = {};
      for (int64_t py = rows.begin; py < rows.end; py++, x += s.w * s.c) {
        const float* at = x;
        for (int64_t px = columns.begin; px < columns.end; px++, at += s.c) {
          sum = sum + load_channels(at, left, image_end);
        }
      }
      store_channels(y + (row.y * s.ow + ox) * s.c + c, left, y + row.end, map(sum, [=](Vec v) { return v * share; }));
    }
  }
}

int avg_pool_tiles(const AvgPool2dArgs& args, int threads) {
  return pool_tiles(args.shape, args.shape.n * args.shape.oh, threads);
}

void avg_pool_run(const AvgPool2dArgs& args, int tile, int n_tiles) {
  const PoolShape& s = args.shape;
  for_each_row(s.n, s.oh, s.ow, s.c, tile, n_tiles, [&](Row row) { avg_pool_row(args, row); });
}

void avg_pool_grad_row(const AvgPool2dGradArgs& args, Row row) {
  const PoolShape& s = args.shape;
  const float* dy = args.dy + row.image * args.dy_stride;
  float* dx = args.dx + row.image * args.dx_stride;
  const float* dy_end = dy + padded_size(s.oh, s.ow, s.c);
  const int64_t whole = s.window_h * s.window_w;
  const float whole_share = 1.0f / static_cast<float>(whole);
  if (side_by_side(s)) {
    return row_side_by_side(s, row, dx, [&](int64_t offset, int64_t left, int32_t) {
      return map(load_channels(dy + offset, left, dy_end), [=](Vec d) { return d * whole_share; });
    });
  }
  const Range rows = windows_over(row.y + s.top, s.window_h, s.stride_y, s.oh);
  for_each_column(s, [&](int64_t x, Range columns) {
    for (int64_t c = 0; c < s.c; c += kChunk) {
      const int64_t left = s.c - c;
      Chunk sum = {};
      for (int64_t oy = rows.begin; oy < rows.end; oy++) {
        const int64_t height = length(places_inside(oy * s.stride_y - s.top, s.window_h, s.h));
        for (int64_t ox = columns.begin; ox < columns.end; ox++) {
          const int64_t size = height * length(places_inside(ox * s.stride_x - s.left, s.window_w, s.w));
          const float share = size == whole ? whole_share : 1.0f / static_cast<float>(size);
          const Chunk d = load_channels(dy + (oy * s.ow + ox) * s.c + c, left, dy_end);
          sum = map(sum, d, [=](Vec a, Vec v) { return multiply_add(v, broadcast(share), a); });
        }
      }
      store_channels(dx + (row.y * s.w + x) * s.c + c, left, dx + row.end, sum);
    }
  });
}

int avg_pool_grad_tiles(const AvgPool2dGradArgs& args, int threads) {
  return pool_tiles(args.shape, args.shape.n * args.shape.h, threads);
}

void avg_pool_grad_run(const AvgPool2dGradArgs& args, int tile, int n_tiles) {
  const PoolShape& s = args.shape;
  for_each_row(s.n, s.h, s.w, s.c, tile, n_tiles, [&](Row row) { avg_pool_grad_row(args, row); });
}

}  // namespace

void fill_pool2d(KernelTable& table) {
  table.max_pool2d = {max_pool_tiles, max_pool_run};
  table.max_pool2d_grad = {max_pool_grad_tiles, max_pool_grad_run};
  table.avg_pool2d = {avg_pool_tiles, avg_pool_run};
  table.avg_pool2d_grad = {avg_pool_grad_tiles, avg_pool_grad_run};
}

}  // namespace weft::WEFT_ISA
