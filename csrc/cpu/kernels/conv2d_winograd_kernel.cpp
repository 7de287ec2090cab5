// conv2d_winograd_kernel: G g G^T of every 3x3 kernel, in panels with sixteen planes for the nine taps. For
// conv2d_grad_input the kernel is turned and its inputs become filters: blocks of 16x16 are transposed on the way.
// A unit of work is one panel of filters (of inputs, when flipped).

#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/transpose.h"
#include "cpu/kernels/winograd.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int kTaps = 9;
// An element of a kernel costs about what 32 multiply-adds do.
constexpr int64_t kElementWork = 32;

WEFT_INLINE int64_t panel_count(const Conv2dWinogradKernelArgs& args) {
  return ceil_divide(args.flipped ? args.c : args.f, kPanel);
}

// w: one panel (9, c, 16); u: (16, c, 16).
void transform_panel(const float* w, int64_t c, float* u) {
  for (int64_t i = 0; i < c * kPanel; i += kWidth) transform_kernel<false>(w + i, c * kPanel, u + i, c * kPanel);
}

// The panel of inputs [channel, channel + 16) of the flipped kernel: u (16, f, 16).
void transform_flipped_panel(const Conv2dWinogradKernelArgs& args, int64_t channel, float* u) {
  const int64_t c = args.c, filters = args.f, count = smaller(kPanel, c - channel);
  const auto as_it_is = [](int64_t, int64_t, Vec v) __attribute__((always_inline)) { return v; };
  alignas(64) float edge[kPanel * kPanel] = {};           // the last inputs, with rows of 0 below
  alignas(64) float transposed[kTaps * kPanel * kPanel];  // (9, filters, inputs)
  for (int64_t f = 0; f < filters; f += kPanel) {
    const int64_t rows = smaller(kPanel, filters - f);
    for (int64_t tap = 0; tap < kTaps; tap++) {
      const float* x = args.w + (f * kTaps + tap * kPanel) * c + channel * kPanel;  // (count, 16)
      if (count < kPanel) {
        for (int64_t i = 0; i < count * kPanel; i += kWidth) store(edge + i, load(x + i));
        x = edge;
      }
      transpose_block(x, kPanel, transposed + tap * kPanel * kPanel, kPanel, rows, as_it_is);
    }
    for (int64_t i = 0; i < rows * kPanel; i += kWidth)
      transform_kernel<true>(transposed + i, kPanel * kPanel, u + f * kPanel + i, filters * kPanel);
  }
}

int winograd_kernel_tiles(const Conv2dWinogradKernelArgs& args, int threads) {
  return suitable_tiles(kTaps * args.c * args.f * kElementWork, panel_count(args), threads);
}

void winograd_kernel_run(const Conv2dWinogradKernelArgs& args, int tile, int n_tiles) {
  const int64_t c = args.c, f = args.f;
  const Range panels = split(panel_count(args), 1, tile, n_tiles);
  for (int64_t p = panels.begin; p < panels.end; p++) {
    if (args.flipped)
      transform_flipped_panel(args, p * kPanel, args.transformed + p * kWinogradPlanes * f * kPanel);
    else
      transform_panel(args.w + p * kTaps * c * kPanel, c, args.transformed + p * kWinogradPlanes * c * kPanel);
  }
}

}  // namespace

void fill_conv2d_winograd_kernel(KernelTable& table) {
  table.winograd = true;
  table.conv2d_winograd_kernel = {winograd_kernel_tiles, winograd_kernel_run};
}

}  // namespace weft::WEFT_ISA
