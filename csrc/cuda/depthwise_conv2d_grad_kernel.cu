// The gradient of a depthwise convolution's kernel. A block sums over one group of outputs, for a tile of channels and
// a few taps: threads side by side take neighbouring channels, the others every so many-th output. Then the groups are
// added up. All in a fixed order, which depends on nothing but the shape.
#include "cuda/images.h"
#include "cuda/table.h"
#include "ops/depthwise_conv2d.h"

namespace weft::cuda {
namespace {

struct GradKernelGrid {
  DepthwiseConv2dGradKernelArgs args;
  int tile_channels;               // a power of two up to 32
  Divisor outputs, width, spread;  // of an image; of a row; of a channel of x
};

__device__ __forceinline__ int64_t offset_in_kernel(const DepthwiseConv2dGradKernelArgs& args, int tap, int channel) {
  const int kw = static_cast<int>(args.shape.kw);
  return tap / kw * args.w_stride_y + tap % kw * args.w_stride_x + channel;
}

template <int taps>
struct PartialSums {
  float at[kThreads / kWarp][taps][kWarp];  // of each warp
};

// Block (tile of channels, group, run of `taps` taps).
template <int taps>
__device__ void partial_sums_body(const GradKernelGrid& grid) {
  const DepthwiseConv2dGradKernelArgs& args = grid.args;
  const ConvShape& s = args.shape;
  const int h = static_cast<int>(s.h), w = static_cast<int>(s.w), c = static_cast<int>(s.c), f = static_cast<int>(s.f);
  const int kw = static_cast<int>(s.kw), all_taps = static_cast<int>(s.kh) * kw;
  const int stride_y = static_cast<int>(s.stride_y), stride_x = static_cast<int>(s.stride_x);
  const int thread = static_cast<int>(threadIdx.x), first_tap = static_cast<int>(blockIdx.z) * taps;
  const int in_tile = thread % grid.tile_channels, slots = kThreads / grid.tile_channels;
  const int tile = static_cast<int>(blockIdx.x) * grid.tile_channels, channel = tile + in_tile;

  int tap_y[taps], tap_x[taps], tap_offset[taps];  // from the input pixel of tap 0
#pragma unroll
  for (int t = 0; t < taps; t++) {
    const int tap = first_tap + t < all_taps ? first_tap + t : 0;  // what is too much is never stored
    tap_y[t] = tap / kw * static_cast<int>(s.dilation_y);
    tap_x[t] = tap % kw * static_cast<int>(s.dilation_x);
    tap_offset[t] = (tap_y[t] * w + tap_x[t]) * c;
  }
  // Where the whole kernel lies in the image.
  const int whole_h = h - static_cast<int>((s.kh - 1) * s.dilation_y);
  const int whole_w = w - static_cast<int>((s.kw - 1) * s.dilation_x);

  float sum[taps] = {};
  if (channel < f) {
    const int64_t all = s.n * s.oh * s.ow;
    const int64_t begin = all * blockIdx.y / args.groups, end = all * (blockIdx.y + 1) / args.groups;
    const int64_t first_image = begin / grid.outputs.divisor;
    const uint32_t before = static_cast<uint32_t>(begin - first_image * grid.outputs.divisor);
    const uint32_t last = before + static_cast<uint32_t>(end - begin);
    const float* from_x = args.x + first_image * args.x_stride + grid.spread.quotient(channel);
    const float* from_dy = args.dy + first_image * args.dy_stride + channel;
    for (uint32_t i = before + thread / grid.tile_channels; i < last; i += slots) {
      const uint32_t image = grid.outputs.quotient(i), output = i - image * grid.outputs.divisor;
      const uint32_t oy = grid.width.quotient(output), ox = output - oy * grid.width.divisor;
      const int y = static_cast<int>(oy) * stride_y - static_cast<int>(s.top);
      const int x = static_cast<int>(ox) * stride_x - static_cast<int>(s.left);
      const float* pixel = from_x + image * args.x_stride + (y * w + x) * c;
      const float d = from_dy[image * args.dy_stride + output * f];
      if (y >= 0 && y < whole_h && x >= 0 && x < whole_w) {
#pragma unroll
        for (int t = 0; t < taps; t++) sum[t] = fmaf(pixel[tap_offset[t]], d, sum[t]);
        continue;
      }
#pragma unroll
      for (int t = 0; t < taps; t++) {
        const int row = y + tap_y[t], column = x + tap_x[t];
        if (row >= 0 && row < h && column >= 0 && column < w) sum[t] = fmaf(pixel[tap_offset[t]], d, sum[t]);
      }
    }
  }

  auto& partial = shared<PartialSums<taps>>();
#pragma unroll
  for (int t = 0; t < taps; t++) {
    for (int lanes = grid.tile_channels; lanes < kWarp; lanes *= 2) sum[t] += __shfl_xor_sync(~0u, sum[t], lanes);
    partial.at[thread / kWarp][t][thread % kWarp] = sum[t];
  }
  __syncthreads();
  for (int i = thread; i < taps * grid.tile_channels; i += kThreads) {
    const int t = i / grid.tile_channels, j = i % grid.tile_channels, tap = first_tap + t;
    if (tap >= all_taps || tile + j >= f) continue;
    float total = partial.at[0][t][j];
    for (int warp = 1; warp < kThreads / kWarp; warp++) total += partial.at[warp][t][j];
    if (args.groups > 1)
      args.partials[blockIdx.y * args.partials_stride + tap * f + tile + j] = total;
    else
      args.grad[offset_in_kernel(args, tap, tile + j)] = total;
  }
}

constexpr int kGroupSlots = 32;
struct GroupSums {
  float at[kGroupSlots][kWarp];
};

// A warp's lanes take neighbouring elements, its block's warps every kGroupSlots-th group.
__device__ void add_groups_body(const DepthwiseConv2dGradKernelArgs& args) {
  const int lane = threadIdx.x % kWarp, slot = threadIdx.x / kWarp;
  const int f = static_cast<int>(args.shape.f), elements = static_cast<int>(args.shape.kh * args.shape.kw) * f;
  const int element = static_cast<int>(blockIdx.x) * kWarp + lane;
  float sum = 0.0f;
  if (element < elements) {
    for (int64_t g = slot; g < args.groups; g += kGroupSlots) sum += args.partials[g * args.partials_stride + element];
  }
  auto& partial = shared<GroupSums>();
  partial.at[slot][lane] = sum;
  __syncthreads();
  if (slot > 0 || element >= elements) return;
  for (int i = 1; i < kGroupSlots; i++) sum += partial.at[i][lane];
  args.grad[offset_in_kernel(args, element / f, element % f)] = sum;
}

template <int taps>
void start_partial_sums(const GradKernelGrid& grid) {
  const ConvShape& s = grid.args.shape;
  const dim3 blocks(static_cast<unsigned>(ceil_divide(s.f, grid.tile_channels)),
                    static_cast<unsigned>(grid.args.groups), static_cast<unsigned>(ceil_divide(s.kh * s.kw, taps)));
  launch<GradKernelGrid, partial_sums_body<taps>>(blocks, grid, sizeof(PartialSums<taps>));
}

void depthwise_conv2d_grad_kernel(const DepthwiseConv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  check_image_size(std::max(s.h * s.w * s.c, s.oh * s.ow * s.f));
  int tile_channels = 1;
  while (tile_channels < s.f && tile_channels < kWarp) tile_channels *= 2;
  const GradKernelGrid grid = {args, tile_channels, divisor_of(s.oh * s.ow), divisor_of(s.ow), divisor_of(s.f / s.c)};
  const int64_t taps = s.kh * s.kw;
  taps <= 3 ? start_partial_sums<3>(grid) : start_partial_sums<9>(grid);
  if (args.groups == 1) return;
  const dim3 blocks(static_cast<unsigned>(ceil_divide(taps * s.f, kWarp)));
  launch<DepthwiseConv2dGradKernelArgs, add_groups_body, kGroupSlots * kWarp>(blocks, args, sizeof(GroupSums));
}

}  // namespace

void fill_depthwise_conv2d_grad_kernel(KernelTable& table) {
  table.depthwise_conv2d_grad_kernel = kernel_of<DepthwiseConv2dGradKernelArgs, depthwise_conv2d_grad_kernel>();
}

}  // namespace weft::cuda
