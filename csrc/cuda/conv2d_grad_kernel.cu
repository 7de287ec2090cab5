// The gradient of a convolution's kernel: patches of x, transposed, times the gradient of the output, over all output
// pixels of the batch; or for runs of images apart. See gemm.h.
#include "cuda/conv_operands.h"
#include "cuda/kernel_update.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

// Lines are output pixels.
struct GradLines {
  static constexpr bool kAlongReduced = false, kCopied = false;
  OutputGrad dy;
  WindowedPixels order;

  __device__ __forceinline__ float4 load4(int pixel, int first) const { return dy.at(order.at(pixel), first); }
};

void multiply(const Conv2dGradKernelArgs& args, int64_t splits, const KernelGradEpilogue& epilogue) {
  const ConvShape& s = args.shape;
  const int64_t image_pixels = s.oh * s.ow, pixels = s.n * image_pixels;
  const Patches<false> x = patches<false>(s, args.x, args.x_stride, {1, 1});
  const GradLines dy = {output_grad(s, args.pool, args.dy, args.dy_stride, args.argmax, args.argmax_stride),
                        single_pixels(s.oh, s.ow)};
  launch_gemm(GemmArgs<Patches<false>, GradLines, KernelGradEpilogue>{s.kh * s.kw * s.c, s.f, pixels, image_pixels,
                                                                      splits, x, dy, epilogue});
}

void conv2d_grad_kernel(const Conv2dGradKernelArgs& args) {
  const ConvShape& s = args.shape;
  multiply(args, 1, KernelGradEpilogue{args.grad, args.w, s.kh * s.kw * s.c, args.update});
}

void conv2d_grad_kernel_partials(const Conv2dGradKernelPartialsArgs& args) {
  const ConvShape& s = args.gradient.shape;
  multiply(args.gradient, args.groups,
           KernelGradEpilogue{args.partials, nullptr, s.kh * s.kw * s.c, {}, args.partials_stride});
}

}  // namespace

void fill_conv2d_grad_kernel(KernelTable& table) {
  table.conv2d_grad_kernel = kernel_of<Conv2dGradKernelArgs, conv2d_grad_kernel>();
  table.conv2d_grad_kernel_partials = kernel_of<Conv2dGradKernelPartialsArgs, conv2d_grad_kernel_partials>();
}

}  // namespace weft::cuda
