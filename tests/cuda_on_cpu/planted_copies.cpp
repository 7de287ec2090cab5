// Copies that are not waited for, and some that are: what the emulated streams must find. The mistake is the first
// argument. The numbers go from pinned memory to the device, through a grid, and back to pinned memory.
#include <cstdio>
#include <string>

#include "cuda/errors.h"

namespace {

constexpr int kCount = 64;

__global__ void square(float* x) { x[threadIdx.x] *= x[threadIdx.x]; }  // x: (kCount)

bool is_right(const std::string& bug) {
  float *pinned = nullptr, *device = nullptr;  // (kCount) each
  WEFT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&pinned), kCount * sizeof(float)));
  WEFT_CUDA(cudaMalloc(reinterpret_cast<void**>(&device), kCount * sizeof(float)));
  cudaStream_t copies = nullptr, grids = nullptr;
  for (cudaStream_t* stream : {&copies, &grids}) WEFT_CUDA(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking));
  cudaEvent_t early = nullptr, late = nullptr;
  for (cudaEvent_t* event : {&early, &late}) WEFT_CUDA(cudaEventCreateWithFlags(event, cudaEventDisableTiming));

  for (int i = 0; i < kCount; i++) pinned[i] = static_cast<float>(i);
  WEFT_CUDA(cudaEventRecord(early, copies));
  WEFT_CUDA(cudaMemcpyAsync(device, pinned, kCount * sizeof(float), cudaMemcpyHostToDevice, copies));
  WEFT_CUDA(cudaEventRecord(late, copies));
  // "source_reused" does not wait at all.
  if (bug == "early_event") WEFT_CUDA(cudaEventSynchronize(early));
  if (bug == "none" || bug == "read_too_soon") WEFT_CUDA(cudaEventSynchronize(late));
  if (bug != "grid_too_soon") {
    for (int i = 0; i < kCount; i++) pinned[i] = -1;
    WEFT_CUDA(cudaStreamSynchronize(copies));
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(1), config.blockDim = dim3(kCount), config.stream = grids;
  WEFT_CUDA(cudaLaunchKernelEx(&config, square, device));
  WEFT_CUDA(cudaStreamSynchronize(grids));
  WEFT_CUDA(cudaMemcpyAsync(pinned, device, kCount * sizeof(float), cudaMemcpyDeviceToHost, copies));
  if (bug != "read_too_soon") WEFT_CUDA(cudaStreamSynchronize(copies));
  for (int i = 0; i < kCount; i++) {
    if (pinned[i] != static_cast<float>(i * i)) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && is_right(argv[1])) return 0;
  std::fprintf(stderr, "wrong result\n");
  return 1;
}
