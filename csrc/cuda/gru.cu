// gru and gru_grad: what a cell computes in a step, by the formulas in ops/gru.h. See recurrent_steps.h for the loop
// over the steps. As in lstm.cu, the arguments' buffers of a single step are not used.
#include "cuda/recurrent_steps.h"
#include "cuda/table.h"
#include "ops/gru.h"

namespace weft::cuda {
namespace {

struct Gru {
  using Args = GruArgs;
  static constexpr int kGates = 3, kMoreUnits = 1;  // the input of g stands behind the product
  static constexpr bool kWholeSums = true;
  enum State { kStates };  // h is the left side of the product
  const GruArgs& op;
  const RecurrentMemory& memory;

  __device__ ForwardSteps steps() const {
    return {op.xp, op.h0, nullptr, op.y, op.h_prev, op.gate_stride, op.state_stride};
  }
  __device__ void begin(const RecurrentUnit&) const {}
  // z and r at once, in all threads. The input of g is not added to its product.
  template <class Activations>
  __device__ void take_product(const Activations& act, int, int row, int column, float sum, float x) const {
    const int h = memory.grid.h;
    const float rec = op.bias ? sum + op.bias[op.gate_stride + column] : sum;
    const float in = op.bias ? x + op.bias[column] : x;
    if (column < 2 * h) {
      memory.out_at(0, row, column) = act.gate(in + rec);
    } else {
      memory.out_at(0, row, column) = rec;
      memory.out_at(0, row, column + h) = in;
    }
  }
  template <class Activations>
  __device__ float step(const Activations& act, const RecurrentUnit& u) const {
    const auto gate = [&](int k) { return memory.out_at(0, u.row, k * memory.grid.h + u.j); };
    const float z = gate(0), r = gate(1), rec_g = gate(2), in_g = gate(3);
    const float g = act.cell(in_g + r * rec_g);
    const float before = memory.left_at(u.row, u.j), h = z * (before - g) + g;
    if (op.gates) {
      const int64_t distance = saved_gate(op.shape.h);
      float* saved = op.gates + u.at * op.saved_stride + u.j;
      saved[0] = z, saved[distance] = r, saved[2 * distance] = g, saved[3 * distance] = rec_g;
    }
    if (u.last) op.last[u.sequence * op.state_stride + u.j] = h;
    return h;
  }
};

struct GruGrad {
  using Args = GruGradArgs;
  static constexpr int kGates = 3;
  enum State { kDirect, kStates };  // the part of dh that does not pass through the product
  enum Saved { kUpdate, kReset, kCandidate, kRecurrence, kBefore, kSaved };
  const GruGradArgs& op;
  const RecurrentMemory& memory;

  __device__ BackwardSteps steps() const { return {op.dy, op.state_stride, op.wants_state}; }
  __device__ __forceinline__ const float* saved_at(int which, const RecurrentUnit& u) const {
    if (which < kBefore) return op.gates + u.at * op.saved_stride + which * saved_gate(op.shape.h) + u.j;
    return op.h_prev + u.at * op.state_stride + u.j;
  }
  __device__ float dh_before(const RecurrentUnit& u) const {
    return memory.product_at(u.row, u.j) + memory.state(kDirect, u.row, u.j);
  }
  template <class Activations, class GetSaved>
  __device__ void step(const Activations& act, const RecurrentUnit& u, float dh, GetSaved saved) const {
    const float z = saved(kUpdate), r = saved(kReset), g = saved(kCandidate);
    const float dz = act.gate_grad(dh * (saved(kBefore) - g), z);
    const float dg = act.cell_grad(dh * (1.0f - z), g);
    const float dr = act.gate_grad(dg * saved(kRecurrence), r);
    memory.state(kDirect, u.row, u.j) = dh * z;
    const float dx[kGates] = {dz, dr, dg}, drec[kGates] = {dz, dr, dg * r};
    const int h = memory.grid.h;
    const int64_t at = u.at * op.gate_stride + u.j;
#pragma unroll
    for (int k = 0; k < kGates; k++) {
      op.dxp[at + k * h] = dx[k];
      op.drec[at + k * h] = memory.left_at(u.row, k * h + u.j) = drec[k];
    }
  }
  __device__ void finish_states(const RecurrentUnit& u) const {
    op.dh[u.sequence * op.state_stride + u.j] = dh_before(u);
  }
  __device__ void finish_rows(int64_t first, int count) const {
    if (!op.sums) return;
    const RecurrentShape& s = op.shape;
    const int columns = kGates * memory.grid.h;
    sum_over_time(s, first, count, columns, op.gate_stride, op.dxp, op.sums);
    sum_over_time(s, first, count, columns, op.gate_stride, op.drec, op.sums + s.n * op.gate_stride);
  }
};

void gru(const GruArgs& args) { start_forwards<Gru>(args); }
void gru_grad(const GruGradArgs& args) { start_backwards<GruGrad>(args); }

}  // namespace

void fill_gru(KernelTable& table) {
  table.gru = kernel_of<GruArgs, gru>();
  table.gru_grad = kernel_of<GruGradArgs, gru_grad>();
}

}  // namespace weft::cuda
