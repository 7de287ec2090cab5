// simple_rnn and simple_rnn_grad: see recurrent.h for how a block takes its rows through time. As in lstm.cu, the
// arguments' buffers of a single step are not used.
#include "cuda/recurrent.h"
#include "cuda/table.h"
#include "ops/simple_rnn.h"

namespace weft::cuda {
namespace {

struct SimpleRnn {
  enum State { kStates };  // h * mask is the left side of the product

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<SimpleRnnArgs>& args) {
    using Act = Activations;
    const SimpleRnnArgs& op = args.op;
    const RecurrentShape& s = op.shape;
    const RecurrentMemory memory(args.grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(args.grid);
    for_each_rows(args.grid, [&](int64_t first, int count) {
      __syncthreads();
      units.for_each(count, [&](int row, int j) {
        const int64_t state = (first + row) * op.stride + j;
        const float start = op.h0 ? op.h0[state] : 0.0f;
        memory.left_at(row, j) = op.mask ? start * op.mask[state] : start;
      });
      __syncthreads();
      for (int64_t step = 0; step < s.t; step++) {
        const int64_t time = time_at(s, step);
        const auto input = [&](int row, int column) {
          if (row >= count || column >= args.grid.h) return 0.0f;
          return op.xp[((first + row) * s.t + time) * op.stride + column];
        };
        product.run(step == 0 && !op.h0, input, [&](int split, int row, int column, float sum, float x) {
          memory.out_at(split, row, column) = sum + x;
        });
        __syncthreads();
        units.for_each(count, [&](int row, int j) {
          const int64_t at = ((first + row) * s.t + time) * op.stride + j, state = (first + row) * op.stride + j;
          const float sum = memory.product_at(row, j), h = Act::cell(op.act, op.bias ? sum + op.bias[j] : sum);
          if (op.h_prev) op.h_prev[at] = memory.left_at(row, j);
          memory.left_at(row, j) = op.mask ? h * op.mask[state] : h;
          if (op.states) op.states[at] = h;
          if (s.sequences) op.y[at] = h;
          if (step < s.t - 1) return;
          if (!s.sequences) op.y[state] = h;
          op.last[state] = h;
        });
        __syncthreads();
      }
    });
  }
};

void simple_rnn(const SimpleRnnArgs& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<SimpleRnn>(args, {s, args.u, s.h, s.h, 0, SimpleRnn::kStates, 0, s.t > 1 || args.h0, false});
}

struct SimpleRnnGrad {
  enum State { kStates };

  // Of one step: h, dy.
  enum Fetched { kValue, kDy };
  struct Source {
    static constexpr int kCount = kDy + 1;
    const SimpleRnnGradArgs& op;
    int64_t first;  // row of the block
    __device__ __forceinline__ const float* at(int which, int row, int j, int64_t step) const {
      const RecurrentShape& s = op.shape;
      const int64_t at = (first + row) * s.t + time_at(s, step);
      if (which == kValue) return op.states + at * op.stride + j;
      if (s.sequences) return op.dy + at * op.stride + j;
      return step == s.t - 1 ? op.dy + (first + row) * op.stride + j : nullptr;
    }
  };

  template <class Activations, int rows>
  static __device__ void body(const Recurrence<SimpleRnnGradArgs>& args) {
    const SimpleRnnGradArgs& op = args.op;
    const RecurrentShape& s = op.shape;
    const RecurrentMemory memory(args.grid);
    const RecurrentProduct<rows> product(memory);
    const RecurrentUnits units(args.grid);
    for_each_rows(args.grid, [&](int64_t first, int count) {
      const Source source = {op, first};
      units.for_each(count, [&](int row, int j) { fetch_unit(memory, source, row, j, s.t - 1); });
      copy_async_commit();
      __syncthreads();
      for (int64_t step = s.t - 1; step >= 0; step--) {
        const bool last = step == s.t - 1;
        copy_async_wait<0>();  // of this thread, for its own units
        units.for_each(count, [&](int row, int j) {
          float dh = last ? 0.0f : memory.product_at(row, j);
          if (!last && op.mask) dh *= op.mask[(first + row) * op.stride + j];
          dh += fetched(memory, source, kDy, row, j, step);
          const float d = Activations::cell_grad(op.act, dh, fetched(memory, source, kValue, row, j, step));
          op.dxp[((first + row) * s.t + time_at(s, step)) * op.stride + j] = memory.left_at(row, j) = d;
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
          const int64_t at = (first + row) * op.stride + j;
          op.dh[at] = op.mask ? memory.product_at(row, j) * op.mask[at] : memory.product_at(row, j);
        });
      }
      __syncthreads();
      if (op.sums) sum_over_time(s, first, count, args.grid.h, op.stride, op.dxp, op.sums);
    });
  }
};

void simple_rnn_grad(const SimpleRnnGradArgs& args) {
  const RecurrentShape& s = args.shape;
  start_recurrence<SimpleRnnGrad>(args, {s, args.u_t, s.h, s.h, 0, SimpleRnnGrad::kStates,
                                         SimpleRnnGrad::Source::kCount, s.t > 1 || args.wants_state, false});
}

}  // namespace

void fill_simple_rnn(KernelTable& table) {
  table.simple_rnn = kernel_of<SimpleRnnArgs, simple_rnn>();
  table.simple_rnn_grad = kernel_of<SimpleRnnGradArgs, simple_rnn_grad>();
}

}  // namespace weft::cuda
