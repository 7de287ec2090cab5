// lstm and lstm_grad: see recurrent.h for how the steps are cut. The hidden states of the current step (n, h) and its
// product with U (n, 4h) have buffers of their own, because the rows of a sequence value stand a whole sequence
// apart and could fall into few sets of L1.

#include "cpu/kernels/recurrent.h"
#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {
namespace {

int lstm_tiles(const LstmArgs& args, int threads) { return recurrent_tiles(args.shape, 4, threads); }
int lstm_grad_tiles(const LstmGradArgs& args, int threads) { return recurrent_tiles(args.shape, 4, threads); }

// The cell's function on one row; pre (4h) is without the bias, y (h) null where the step's h is not wanted.
template <class Activations>
void lstm_row(const LstmArgs& args, const Activations& act, const float* pre, float* y, int64_t row, int64_t time,
              int64_t next_time) {
  const int64_t h = args.shape.h, at = row * args.shape.t + time, gate = saved_gate(h);
  const int64_t next = row * args.shape.t + next_time;
  float* h_row = args.h + row * args.state_stride;
  float* c_row = args.c + row * args.state_stride;
  for (int64_t j = 0; j < h; j += kChunk) {
    const auto sum = [&](int64_t g) __attribute__((always_inline)) {
      const Chunk x = load_partial_chunk(pre + g * h + j, h - j, 0.0f);
      return args.bias ? x + load_partial_chunk(args.bias + g * h + j, h - j, 0.0f) : x;
    };
    for (int64_t g = 0; g < 4; g++) {
      __builtin_prefetch(args.xp + next * args.gate_stride + g * h + j);
      if (args.gates) __builtin_prefetch(args.gates + next * args.saved_stride + g * gate + j, 1);
    }
    const Chunk i = act.gate(sum(0)), f = act.gate(sum(1)), g = act.cell(sum(2)), o = act.gate(sum(3));
    const Chunk c = multiply_add(f, load_chunk(c_row + j), i * g);
    const Chunk new_h = o * act.cell(c);
    if (args.gates) {
      float* saved = args.gates + at * args.saved_stride + j;
      store_chunk(saved, i);
      store_chunk(saved + gate, f);
      store_chunk(saved + 2 * gate, g);
      store_chunk(saved + 3 * gate, o);
      store_chunk(args.cells + at * args.state_stride + j, c);
    }
    if (args.h_prev) store_chunk(args.h_prev + at * args.state_stride + j, load_chunk(h_row + j));
    if (y) store_chunk(y + j, new_h);
    store_chunk(c_row + j, c);
    store_chunk(h_row + j, args.mask ? new_h * load_chunk(args.mask + row * args.state_stride + j) : new_h);
  }
}

template <class Activations>
void run_group(const LstmArgs& args, const Activations& act, const RowGroup& group) {
  const RecurrentShape& s = args.shape;
  copy_masked(args.h, args.h0, args.mask, args.state_stride, s.h, group.rows);
  copy_masked(args.c, args.c0, nullptr, args.state_stride, s.h, group.rows);
  for (int64_t step = 0; step < s.t; step++) {
    const int64_t time = time_at(s, step), next_time = time_at(s, smaller(step + 1, s.t - 1));
    const float* xp = args.xp + time * args.gate_stride;
    const int64_t xp_stride = s.t * args.gate_stride;
    const bool product = step > 0 || args.h0;  // h is not zero
    if (product) {
      multiply_rows({args.h, args.u, xp, args.pre, s.h, 4 * s.h, args.state_stride, xp_stride, args.gate_stride},
                    group);
    }
    for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
      float* y = args.y + (s.sequences ? row * s.t + time : row) * args.state_stride;
      lstm_row(args, act, product ? args.pre + row * args.gate_stride : xp + row * xp_stride,
               s.sequences || step == s.t - 1 ? y : nullptr, row, time, next_time);
    }
  }
}

void lstm_run(const LstmArgs& args, int tile, int n_tiles) {
  with_activations(args.act, [&](const auto& act) {
    for_each_group(args.shape.n, tile, n_tiles, [&](const RowGroup& group) { run_group(args, act, group); });
  });
}

// Where the gradient of one row stands at one step.
struct GradRow {
  int64_t row, at, before, two_before;  // the same row one and two steps earlier, -1 before the first step
  const float* dy;                      // (h), or null
  bool last;                            // the last step, with which the gradient begins
};

template <class Activations>
void lstm_grad_row(const LstmGradArgs& args, const Activations& act, const GradRow& r) {
  const int64_t h = args.shape.h, gate = saved_gate(h), stride = args.state_stride;
  const float* c_prev = r.before >= 0 ? args.cells + r.before * stride : args.c0 ? args.c0 + r.row * stride : nullptr;
  float* dh_row = args.dh + r.row * stride;
  float* dc_row = args.dc + r.row * stride;
  for (int64_t j = 0; j < h; j += kChunk) {
    const float* saved = args.gates + r.at * args.saved_stride + j;
    if (r.two_before >= 0) __builtin_prefetch(args.cells + r.two_before * stride + j);
    for (int64_t g = 0; g < 4 && r.before >= 0; g++) {
      __builtin_prefetch(args.gates + r.before * args.saved_stride + g * gate + j);
      __builtin_prefetch(args.dxp + r.before * args.gate_stride + g * h + j, 1);
    }
    const Chunk i = load_chunk(saved), f = load_chunk(saved + gate), g = load_chunk(saved + 2 * gate),
                o = load_chunk(saved + 3 * gate);
    const Chunk a = act.cell(load_chunk(args.cells + r.at * stride + j));
    Chunk dh = broadcast_chunk(0.0f), dc = dh;
    if (!r.last) {
      dh = load_chunk(dh_row + j), dc = load_chunk(dc_row + j);
      if (args.mask) dh = dh * load_chunk(args.mask + r.row * stride + j);
    }
    if (r.dy) dh = dh + load_chunk(r.dy + j);
    dc = dc + act.cell_grad(dh * o, a);
    const Chunk before = c_prev ? load_chunk(c_prev + j) : broadcast_chunk(0.0f);
    const Chunk d[4] = {act.gate_grad(dc * g, i), act.gate_grad(dc * before, f), act.cell_grad(dc * i, g),
                        act.gate_grad(dh * a, o)};
    store_chunk(dc_row + j, dc * f);
    WEFT_UNROLL
    for (int64_t k = 0; k < 4; k++) {
      const int64_t column = k * h + j;
      store_partial_chunk(args.dxp + r.at * args.gate_stride + column, h - j, d[k]);
      store_partial_chunk(args.dpre + r.row * args.gate_stride + column, h - j, d[k]);
      if (args.sums) {
        float* sums = args.sums + r.row * args.gate_stride + column;
        store_partial_chunk(sums, h - j, r.last ? d[k] : load_partial_chunk(sums, h - j, 0.0f) + d[k]);
      }
    }
  }
}

template <class Activations>
void run_group(const LstmGradArgs& args, const Activations& act, const RowGroup& group) {
  const RecurrentShape& s = args.shape;
  for (int64_t step = s.t - 1; step >= 0; step--) {
    const int64_t time = time_at(s, step);
    const bool last = step == s.t - 1;
    for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
      const int64_t at = row * s.t + time;
      const float* dy = args.dy + (s.sequences ? at : row) * args.state_stride;
      const int64_t before = step > 0 ? row * s.t + time_at(s, step - 1) : -1;
      const int64_t two_before = step > 1 ? row * s.t + time_at(s, step - 2) : -1;
      lstm_grad_row(args, act, {row, at, before, two_before, s.sequences || last ? dy : nullptr, last});
    }
    if (step > 0 || args.wants_state) {
      multiply_rows({args.dpre, args.u_t, nullptr, args.dh, 4 * s.h, s.h, args.gate_stride, 0, args.state_stride},
                    group);
    }
  }
  if (args.wants_state && args.mask) copy_masked(args.dh, args.dh, args.mask, args.state_stride, s.h, group.rows);
}

void lstm_grad_run(const LstmGradArgs& args, int tile, int n_tiles) {
  with_activations(args.act, [&](const auto& act) {
    for_each_group(args.shape.n, tile, n_tiles, [&](const RowGroup& group) { run_group(args, act, group); });
  });
}

}  // namespace

void fill_lstm(KernelTable& table) {
  table.lstm = {lstm_tiles, lstm_run};
  table.lstm_grad = {lstm_grad_tiles, lstm_grad_run};
}

}  // namespace weft::WEFT_ISA
