// The steps of a program as CUDA graphs. Whatever differs between two steps lies in the device's memory (the step
// state), so one graph serves all steps; a second one holds many steps, which saves launches.
#pragma once

#include <cuda_runtime.h>

#include "core/device.h"

namespace weft::cuda {

class StepGraph {
 public:
  StepGraph(const Program& program, cudaStream_t stream, MatmulPrecision precision);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  MatmulPrecision precision() const { return precision_; }

  // Starts one step, or kStepsPerLaunch if at least as many are left; returns how many.
  int64_t launch(int64_t steps_left, cudaStream_t stream);

 private:
  static constexpr int64_t kStepsPerLaunch = 32;

  cudaGraphExec_t capture(int64_t steps, cudaStream_t stream) const;

  const Program& program_;  // which owns this
  const MatmulPrecision precision_;
  cudaGraphExec_t one_step_ = nullptr, many_steps_ = nullptr;
};

// Starts all kernels of one step on the stream, and what makes the next one different.
void start_step(const Program& program);

}  // namespace weft::cuda
