// Kernels with one mistake each, and one without: what the emulator must find. The mistake is the first argument.
#include <cstdio>
#include <cstring>
#include <string>

#include "core/step_state.h"
#include "cuda/launch.h"

namespace {

using namespace weft::cuda;

constexpr int kCount = 64;

enum class Bug {
  kNone,
  kReadBeyond,
  kReadBeyondShared,
  kNoBarrier,
  kDivergentBarrier,
  kExitedLane,
  kOverlap,
  kNotJoined
};

struct Args {
  const float* x;  // (kCount)
  float* y;        // (kCount): y[i] = x[i] + x[kCount - 1 - i]
  Bug bug;
};

struct Shared {
  float x[kCount];
};

__device__ void mirror_body(const Args& args) {
  Shared& s = shared<Shared>();
  const int i = static_cast<int>(threadIdx.x);
  if (args.bug == Bug::kExitedLane && i == 40) return;
  s.x[i] = args.x[args.bug == Bug::kReadBeyond ? i + 1 : i];
  if (args.bug == Bug::kDivergentBarrier && i == 7) return;
  if (args.bug != Bug::kNoBarrier && args.bug != Bug::kExitedLane) __syncthreads();
  if (args.bug == Bug::kExitedLane) s.x[i] = __shfl_xor_sync(~0u, s.x[i], 1);
  const float* mirrored = &s.x[kCount - 1 - i];
  args.y[i] = args.x[i] + (args.bug == Bug::kReadBeyondShared ? mirrored[kCount] : *mirrored);
}

__global__ void mirror_without_waiting(const Args args) { mirror_body(args); }

void start(const Args& args) {
  if (args.bug == Bug::kOverlap) {
    cudaLaunchAttribute overlap = {};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(1), config.blockDim = dim3(kCount), config.dynamicSmemBytes = sizeof(Shared);
    config.attrs = &overlap, config.numAttrs = 1;
    WEFT_CUDA(cudaLaunchKernelEx(&config, mirror_without_waiting, args));
    return;
  }
  if (args.bug != Bug::kNotJoined) return launch<Args, mirror_body, kCount>(dim3(1), args, sizeof(Shared));
  cudaStream_t streams[2] = {};
  for (cudaStream_t& stream : streams) WEFT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  cudaEvent_t fork = nullptr;
  WEFT_CUDA(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  WEFT_CUDA(cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeThreadLocal));
  WEFT_CUDA(cudaEventRecord(fork, streams[0]));
  WEFT_CUDA(cudaStreamWaitEvent(streams[1], fork, 0));
  launch_context().stream = streams[1];
  launch<Args, mirror_body, kCount>(dim3(1), args, sizeof(Shared));
  cudaGraph_t graph = nullptr;
  WEFT_CUDA(cudaStreamEndCapture(streams[0], &graph));
}

}  // namespace

int main(int argc, char** argv) {
  const char* const names[] = {"none",        "read_beyond", "read_beyond_shared", "no_barrier", "divergent_barrier",
                               "exited_lane", "overlap",     "not_joined"};
  int bug = -1;
  for (int i = 0; i < 8; i++) bug = argc > 1 && std::strcmp(argv[1], names[i]) == 0 ? i : bug;
  if (bug < 0) return 2;
  void *x = nullptr, *y = nullptr;
  cudaMalloc(&x, kCount * sizeof(float));
  cudaMalloc(&y, kCount * sizeof(float));
  for (int i = 0; i < kCount; i++) static_cast<float*>(x)[i] = static_cast<float>(i * i);
  try {
    start({static_cast<float*>(x), static_cast<float*>(y), static_cast<Bug>(bug)});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  for (int i = 0; i < kCount; i++) {
    const int j = kCount - 1 - i;
    if (static_cast<float*>(y)[i] != static_cast<float>(i * i + j * j)) {
      std::fprintf(stderr, "wrong result\n");
      return 1;
    }
  }
  cudaFree(x);
  cudaFree(y);
  return 0;
}
