#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cuda/step_graph.h"

namespace weft::cuda {

namespace {

struct AdvanceArgs {
  StepState* state;
  int64_t batch;
  bool updates;
};

__device__ void advance_state(const AdvanceArgs& args) { advance(*args.state, args.batch, args.updates); }

// Whether grids of this build can overlap on the GPU in use: kernels compiled for older GPUs would not wait.
bool can_overlap() {
  cudaFuncAttributes attributes = {};
  WEFT_CUDA(cudaFuncGetAttributes(&attributes, entry<AdvanceArgs, advance_state, 1>));
  return attributes.ptxVersion >= 90;
}

// Starts all kernels of one step on the stream, and what makes the next one different.
void start_step(const Program& program, StepOrder order, SideStreams& side) {
  LaunchContext& context = launch_context();
  const cudaStream_t main = context.stream;
  for (const Phase& phase : program.phases) {
    const int count = static_cast<int>(phase.steps.size()), branches = order.branches ? std::min(count, kBranches) : 1;
    if (branches > 1) side.fork(main, branches);
    for (int i = 0; i < count; i++) {
      const Step& step = phase.steps[i];
      context.branch = i % branches;
      context.stream = side.stream(main, context.branch);
      if (branches > 1) context.follows_grid = false;  // it may be what its branch begins with, after an event
      context.guard = step.changes_state ? program.state : nullptr;
      for (int call = 0; call < step.n_tiles; call++) step.run(step.call.get(), call, step.n_tiles);
    }
    context.branch = 0, context.stream = main;
    if (branches > 1) {
      side.join(main, branches);
      context.follows_grid = false;
    }
  }
  context.guard = program.state;
  launch<AdvanceArgs, advance_state, 1>(dim3(1), {program.state, program.batch, program.updates});
  context.guard = nullptr;
}

}  // namespace

StepOrder StepOrder::chosen() {
  const char* wish = std::getenv("WEFT_CUDA_STEPS");
  const std::string name = wish ? wish : "branches";
  if (name == "serial") return {false, false};
  if (name == "branches") return {true, false};
  if (name == "overlaps") return {false, can_overlap()};
  if (name == "branches+overlaps") return {true, can_overlap()};
  throw std::runtime_error("WEFT_CUDA_STEPS must be serial, branches, overlaps or branches+overlaps, got '" + name +
                           "'");
}

SideStreams::SideStreams() {
  for (int i = 0; i < kBranches; i++) {
    if (i > 0) WEFT_CUDA(cudaStreamCreateWithFlags(&streams_[i], cudaStreamNonBlocking));
    WEFT_CUDA(cudaEventCreateWithFlags(&reached_[i], cudaEventDisableTiming));
  }
}

SideStreams::~SideStreams() {
  for (cudaStream_t stream : streams_) {
    if (stream) cudaStreamDestroy(stream);
  }
  for (cudaEvent_t event : reached_) {
    if (event) cudaEventDestroy(event);
  }
}

void SideStreams::fork(cudaStream_t main, int count) {
  WEFT_CUDA(cudaEventRecord(reached_[0], main));
  for (int i = 1; i < count; i++) WEFT_CUDA(cudaStreamWaitEvent(streams_[i], reached_[0], 0));
}

void SideStreams::join(cudaStream_t main, int count) {
  for (int i = 1; i < count; i++) {
    WEFT_CUDA(cudaEventRecord(reached_[i], streams_[i]));
    WEFT_CUDA(cudaStreamWaitEvent(main, reached_[i], 0));
  }
}

StepGraph::StepGraph(const Program& program, MatmulPrecision precision) : program_(program), precision_(precision) {
  void* pinned = nullptr;
  WEFT_CUDA(cudaMallocHost(&pinned, sizeof(uint32_t)));
  given_up_ = static_cast<uint32_t*>(pinned);
  *given_up_ = 0;
  for (cudaEvent_t& event : ended_) WEFT_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
}

StepGraph::~StepGraph() {
  if (one_step_) cudaGraphExecDestroy(one_step_);
  if (many_steps_) cudaGraphExecDestroy(many_steps_);
  for (cudaEvent_t event : ended_) {
    if (event) cudaEventDestroy(event);
  }
  cudaFreeHost(const_cast<uint32_t*>(given_up_));
}

int StepGraph::in_flight() {
  while (seen_ended_ < launched_) {
    const cudaError_t ended = cudaEventQuery(ended_[seen_ended_ % kInFlight]);
    if (ended == cudaErrorNotReady) break;
    WEFT_CUDA(ended);
    seen_ended_++;
  }
  return static_cast<int>(launched_ - seen_ended_);
}

cudaGraphExec_t StepGraph::capture(int64_t steps, cudaStream_t stream) const {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  SideStreams side;
  LaunchContext& context = launch_context();
  context.precision = precision_;  // it may have been set anew since the run began
  context.overlaps = order_.overlaps, context.follows_grid = false;
  WEFT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  try {
    for (int64_t i = 0; i < steps; i++) start_step(program_, order_, side);
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  WEFT_CUDA(cudaStreamEndCapture(stream, &graph));
  context.overlaps = false;
  const cudaError_t error = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  WEFT_CUDA(error);
  return exec;
}

int64_t StepGraph::launch(int64_t steps_left, cudaStream_t stream) {
  const int64_t steps = steps_left >= kStepsPerLaunch ? kStepsPerLaunch : 1;
  cudaGraphExec_t& graph = steps > 1 ? many_steps_ : one_step_;
  if (!graph) graph = capture(steps, stream);
  if (is_idle()) *given_up_ = 0;
  WEFT_CUDA(cudaGraphLaunch(graph, stream));
  WEFT_CUDA(cudaMemcpyAsync(const_cast<uint32_t*>(given_up_), &program_.state->abort_step, sizeof(uint32_t),
                            cudaMemcpyDeviceToHost, stream));
  WEFT_CUDA(cudaEventRecord(ended_[launched_++ % kInFlight], stream));
  return steps;
}

}  // namespace weft::cuda
