// gru and gru_grad: see recurrent.h for how the steps are cut. As in lstm.cpp, what the products of one step read and
// write has buffers of its own.

#include "cpu/kernels/recurrent.h"
#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {
namespace {

int gru_tiles(const GruArgs& args, int threads) { return recurrent_tiles(args.shape, 3, threads); }
int gru_grad_tiles(const GruGradArgs& args, int threads) { return recurrent_tiles(args.shape, 3, threads); }

// The cell's function on one row; rec (3h) has its bias already, null where it is zeros.
template <class Activations>
void gru_row(const GruArgs& args, const Activations& act, const float* rec, float* y, int64_t row, int64_t time,
             int64_t next_time) {
  const int64_t h = args.shape.h, at = row * args.shape.t + time, gate = saved_gate(h);
  const int64_t next = row * args.shape.t + next_time;
  const float* xp = args.xp + at * args.gate_stride;
  float* h_row = args.h + row * args.state_stride;
  for (int64_t j = 0; j < h; j += kChunk) {
    const auto input = [&](int64_t g) __attribute__((always_inline)) {
      const Chunk x = load_partial_chunk(xp + g * h + j, h - j, 0.0f);
      return args.bias ? x + load_partial_chunk(args.bias + g * h + j, h - j, 0.0f) : x;
    };
    const auto recurrent = [&](int64_t g) __attribute__((always_inline)) {
      return rec ? load_partial_chunk(rec + g * h + j, h - j, 0.0f) : broadcast_chunk(0.0f);
    };
    for (int64_t g = 0; g < 4; g++) {
      if (g < 3) __builtin_prefetch(args.xp + next * args.gate_stride + g * h + j);
      if (args.gates) __builtin_prefetch(args.gates + next * args.saved_stride + g * gate + j, 1);
    }
    if (args.gates) __builtin_prefetch(args.h_prev + next * args.state_stride + j, 1);
    const Chunk z = act.gate(input(0) + recurrent(0)), r = act.gate(input(1) + recurrent(1)), rec_g = recurrent(2);
    const Chunk g = act.cell(multiply_add(r, rec_g, input(2)));
    const Chunk before = load_chunk(h_row + j);
    const Chunk new_h = multiply_add(z, before - g, g);
    if (args.gates) {
      float* saved = args.gates + at * args.saved_stride + j;
      store_chunk(saved, z);
      store_chunk(saved + gate, r);
      store_chunk(saved + 2 * gate, g);
      store_chunk(saved + 3 * gate, rec_g);
      store_chunk(args.h_prev + at * args.state_stride + j, before);
    }
    if (y) store_chunk(y + j, new_h);
    store_chunk(args.last + row * args.state_stride + j, new_h);
    store_chunk(h_row + j, new_h);
  }
}

template <class Activations>
void run_group(const GruArgs& args, const Activations& act, const RowGroup& group) {
  const RecurrentShape& s = args.shape;
  const float* rec_bias = args.bias ? args.bias + args.gate_stride : nullptr;
  copy_masked(args.h, args.h0, nullptr, args.state_stride, s.h, group.rows);
  for (int64_t step = 0; step < s.t; step++) {
    const int64_t time = time_at(s, step), next_time = time_at(s, smaller(step + 1, s.t - 1));
    const bool product = step > 0 || args.h0;  // h is not zero
    if (product) {
      multiply_rows({args.h, args.u, rec_bias, args.rec, s.h, 3 * s.h, args.state_stride, 0, args.gate_stride}, group);
    }
    for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
      float* y = args.y + (s.sequences ? row * s.t + time : row) * args.state_stride;
      gru_row(args, act, product ? args.rec + row * args.gate_stride : rec_bias,
              s.sequences || step == s.t - 1 ? y : nullptr, row, time, next_time);
    }
  }
}

void gru_run(const GruArgs& args, int tile, int n_tiles) {
  with_activations(args.act, [&](const auto& act) {
    for_each_group(args.shape.n, tile, n_tiles, [&](const RowGroup& group) { run_group(args, act, group); });
  });
}

// The gradient of one row at one step; dy (h) may be null, `last` is the step with which the gradient begins;
// `before_at`: the same row one step earlier, -1 in the first step.
template <class Activations>
void gru_grad_row(const GruGradArgs& args, const Activations& act, const float* dy, int64_t row, int64_t at,
                  int64_t before_at, bool last) {
  const int64_t h = args.shape.h, gate = saved_gate(h), stride = args.state_stride;
  for (int64_t j = 0; j < h; j += kChunk) {
    const float* saved = args.gates + at * args.saved_stride + j;
    for (int64_t g = 0; g < 4 && before_at >= 0; g++) {
      __builtin_prefetch(args.gates + before_at * args.saved_stride + g * gate + j);
      if (g < 3) __builtin_prefetch(args.dxp + before_at * args.gate_stride + g * h + j, 1);
      if (g < 3) __builtin_prefetch(args.drec + before_at * args.gate_stride + g * h + j, 1);
    }
    if (before_at >= 0) __builtin_prefetch(args.h_prev + before_at * stride + j);
    const Chunk z = load_chunk(saved), r = load_chunk(saved + gate), g = load_chunk(saved + 2 * gate),
                rec_g = load_chunk(saved + 3 * gate), before = load_chunk(args.h_prev + at * stride + j);
    Chunk dh = broadcast_chunk(0.0f);
    if (!last) dh = load_chunk(args.dh + row * stride + j) + load_chunk(args.direct + row * stride + j);
    if (dy) dh = dh + load_chunk(dy + j);
    const Chunk dz = act.gate_grad(dh * (before - g), z);
    const Chunk dg = act.cell_grad(dh * (broadcast_chunk(1.0f) - z), g);
    const Chunk dr = act.gate_grad(dg * rec_g, r), drec_g = dg * r;
    store_chunk(args.direct + row * stride + j, dh * z);
    const Chunk d[4] = {dz, dr, dg, drec_g};
    WEFT_UNROLL
    for (int64_t k = 0; k < 4; k++) {
      const int64_t column = (k < 3 ? k : 2) * h + j;
      const auto put = [&](float* to) __attribute__((always_inline)) { store_partial_chunk(to + column, h - j, d[k]); };
      const auto add = [&](int64_t sums_row) __attribute__((always_inline)) {
        float* sums = args.sums + sums_row * args.gate_stride + column;
        store_partial_chunk(sums, h - j, last ? d[k] : load_partial_chunk(sums, h - j, 0.0f) + d[k]);
      };
      if (k < 3) {
        put(args.dxp + at * args.gate_stride);
        if (args.sums) add(row);
      }
      if (k != 2) {
        put(args.drec + at * args.gate_stride);
        put(args.now + row * args.gate_stride);
        if (args.sums) add(args.shape.n + row);
      }
    }
  }
}

template <class Activations>
void run_group(const GruGradArgs& args, const Activations& act, const RowGroup& group) {
  const RecurrentShape& s = args.shape;
  for (int64_t step = s.t - 1; step >= 0; step--) {
    const bool last = step == s.t - 1;
    for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
      const int64_t at = row * s.t + time_at(s, step);
      const float* dy = args.dy + (s.sequences ? at : row) * args.state_stride;
      const int64_t before = step > 0 ? row * s.t + time_at(s, step - 1) : -1;
      gru_grad_row(args, act, s.sequences || last ? dy : nullptr, row, at, before, last);
    }
    if (step > 0 || args.wants_state) {
      multiply_rows({args.now, args.u_t, nullptr, args.dh, 3 * s.h, s.h, args.gate_stride, 0, args.state_stride},
                    group);
    }
  }
  if (!args.wants_state) return;
  for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
    for (int64_t j = row * args.state_stride; j < row * args.state_stride + s.h; j += kChunk) {
      store_chunk(args.dh + j, load_chunk(args.dh + j) + load_chunk(args.direct + j));
    }
  }
}

void gru_grad_run(const GruGradArgs& args, int tile, int n_tiles) {
  with_activations(args.act, [&](const auto& act) {
    for_each_group(args.shape.n, tile, n_tiles, [&](const RowGroup& group) { run_group(args, act, group); });
  });
}

}  // namespace

void fill_gru(KernelTable& table) {
  table.gru = {gru_tiles, gru_run};
  table.gru_grad = {gru_grad_tiles, gru_grad_run};
}

}  // namespace weft::WEFT_ISA
