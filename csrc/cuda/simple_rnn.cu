// simple_rnn and simple_rnn_grad: what a cell computes in a step, by the formulas in ops/simple_rnn.h. See
// recurrent_steps.h for the loop over the steps. As in lstm.cu, the arguments' buffers of a single step are not used.
#include "cuda/recurrent_steps.h"
#include "cuda/table.h"
#include "ops/simple_rnn.h"

namespace weft::cuda {
namespace {

struct SimpleRnn {
  using Args = SimpleRnnArgs;
  static constexpr int kGates = 1, kMoreUnits = 0;
  static constexpr bool kWholeSums = false;
  enum State { kStates };  // h * mask is the left side of the product
  const SimpleRnnArgs& op;
  const RecurrentMemory& memory;

  __device__ ForwardSteps steps() const { return {op.xp, op.h0, op.mask, op.y, op.h_prev, op.stride, op.stride}; }
  __device__ void begin(const RecurrentUnit&) const {}
  template <class Activations>
  __device__ void take_product(const Activations&, int split, int row, int column, float sum, float x) const {
    memory.out_at(split, row, column) = sum + x;
  }
  template <class Activations>
  __device__ float step(const Activations& act, const RecurrentUnit& u) const {
    const float sum = memory.product_at(u.row, u.j), h = act.cell(op.bias ? sum + op.bias[u.j] : sum);
    if (op.states) op.states[u.at * op.stride + u.j] = h;
    if (u.last) op.last[u.sequence * op.stride + u.j] = h;
    return h;
  }
};

struct SimpleRnnGrad {
  using Args = SimpleRnnGradArgs;
  static constexpr int kGates = 1;
  enum State { kStates };
  enum Saved { kValue, kSaved };  // h
  const SimpleRnnGradArgs& op;
  const RecurrentMemory& memory;

  __device__ BackwardSteps steps() const { return {op.dy, op.stride, op.wants_state}; }
  __device__ __forceinline__ const float* saved_at(int, const RecurrentUnit& u) const {
    return op.states + u.at * op.stride + u.j;
  }
  __device__ float dh_before(const RecurrentUnit& u) const {
    return masked(memory.product_at(u.row, u.j), op.mask, u.sequence * op.stride + u.j);
  }
  template <class Activations, class GetSaved>
  __device__ void step(const Activations& act, const RecurrentUnit& u, float dh, GetSaved saved) const {
    op.dxp[u.at * op.stride + u.j] = memory.left_at(u.row, u.j) = act.cell_grad(dh, saved(kValue));
  }
  __device__ void finish_states(const RecurrentUnit& u) const { op.dh[u.sequence * op.stride + u.j] = dh_before(u); }
  __device__ void finish_rows(int64_t first, int count) const {
    if (op.sums) sum_over_time(op.shape, first, count, memory.grid.h, op.stride, op.dxp, op.sums);
  }
};

void simple_rnn(const SimpleRnnArgs& args) { start_forwards<SimpleRnn>(args); }
void simple_rnn_grad(const SimpleRnnGradArgs& args) { start_backwards<SimpleRnnGrad>(args); }

}  // namespace

void fill_simple_rnn(KernelTable& table) {
  table.simple_rnn = kernel_of<SimpleRnnArgs, simple_rnn>();
  table.simple_rnn_grad = kernel_of<SimpleRnnGradArgs, simple_rnn_grad>();
}

}  // namespace weft::cuda
