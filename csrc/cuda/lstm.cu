// lstm and lstm_grad: what a cell computes in a step, by the formulas in ops/lstm.h. The loop over the steps, and what
// it asks of a cell, is in recurrent_steps.h. The buffers of the arguments that hold a single step (h, pre; dpre, and
// dh and dc where nobody wants them) are not used: it stays in shared memory.
#include "cuda/recurrent_steps.h"
#include "cuda/table.h"
#include "ops/lstm.h"

namespace weft::cuda {
namespace {

struct Lstm {
  using Args = LstmArgs;
  static constexpr int kGates = 4, kMoreUnits = 0;
  static constexpr bool kWholeSums = true;
  enum State { kCell, kStates };  // c; h * mask is the left side of the product
  const LstmArgs& op;
  const RecurrentMemory& memory;

  __device__ ForwardSteps steps() const {
    return {op.xp, op.h0, op.mask, op.y, op.h_prev, op.gate_stride, op.state_stride};
  }
  __device__ void begin(const RecurrentUnit& u) const {
    memory.state(kCell, u.row, u.j) = op.c0 ? op.c0[u.sequence * op.state_stride + u.j] : 0.0f;
  }
  // The gates' functions follow the product at once, in all threads.
  template <class Activations>
  __device__ void take_product(const Activations& act, int, int row, int column, float sum, float x) const {
    const int h = memory.grid.h;
    const float pre = op.bias ? sum + x + op.bias[column] : sum + x;
    const bool is_candidate = column >= 2 * h && column < 3 * h;
    memory.out_at(0, row, column) = is_candidate ? act.cell(pre) : act.gate(pre);
  }
  template <class Activations>
  __device__ float step(const Activations& act, const RecurrentUnit& u) const {
    const auto gate = [&](int k) { return memory.out_at(0, u.row, k * memory.grid.h + u.j); };
    const float i = gate(0), f = gate(1), g = gate(2), o = gate(3);
    const float c = f * memory.state(kCell, u.row, u.j) + i * g;
    memory.state(kCell, u.row, u.j) = c;
    if (op.gates) {
      const int64_t distance = saved_gate(op.shape.h);
      float* saved = op.gates + u.at * op.saved_stride + u.j;
      saved[0] = i, saved[distance] = f, saved[2 * distance] = g, saved[3 * distance] = o;
      op.cells[u.at * op.state_stride + u.j] = c;
    }
    if (u.last) op.c[u.sequence * op.state_stride + u.j] = c;
    return o * act.cell(c);
  }
};

struct LstmGrad {
  using Args = LstmGradArgs;
  static constexpr int kGates = 4;
  enum State { kCell, kStates };  // the gradient of c
  enum Saved { kInput, kForget, kCandidate, kOutput, kCellNow, kCellBefore, kSaved };
  const LstmGradArgs& op;
  const RecurrentMemory& memory;

  __device__ BackwardSteps steps() const { return {op.dy, op.state_stride, op.wants_state}; }
  __device__ __forceinline__ const float* saved_at(int which, const RecurrentUnit& u) const {
    const RecurrentShape& s = op.shape;
    if (which < kCellNow) return op.gates + u.at * op.saved_stride + which * saved_gate(s.h) + u.j;
    if (which == kCellNow) return op.cells + u.at * op.state_stride + u.j;
    if (u.step > 0) return op.cells + (u.sequence * s.t + time_at(s, u.step - 1)) * op.state_stride + u.j;
    return op.c0 ? op.c0 + u.sequence * op.state_stride + u.j : nullptr;
  }
  __device__ float dh_before(const RecurrentUnit& u) const {
    return masked(memory.product_at(u.row, u.j), op.mask, u.sequence * op.state_stride + u.j);
  }
  template <class Activations, class GetSaved>
  __device__ void step(const Activations& act, const RecurrentUnit& u, float dh, GetSaved saved) const {
    const float i = saved(kInput), f = saved(kForget), g = saved(kCandidate), o = saved(kOutput);
    const float a = act.cell(saved(kCellNow));
    const float dc = (u.last ? 0.0f : memory.state(kCell, u.row, u.j)) + act.cell_grad(dh * o, a);
    memory.state(kCell, u.row, u.j) = dc * f;
    const float d[kGates] = {act.gate_grad(dc * g, i), act.gate_grad(dc * saved(kCellBefore), f),
                             act.cell_grad(dc * i, g), act.gate_grad(dh * a, o)};
    const int h = memory.grid.h;
    float* dxp = op.dxp + u.at * op.gate_stride + u.j;
#pragma unroll
    for (int k = 0; k < kGates; k++) dxp[k * h] = memory.left_at(u.row, k * h + u.j) = d[k];
  }
  __device__ void finish_states(const RecurrentUnit& u) const {
    op.dh[u.sequence * op.state_stride + u.j] = dh_before(u);
    op.dc[u.sequence * op.state_stride + u.j] = memory.state(kCell, u.row, u.j);
  }
  __device__ void finish_rows(int64_t first, int count) const {
    if (op.sums) sum_over_time(op.shape, first, count, kGates * memory.grid.h, op.gate_stride, op.dxp, op.sums);
  }
};

void lstm(const LstmArgs& args) { start_forwards<Lstm>(args); }
void lstm_grad(const LstmGradArgs& args) { start_backwards<LstmGrad>(args); }

}  // namespace

void fill_lstm(KernelTable& table) {
  table.lstm = kernel_of<LstmArgs, lstm>();
  table.lstm_grad = kernel_of<LstmGradArgs, lstm_grad>();
}

}  // namespace weft::cuda
