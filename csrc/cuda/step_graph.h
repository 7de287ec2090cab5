// The steps of a program as CUDA graphs. Whatever differs between two steps lies in the device's memory (the step
// state), so one graph serves all steps; a second one holds many steps, which saves launches.
#pragma once

#include <cuda_runtime.h>

#include "core/device.h"
#include "cuda/launch.h"

namespace weft::cuda {

// How the grids of a step follow each other. The results are the same.
struct StepOrder {
  bool branches = true;   // the kernels of a phase side by side, else one after the other
  bool overlaps = false;  // a grid is set up while the one before runs, where the GPU and the build can do that

  // The environment variable WEFT_CUDA_STEPS: "serial", "branches" (the default), "overlaps" or "branches+overlaps".
  static StepOrder chosen();
};

// The streams beside a captured one, for what runs side by side.
class SideStreams {
 public:
  SideStreams();
  ~SideStreams();
  SideStreams(const SideStreams&) = delete;
  SideStreams& operator=(const SideStreams&) = delete;

  // `count` streams, `main` being the first, go on from where `main` is; until they are joined there again.
  void fork(cudaStream_t main, int count);
  void join(cudaStream_t main, int count);
  cudaStream_t stream(cudaStream_t main, int branch) const { return branch == 0 ? main : streams_[branch]; }

 private:
  cudaStream_t streams_[kBranches] = {};  // the first is not used
  cudaEvent_t reached_[kBranches] = {};   // the end of a branch; of the first, the fork
};

class StepGraph {
 public:
  StepGraph(const Program& program, MatmulPrecision precision);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  MatmulPrecision precision() const { return precision_; }

  // Starts one step, or kStepsPerLaunch if at least as many are left; returns how many. Only where there is room.
  int64_t launch(int64_t steps_left, cudaStream_t stream);
  // Whether fewer than kInFlight launches are on their way, or none.
  bool has_room() { return in_flight() < kInFlight; }
  bool is_idle() { return in_flight() == 0; }
  // Whether a launch that has ended left a step that was given up.
  bool was_given_up() const { return *given_up_ != 0; }

 private:
  static constexpr int64_t kStepsPerLaunch = 32;
  static constexpr int kInFlight = 4;

  int in_flight();
  cudaGraphExec_t capture(int64_t steps, cudaStream_t stream) const;

  const Program& program_;  // which owns this
  const MatmulPrecision precision_;
  const StepOrder order_ = StepOrder::chosen();
  cudaGraphExec_t one_step_ = nullptr, many_steps_ = nullptr;  // captured when first launched
  cudaEvent_t ended_[kInFlight] = {};                          // of the launches, in turn
  int64_t launched_ = 0, seen_ended_ = 0;
  volatile uint32_t* given_up_ = nullptr;  // pinned: the GPU copies abort_step there after every launch
};

}  // namespace weft::cuda
