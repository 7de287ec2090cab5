#include "cuda/launch.h"
#include "cuda/step_graph.h"

namespace weft::cuda {

namespace {

struct AdvanceArgs {
  StepState* state;
  int64_t batch;
  bool updates;
};

__device__ void advance_state(const AdvanceArgs& args) { advance(*args.state, args.batch, args.updates); }

// Starts all kernels of one step on the stream, and what makes the next one different.
void start_step(const Program& program) {
  LaunchContext& context = launch_context();
  for (const Phase& phase : program.phases) {
    for (const Step& step : phase.steps) {
      context.guard = step.changes_state ? program.state : nullptr;
      for (int call = 0; call < step.n_tiles; call++) step.run(step.call.get(), call, step.n_tiles);
    }
  }
  context.guard = program.state;
  launch<AdvanceArgs, advance_state, 1>(dim3(1), {program.state, program.batch, program.updates});
  context.guard = nullptr;
}

}  // namespace

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
  launch_context().precision = precision_;  // it may have been set anew since the run began
  WEFT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  try {
    for (int64_t i = 0; i < steps; i++) start_step(program_);
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  WEFT_CUDA(cudaStreamEndCapture(stream, &graph));
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
