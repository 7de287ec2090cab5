// lstm and lstm_grad: see recurrent.h for how a block takes its rows through time. The buffers of the arguments that
// hold a single step (h, pre; dpre, and dh and dc where nobody wants them) are not used: it stays in shared memory.
#include "cuda/recurrent.h"
#include "cuda/table.h"
#include "ops/lstm.h"

namespace weft::cuda {
namespace {

struct Lstm {
  enum State { kCell, kStates };

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<LstmArgs>& args) {
    using Act = Activations;
    const LstmArgs& op = args.op;
    const RecurrentShape& s = op.shape;
    const RecurrentMemory memory(args.grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(args.grid);
    const int h = args.grid.h, gate = static_cast<int>(saved_gate(s.h));
    for_each_rows(args.grid, [&](int64_t first, int count) {
      __syncthreads();
      units.for_each(count, [&](int row, int j) {
        const int64_t at = (first + row) * op.state_stride + j;
        const float start = op.h0 ? op.h0[at] : 0.0f;
        memory.left_at(row, j) = op.mask ? start * op.mask[at] : start;
        memory.state(kCell, row, j) = op.c0 ? op.c0[at] : 0.0f;
      });
      __syncthreads();
      for (int64_t step = 0; step < s.t; step++) {
        const int64_t time = time_at(s, step);
        const auto input = [&](int row, int column) {
          if (row >= count || column >= 4 * h) return 0.0f;
          return op.xp[((first + row) * s.t + time) * op.gate_stride + column];
        };
        // The gates' functions follow the product at once, in all threads.
        product.run(step == 0 && !op.h0, input, [&](int, int row, int column, float sum, float x) {
          if (column >= 4 * h) return;
          const float pre = op.bias ? sum + x + op.bias[column] : sum + x;
          const bool is_candidate = column >= 2 * h && column < 3 * h;
          memory.out_at(0, row, column) = is_candidate ? Act::cell(op.act, pre) : Act::gate(op.act, pre);
        });
        __syncthreads();
        units.for_each(count, [&](int row, int j) {
          const int64_t at = (first + row) * s.t + time, state = (first + row) * op.state_stride + j;
          const float i = memory.out_at(0, row, j), f = memory.out_at(0, row, h + j);
          const float g = memory.out_at(0, row, 2 * h + j), o = memory.out_at(0, row, 3 * h + j);
          const float c = f * memory.state(kCell, row, j) + i * g;
          const float new_h = o * Act::cell(op.act, c);
          if (op.h_prev) op.h_prev[at * op.state_stride + j] = memory.left_at(row, j);
          memory.state(kCell, row, j) = c;
          memory.left_at(row, j) = op.mask ? new_h * op.mask[state] : new_h;
          if (op.gates) {
            float* saved = op.gates + at * op.saved_stride + j;
            saved[0] = i, saved[gate] = f, saved[2 * gate] = g, saved[3 * gate] = o;
            op.cells[at * op.state_stride + j] = c;
          }
          if (s.sequences) op.y[at * op.state_stride + j] = new_h;
          if (step < s.t - 1) return;
          if (!s.sequences) op.y[state] = new_h;
          op.c[state] = c;
        });
        __syncthreads();
      }
    });
  }
};

void lstm(const LstmArgs& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<Lstm>(args, {s, args.u, s.h, 4 * s.h, 0, Lstm::kStates, 0, s.t > 1 || args.h0, true});
}

struct LstmGrad {
  enum State { kCell, kStates };

  // What a unit's gradient needs of the forward run at one step, and dy.
  enum Fetched { kInput, kForget, kCandidate, kOutput, kCellNow, kCellBefore, kDy };
  struct Source {
    static constexpr int kCount = kDy + 1;
    const LstmGradArgs& op;
    int64_t first;  // row of the block
    __device__ __forceinline__ const float* at(int which, int row, int j, int64_t step) const {
      const RecurrentShape& s = op.shape;
      const int64_t sequence = (first + row) * s.t, at = sequence + time_at(s, step), stride = op.state_stride;
      if (which == kCellNow) return op.cells + at * stride + j;
      if (which == kCellBefore && step > 0) return op.cells + (sequence + time_at(s, step - 1)) * stride + j;
      if (which == kCellBefore) return op.c0 ? op.c0 + (first + row) * stride + j : nullptr;
      if (which < kCellNow) return op.gates + at * op.saved_stride + which * saved_gate(s.h) + j;
      if (s.sequences) return op.dy + at * stride + j;
      return step == s.t - 1 ? op.dy + (first + row) * stride + j : nullptr;
    }
  };

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<LstmGradArgs>& args) {
    using Act = Activations;
    const LstmGradArgs& op = args.op;
    const RecurrentShape& s = op.shape;
    const RecurrentMemory memory(args.grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(args.grid);
    const int h = args.grid.h;
    for_each_rows(args.grid, [&](int64_t first, int count) {
      const Source source = {op, first};
      units.for_each(count, [&](int row, int j) { fetch_unit(memory, source, row, j, s.t - 1); });
      copy_async_commit();
      __syncthreads();
      for (int64_t step = s.t - 1; step >= 0; step--) {
        const bool last = step == s.t - 1;
        copy_async_wait<0>();  // of this thread, for its own units
        units.for_each(count, [&](int row, int j) {
          const auto saved = [&](Fetched which) { return fetched(memory, source, which, row, j, step); };
          const float i = saved(kInput), f = saved(kForget), g = saved(kCandidate), o = saved(kOutput);
          const float a = Act::cell(op.act, saved(kCellNow)), c_before = saved(kCellBefore);
          float dh = 0.0f, dc = 0.0f;
          if (!last) {
            dh = memory.product_at(row, j), dc = memory.state(kCell, row, j);
            if (op.mask) dh *= op.mask[(first + row) * op.state_stride + j];
          }
          dh += saved(kDy);
          dc += Act::cell_grad(op.act, dh * o, a);
          memory.state(kCell, row, j) = dc * f;
          const float d[4] = {Act::gate_grad(op.act, dc * g, i), Act::gate_grad(op.act, dc * c_before, f),
                              Act::cell_grad(op.act, dc * i, g), Act::gate_grad(op.act, dh * a, o)};
          float* dxp = op.dxp + ((first + row) * s.t + time_at(s, step)) * op.gate_stride + j;
#pragma unroll
          for (int k = 0; k < 4; k++) dxp[k * h] = memory.left_at(row, k * h + j) = d[k];
        });
        if (step == 0 && !op.wants_state) break;
        if (step > 0) units.for_each(count, [&](int row, int j) { fetch_unit(memory, source, row, j, step - 1); });
        copy_async_commit();
        __syncthreads();
        product.run_plain();
        __syncthreads();
      }
      if (op.wants_state) {
        units.for_each(count, [&](int row, int j) {
          const int64_t at = (first + row) * op.state_stride + j;
          op.dh[at] = op.mask ? memory.product_at(row, j) * op.mask[at] : memory.product_at(row, j);
          op.dc[at] = memory.state(kCell, row, j);
        });
      }
      __syncthreads();
      if (op.sums) sum_over_time(s, first, count, 4 * h, op.gate_stride, op.dxp, op.sums);
    });
  }
};

void lstm_grad(const LstmGradArgs& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<LstmGrad>(args, {s, args.u_t, 4 * s.h, s.h, 0, LstmGrad::kStates, LstmGrad::Source::kCount,
                                    s.t > 1 || args.wants_state, false});
}

}  // namespace

void fill_lstm(KernelTable& table) {
  table.lstm = kernel_of<LstmArgs, lstm>();
  table.lstm_grad = kernel_of<LstmGradArgs, lstm_grad>();
}

}  // namespace weft::cuda
