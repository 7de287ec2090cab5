// gru and gru_grad: see recurrent.h for how a block takes its rows through time. As in lstm.cu, the arguments' buffers
// of a single step are not used.
#include "cuda/recurrent.h"
#include "cuda/table.h"
#include "ops/gru.h"

namespace weft::cuda {
namespace {

struct Gru {
  enum State { kStates };  // h is the left side of the product

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<GruArgs>& args) {
    using Act = Activations;
    const GruArgs& op = args.op;
    const RecurrentShape& s = op.shape;
    const RecurrentMemory memory(args.grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(args.grid);
    const int h = args.grid.h, gate = static_cast<int>(saved_gate(s.h));
    for_each_rows(args.grid, [&](int64_t first, int count) {
      __syncthreads();
      units.for_each(count, [&](int row, int j) {
        memory.left_at(row, j) = op.h0 ? op.h0[(first + row) * op.state_stride + j] : 0.0f;
      });
      __syncthreads();
      for (int64_t step = 0; step < s.t; step++) {
        const int64_t time = time_at(s, step);
        const auto input = [&](int row, int column) {
          if (row >= count || column >= 3 * h) return 0.0f;
          return op.xp[((first + row) * s.t + time) * op.gate_stride + column];
        };
        // z and r at once, in all threads. The input of g is not added to its product, and stands behind it.
        product.run(step == 0 && !op.h0, input, [&](int, int row, int column, float sum, float x) {
          if (column >= 3 * h) return;
          const float rec = op.bias ? sum + op.bias[op.gate_stride + column] : sum;
          const float in = op.bias ? x + op.bias[column] : x;
          if (column < 2 * h) {
            memory.out_at(0, row, column) = Act::gate(op.act, in + rec);
          } else {
            memory.out_at(0, row, column) = rec;
            memory.out_at(0, row, column + h) = in;
          }
        });
        __syncthreads();
        units.for_each(count, [&](int row, int j) {
          const int64_t at = (first + row) * s.t + time, state = (first + row) * op.state_stride + j;
          const float z = memory.out_at(0, row, j), r = memory.out_at(0, row, h + j);
          const float rec_g = memory.out_at(0, row, 2 * h + j), in_g = memory.out_at(0, row, 3 * h + j);
          const float g = Act::cell(op.act, in_g + r * rec_g);
          const float before = memory.left_at(row, j), new_h = z * (before - g) + g;
          memory.left_at(row, j) = new_h;
          if (op.gates) {
            float* saved = op.gates + at * op.saved_stride + j;
            saved[0] = z, saved[gate] = r, saved[2 * gate] = g, saved[3 * gate] = rec_g;
            op.h_prev[at * op.state_stride + j] = before;
          }
          if (s.sequences) op.y[at * op.state_stride + j] = new_h;
          if (step < s.t - 1) return;
          if (!s.sequences) op.y[state] = new_h;
          op.last[state] = new_h;
        });
        __syncthreads();
      }
    });
  }
};

void gru(const GruArgs& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<Gru>(args, {s, args.u, s.h, 3 * s.h, s.h, Gru::kStates, 0, s.t > 1 || args.h0, true});
}

struct GruGrad {
  enum State { kDirect, kStates };  // the part of dh that does not pass through the product

  // What a unit's gradient needs of the forward run at one step, and dy.
  enum Fetched { kUpdate, kReset, kCandidate, kRecurrence, kBefore, kDy };
  struct Source {
    static constexpr int kCount = kDy + 1;
    const GruGradArgs& op;
    int64_t first;  // row of the block
    __device__ __forceinline__ const float* at(int which, int row, int j, int64_t step) const {
      const RecurrentShape& s = op.shape;
      const int64_t at = (first + row) * s.t + time_at(s, step), stride = op.state_stride;
      if (which < kBefore) return op.gates + at * op.saved_stride + which * saved_gate(s.h) + j;
      if (which == kBefore) return op.h_prev + at * stride + j;
      if (s.sequences) return op.dy + at * stride + j;
      return step == s.t - 1 ? op.dy + (first + row) * stride + j : nullptr;
    }
  };

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<GruGradArgs>& args) {
    using Act = Activations;
    const GruGradArgs& op = args.op;
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
          const float z = saved(kUpdate), r = saved(kReset), g = saved(kCandidate);
          float dh = last ? 0.0f : memory.product_at(row, j) + memory.state(kDirect, row, j);
          dh += saved(kDy);
          const float dz = Act::gate_grad(op.act, dh * (saved(kBefore) - g), z);
          const float dg = Act::cell_grad(op.act, dh * (1.0f - z), g);
          const float dr = Act::gate_grad(op.act, dg * saved(kRecurrence), r);
          memory.state(kDirect, row, j) = dh * z;
          const int64_t at = ((first + row) * s.t + time_at(s, step)) * op.gate_stride + j;
          const float dx[3] = {dz, dr, dg}, drec[3] = {dz, dr, dg * r};
#pragma unroll
          for (int k = 0; k < 3; k++) {
            op.dxp[at + k * h] = dx[k];
            op.drec[at + k * h] = memory.left_at(row, k * h + j) = drec[k];
          }
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
          op.dh[(first + row) * op.state_stride + j] = memory.product_at(row, j) + memory.state(kDirect, row, j);
        });
      }
      __syncthreads();
      if (op.sums) {
        sum_over_time(s, first, count, 3 * h, op.gate_stride, op.dxp, op.sums);
        sum_over_time(s, first, count, 3 * h, op.gate_stride, op.drec, op.sums + s.n * op.gate_stride);
      }
    });
  }
};

void gru_grad(const GruGradArgs& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<GruGrad>(args, {s, args.u_t, 3 * s.h, s.h, 0, GruGrad::kStates, GruGrad::Source::kCount,
                                   s.t > 1 || args.wants_state, false});
}

}  // namespace

void fill_gru(KernelTable& table) {
  table.gru = kernel_of<GruArgs, gru>();
  table.gru_grad = kernel_of<GruGradArgs, gru_grad>();
}

}  // namespace weft::cuda
