// The host's side of the CUDA runtime: memory is the host's, grids run at once, copies late (copies.h), graphs are
// lists of calls. Tests can set the environment variables CUDA_ON_CPU_CAPABILITY, such as 7.5, CUDA_ON_CPU_MEMORY, the
// bytes that the device has, CUDA_ON_CPU_PINNED, those that can be pinned, and CUDA_ON_CPU_LOST, which makes all that
// has to do with the device's work fail from then on.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "copies.h"
#include "cuda_runtime.h"

struct EmulatedGraph {
  struct Node {
    std::function<void()> call;
    std::vector<size_t> before;  // the nodes that must have run
  };
  std::vector<Node> nodes;
  std::set<EmulatedStream*> streams;  // that are captured
};
struct EmulatedStream {
  EmulatedGraph* capture = nullptr;
  std::vector<size_t> last;  // the captured nodes that its next one follows
};
struct EmulatedEvent {
  EmulatedGraph* capture = nullptr;
  std::vector<size_t> last;
  EmulatedStream* stream = nullptr;  // what it was recorded on
  uint64_t copies = 0;               // that had been started by then
};

namespace {

void run_or_keep(cudaStream_t stream, std::function<void()> call) {
  if (!stream || !stream->capture) {
    emulator::land(stream);
    return call();
  }
  std::vector<EmulatedGraph::Node>& nodes = stream->capture->nodes;
  nodes.push_back({std::move(call), stream->last});
  stream->last = {nodes.size() - 1};
}

// Runs the nodes in an order that their dependencies allow: of those that can run, the first, the last, or any.
void run_graph(const EmulatedGraph& graph) {
  const std::string order = emulator::order_name();
  std::vector<size_t> missing(graph.nodes.size());
  std::vector<std::vector<size_t>> after(graph.nodes.size());
  std::vector<size_t> ready;
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    missing[i] = graph.nodes[i].before.size();
    for (size_t j : graph.nodes[i].before) after[j].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  uint32_t random = 12345;
  while (!ready.empty()) {
    random = random * 1664525u + 1013904223u;
    const size_t k = order == "forward" ? 0 : order == "reverse" ? ready.size() - 1 : (random >> 8) % ready.size();
    const size_t node = ready[k];
    ready.erase(ready.begin() + static_cast<int64_t>(k));
    graph.nodes[node].call();
    for (size_t i : after[node]) {
      if (--missing[i] == 0) ready.push_back(i);
    }
  }
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

size_t shared_limit() { return (emulator::capability() < 80 ? 64 : 99) << 10; }

cudaError_t state_of_device() { return std::getenv("CUDA_ON_CPU_LOST") ? cudaErrorLaunchFailure : cudaSuccess; }

}  // namespace

int emulator::capability() {
  static const char* const given = std::getenv("CUDA_ON_CPU_CAPABILITY");
  static const int parsed = given ? static_cast<int>(std::lround(10 * std::atof(given))) : 90;
  return parsed;
}

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
  return error == cudaSuccess                      ? "cudaSuccess"
         : error == cudaErrorLaunchFailure         ? "cudaErrorLaunchFailure"
         : error == cudaErrorStreamCaptureUnjoined ? "cudaErrorStreamCaptureUnjoined"
                                                   : "cudaError";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                      ? "no error"
         : error == cudaErrorLaunchFailure         ? "unspecified launch failure"
         : error == cudaErrorStreamCaptureUnjoined ? "capture was not joined to original stream"
                                                   : "an error";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::strcpy(p->name, "CUDA on the CPU");
  p->totalGlobalMem = size_t{1} << 32;
  p->major = emulator::capability() / 10;
  p->minor = emulator::capability() % 10;
  p->multiProcessorCount = 4;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 4 : static_cast<int>(shared_limit());
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
  emulator::land_all();
  {
    std::lock_guard lock(allocated_mutex);
    allocated.erase(memory);
  }
  return std::free(memory), cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  *memory = emulator::allocate_pinned(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* memory) {
  emulator::land_all();
  return emulator::free_pinned(memory), cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* all) { return *available = *all = free_memory(), cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new EmulatedEvent, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->capture = stream->capture;
  event->last = stream->last;
  event->stream = stream;
  event->copies = emulator::started();
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  emulator::land(event->stream, event->copies);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  emulator::land(event->stream, event->copies);
  return state_of_device();
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  if (!stream || !stream->capture) return emulator::start_fill(stream, memory, value, bytes), cudaSuccess;
  run_or_keep(stream, [=] {
    if (bytes > 0) std::memset(memory, value, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (state_of_device() != cudaSuccess) return state_of_device();
  if (!stream || !stream->capture) return emulator::start_copy(stream, to, from, bytes, kind), cudaSuccess;
  run_or_keep(stream, [=] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = new EmulatedStream, cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (!event->capture) return emulator::land(event->stream, event->copies), cudaSuccess;
  // A stream joins the capture of what it waits for.
  if (stream->capture != event->capture) stream->last.clear();
  stream->capture = event->capture;
  stream->capture->streams.insert(stream);
  stream->last.insert(stream->last.end(), event->last.begin(), event->last.end());
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  emulator::land(stream);
  return delete stream, cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  emulator::land(stream);
  return state_of_device();
}
cudaError_t cudaStreamQuery(cudaStream_t stream) { return emulator::land(stream), cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capture = new EmulatedGraph;
  stream->capture->streams = {stream};
  stream->last.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture;
  // What other streams were given must be joined: the first stream's next node would follow it.
  std::vector<bool> followed((*graph)->nodes.size(), false);
  std::vector<size_t> open = stream->last;
  while (!open.empty()) {
    const size_t node = open.back();
    open.pop_back();
    if (followed[node]) continue;
    followed[node] = true;
    open.insert(open.end(), (*graph)->nodes[node].before.begin(), (*graph)->nodes[node].before.end());
  }
  for (EmulatedStream* captured : (*graph)->streams) captured->capture = nullptr;
  const bool joined = std::find(followed.begin(), followed.end(), false) == followed.end();
  return joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return *exec = new EmulatedGraph(*graph), cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (state_of_device() != cudaSuccess) return state_of_device();
  emulator::land(stream);
  run_graph(*exec);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }

cudaError_t launch_emulated(const cudaLaunchConfig_t& config, std::function<void()> kernel) {
  if (config.gridDim.y > 65535 || config.gridDim.z > 65535 || config.dynamicSmemBytes > shared_limit()) {
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
    if (attribute.id == cudaLaunchAttributeProgrammaticStreamSerialization)
      grid.overlaps = attribute.val.programmaticStreamSerializationAllowed != 0;
    if (attribute.id == cudaLaunchAttributeCooperative) grid.cooperative = attribute.val.cooperative != 0;
  }
  run_or_keep(config.stream, [grid, kernel = std::move(kernel)] { emulator::run(grid, kernel); });
  return cudaSuccess;
}
