// The host's side of the CUDA runtime: memory is the host's, streams run at once, graphs are lists of calls.
// Tests can set the environment variables CUDA_ON_CPU_MEMORY, the bytes that the device has, and CUDA_ON_CPU_LOST,
// which makes all that has to do with the device's work fail from then on.
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "cuda_runtime.h"

struct EmulatedGraph {
  std::vector<std::function<void()>> calls;
};
struct EmulatedStream {
  EmulatedGraph* capture = nullptr;
};

namespace {

void run_or_keep(cudaStream_t stream, std::function<void()> call) {
  if (stream && stream->capture)
    stream->capture->calls.push_back(std::move(call));
  else
    call();
}

std::mutex allocated_mutex;  // memory is released without the device's lock
std::map<void*, size_t> allocated;

size_t free_memory() {
  std::lock_guard lock(allocated_mutex);
  const char* given = std::getenv("CUDA_ON_CPU_MEMORY");
  size_t used = 0, all = given ? std::strtoull(given, nullptr, 10) : size_t{1} << 40;
  for (const auto& [memory, bytes] : allocated) used += bytes;
  return all > used ? all - used : 0;
}

cudaError_t state_of_device() { return std::getenv("CUDA_ON_CPU_LOST") ? cudaErrorLaunchFailure : cudaSuccess; }

}  // namespace

int __syncthreads_or(int predicate) {
  static int any;  // one block runs at a time, or all of them meet here
  __syncthreads();
  any = 0;
  __syncthreads();
  if (predicate) any = 1;
  __syncthreads();
  return any;
}

const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaSuccess              ? "cudaSuccess"
         : error == cudaErrorLaunchFailure ? "cudaErrorLaunchFailure"
                                           : "cudaError";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess              ? "no error"
         : error == cudaErrorLaunchFailure ? "unspecified launch failure"
                                           : "an error";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::strcpy(p->name, "CUDA on the CPU");
  p->totalGlobalMem = size_t{1} << 32;
  p->major = 8;
  p->multiProcessorCount = 4;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 4 : 99 << 10;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (bytes > free_memory()) return cudaErrorMemoryAllocation;
  if (posix_memalign(memory, 256, bytes > 0 ? bytes : 1) != 0) return cudaErrorMemoryAllocation;
  {
    std::lock_guard lock(allocated_mutex);
    allocated[*memory] = bytes;
  }
  std::memset(*memory, 0xFF, bytes);  // NaN
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  {
    std::lock_guard lock(allocated_mutex);
    allocated.erase(memory);
  }
  return std::free(memory), cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) { return cudaMalloc(memory, bytes); }
cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }
cudaError_t cudaMemGetInfo(size_t* available, size_t* all) { return *available = *all = free_memory(), cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new int, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  run_or_keep(stream, [=] {
    if (bytes > 0) std::memset(memory, value, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  if (state_of_device() != cudaSuccess) return state_of_device();
  run_or_keep(stream, [=] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = new EmulatedStream, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return state_of_device(); }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  return stream->capture = new EmulatedGraph, cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture;
  stream->capture = nullptr;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return *exec = new EmulatedGraph(*graph), cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
  if (state_of_device() != cudaSuccess) return state_of_device();
  for (const auto& call : exec->calls) call();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }

cudaError_t launch_emulated(const cudaLaunchConfig_t& config, std::function<void()> kernel) {
  if (config.gridDim.y > 65535 || config.gridDim.z > 65535 || config.dynamicSmemBytes > 227u << 10) {
    return cudaErrorInvalidConfiguration;
  }
  emulator::Grid grid;
  grid.blocks = config.gridDim;
  grid.threads = config.blockDim;
  grid.shared_bytes = config.dynamicSmemBytes;
  for (unsigned i = 0; i < config.numAttrs; i++) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    const auto& cluster = attribute.val.clusterDim;
    if (attribute.id == cudaLaunchAttributeClusterDimension) grid.cluster = {cluster.x, cluster.y, cluster.z};
    if (attribute.id == cudaLaunchAttributeCooperative) grid.cooperative = attribute.val.cooperative != 0;
  }
  run_or_keep(config.stream, [grid, kernel = std::move(kernel)] { emulator::run(grid, kernel); });
  return cudaSuccess;
}
