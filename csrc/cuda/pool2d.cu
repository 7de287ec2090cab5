// Max- and average-pooling over (N, H, W, C), forward and gradient. A thread makes a few channels of one pixel:
// forward, from the pixels of its window; backward, from the windows over it, row by row, so every element is written
// once.
#include "cuda/images.h"
#include "cuda/table.h"
#include "ops/pool2d.h"

namespace weft::cuda {
namespace {

struct Range {
  int begin, end;
  __device__ __forceinline__ int length() const { return end - begin; }
};

// The windows along one axis.
struct PoolAxis {
  int size, windows, window, stride, before;  // size: of the input; before: its padding
  Divisor strides;                            // the same stride

  __device__ __forceinline__ int first_of(int window_index) const { return window_index * stride - before; }
  // The pixels of a window that lie in the image.
  __device__ __forceinline__ Range pixels_of(int window_index) const {
    const int first = first_of(window_index);
    return {std::max(0, first), std::min(size, first + window)};
  }
  // The windows over a pixel.
  __device__ __forceinline__ Range windows_over(int pixel) const {
    const int at = pixel + before, begin = at < window ? 0 : static_cast<int>(strides.quotient(at - window)) + 1;
    return {begin, std::min(windows, static_cast<int>(strides.quotient(at)) + 1)};
  }
};

// A grid over the pixels that are written: outputs forward, inputs backward.
template <class Args>
struct PoolGrid {
  Args args;
  PoolAxis rows, columns;
  int channels;
  ImageItems items;
};

template <int value>
struct Constant {
  static constexpr int kValue = value;
};

// launch_with(Constant<channels of an item>, grid) for outputs or inputs of h x w pixels.
template <class Args, class Launch>
void start_grid(const Args& args, int64_t h, int64_t w, Launch launch_with) {
  const PoolShape& s = args.shape;
  check_image_size(std::max(s.h * s.w, s.oh * s.ow) * s.c);
  const auto axis = [](int64_t size, int64_t windows, int64_t window, int64_t stride, int64_t before) {
    return PoolAxis{static_cast<int>(size),   static_cast<int>(windows), static_cast<int>(window),
                    static_cast<int>(stride), static_cast<int>(before),  divisor_of(stride)};
  };
  const int width = pack_width(s.c);
  for_image_items(s.n, h, w, s.c / width, [&](const ImageItems& items) {
    const PoolGrid<Args> grid = {args, axis(s.h, s.oh, s.window_h, s.stride_y, s.top),
                                 axis(s.w, s.ow, s.window_w, s.stride_x, s.left), static_cast<int>(s.c), items};
    width == 4 ? launch_with(Constant<4>{}, grid) : launch_with(Constant<1>{}, grid);
  });
}

// --- Max ---------------------------------------------------------------------------------------------

// side: windows of side x side, none of them over the border; 0: any.
template <int width, int side>
__device__ void max_pool2d_body(const PoolGrid<MaxPool2dArgs>& grid) {
  const MaxPool2dArgs& args = grid.args;
  const int window_w = side > 0 ? side : grid.columns.window;
  for_each_item(grid.items.count, [&](int64_t i) {
    const Item at = grid.items.at(i);
    const int first_y = grid.rows.first_of(at.y), first_x = grid.columns.first_of(at.x);
    const Range ys = side > 0 ? Range{first_y, first_y + side} : grid.rows.pixels_of(at.y);
    const Range xs = side > 0 ? Range{first_x, first_x + side} : grid.columns.pixels_of(at.x);
    const float* image = args.x + at.image * args.x_stride + at.channel * width;
    Pack<float, width> largest;
    int place[width];
    for (int j = 0; j < width; j++) {
      largest.at[j] = -INFINITY;
      place[j] = (ys.begin - first_y) * window_w + xs.begin - first_x;
    }
#pragma unroll(side > 0 ? side : 1)
    for (int y = ys.begin; y < ys.end; y++) {
#pragma unroll(side > 0 ? side : 2)
      for (int x = xs.begin; x < xs.end; x++) {
        const auto v = load_pack<width>(image + (y * grid.columns.size + x) * grid.channels);
#pragma unroll
        for (int j = 0; j < width; j++) {  // the first largest stays, and so does the first NaN
          if (largest.at[j] != largest.at[j] || v.at[j] <= largest.at[j]) continue;
          largest.at[j] = v.at[j];
          place[j] = (y - first_y) * window_w + x - first_x;
        }
      }
    }
    const int offset = (at.y * grid.columns.windows + at.x) * grid.channels + at.channel * width;
    store_pack(args.y + at.image * args.y_stride + offset, largest);
    if (!args.argmax) return;
    Pack<uint8_t, width> places;
    for (int j = 0; j < width; j++) places.at[j] = static_cast<uint8_t>(place[j]);
    store_pack(args.argmax + at.image * args.argmax_stride + offset, places);
  });
}

void max_pool2d(const MaxPool2dArgs& args) {
  const PoolShape& s = args.shape;
  const bool inside = s.top == 0 && s.left == 0 && (s.oh - 1) * s.stride_y + s.window_h <= s.h &&
                      (s.ow - 1) * s.stride_x + s.window_w <= s.w;
  const bool two = inside && s.window_h == 2 && s.window_w == 2;
  start_grid(args, s.oh, s.ow, [&]<class Width, class Grid>(Width, const Grid& grid) {
    const dim3 blocks = blocks_for(grid.items.count);
    two ? launch<Grid, max_pool2d_body<Width::kValue, 2>>(blocks, grid)
        : launch<Grid, max_pool2d_body<Width::kValue, 0>>(blocks, grid);
  });
}

template <int width>
__device__ void max_pool2d_grad_body(const PoolGrid<MaxPool2dGradArgs>& grid) {
  const MaxPool2dGradArgs& args = grid.args;
  for_each_item(grid.items.count, [&](int64_t i) {
    const Item at = grid.items.at(i);
    const Range rows = grid.rows.windows_over(at.y), columns = grid.columns.windows_over(at.x);
    const float* dy = args.dy + at.image * args.dy_stride + at.channel * width;
    const uint8_t* argmax = args.argmax + at.image * args.argmax_stride + at.channel * width;
    Pack<float, width> sum = {};
    for (int oy = rows.begin; oy < rows.end; oy++) {
      for (int ox = columns.begin; ox < columns.end; ox++) {
        const int offset = (oy * grid.columns.windows + ox) * grid.channels;
        const auto d = load_pack<width>(dy + offset);
        const auto places = load_pack<width>(argmax + offset);
        const int place = (at.y - grid.rows.first_of(oy)) * grid.columns.window + at.x - grid.columns.first_of(ox);
#pragma unroll
        for (int j = 0; j < width; j++) sum.at[j] = places.at[j] == place ? sum.at[j] + d.at[j] : sum.at[j];
      }
    }
    const int offset = (at.y * grid.columns.size + at.x) * grid.channels + at.channel * width;
    store_pack(args.dx + at.image * args.dx_stride + offset, sum);
  });
}

void max_pool2d_grad(const MaxPool2dGradArgs& args) {
  start_grid(args, args.shape.h, args.shape.w, []<class Width, class Grid>(Width, const Grid& grid) {
    launch<Grid, max_pool2d_grad_body<Width::kValue>>(blocks_for(grid.items.count), grid);
  });
}

// --- Average -----------------------------------------------------------------------------------------

template <int width>
__device__ void avg_pool2d_body(const PoolGrid<AvgPool2dArgs>& grid) {
  const AvgPool2dArgs& args = grid.args;
  for_each_item(grid.items.count, [&](int64_t i) {
    const Item at = grid.items.at(i);
    const Range ys = grid.rows.pixels_of(at.y), xs = grid.columns.pixels_of(at.x);
    const float* image = args.x + at.image * args.x_stride + at.channel * width;
    Pack<float, width> sum = {};
    for (int y = ys.begin; y < ys.end; y++) {
      for (int x = xs.begin; x < xs.end; x++) {
        const auto v = load_pack<width>(image + (y * grid.columns.size + x) * grid.channels);
#pragma unroll
        for (int j = 0; j < width; j++) sum.at[j] += v.at[j];
      }
    }
    const float share = 1.0f / static_cast<float>(ys.length() * xs.length());
    for (int j = 0; j < width; j++) sum.at[j] *= share;
    const int offset = (at.y * grid.columns.windows + at.x) * grid.channels + at.channel * width;
    store_pack(args.y + at.image * args.y_stride + offset, sum);
  });
}

void avg_pool2d(const AvgPool2dArgs& args) {
  start_grid(args, args.shape.oh, args.shape.ow, []<class Width, class Grid>(Width, const Grid& grid) {
    launch<Grid, avg_pool2d_body<Width::kValue>>(blocks_for(grid.items.count), grid);
  });
}

template <int width>
__device__ void avg_pool2d_grad_body(const PoolGrid<AvgPool2dGradArgs>& grid) {
  const AvgPool2dGradArgs& args = grid.args;
  for_each_item(grid.items.count, [&](int64_t i) {
    const Item at = grid.items.at(i);
    const Range rows = grid.rows.windows_over(at.y), columns = grid.columns.windows_over(at.x);
    const float* dy = args.dy + at.image * args.dy_stride + at.channel * width;
    Pack<float, width> sum = {};
    for (int oy = rows.begin; oy < rows.end; oy++) {
      const int height = grid.rows.pixels_of(oy).length();
      for (int ox = columns.begin; ox < columns.end; ox++) {
        const float share = 1.0f / static_cast<float>(height * grid.columns.pixels_of(ox).length());
        const auto d = load_pack<width>(dy + (oy * grid.columns.windows + ox) * grid.channels);
#pragma unroll
        for (int j = 0; j < width; j++) sum.at[j] = fmaf(d.at[j], share, sum.at[j]);
      }
    }
    const int offset = (at.y * grid.columns.size + at.x) * grid.channels + at.channel * width;
    store_pack(args.dx + at.image * args.dx_stride + offset, sum);
  });
}

void avg_pool2d_grad(const AvgPool2dGradArgs& args) {
  start_grid(args, args.shape.h, args.shape.w, []<class Width, class Grid>(Width, const Grid& grid) {
    launch<Grid, avg_pool2d_grad_body<Width::kValue>>(blocks_for(grid.items.count), grid);
  });
}

}  // namespace

void fill_pool2d(KernelTable& table) {
  table.max_pool2d = kernel_of<MaxPool2dArgs, max_pool2d>();
  table.max_pool2d_grad = kernel_of<MaxPool2dGradArgs, max_pool2d_grad>();
  table.avg_pool2d = kernel_of<AvgPool2dArgs, avg_pool2d>();
  table.avg_pool2d_grad = kernel_of<AvgPool2dGradArgs, avg_pool2d_grad>();
}

}  // namespace weft::cuda
