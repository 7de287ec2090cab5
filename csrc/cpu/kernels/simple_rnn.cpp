// simple_rnn and simple_rnn_grad: see recurrent.h for how the steps are cut, lstm.cpp for the buffers.

#include "cpu/kernels/recurrent.h"
#include "cpu/kernels/table.h"

namespace weft::WEFT_ISA {
namespace {

int simple_rnn_tiles(const SimpleRnnArgs& args, int threads) { return recurrent_tiles(args.shape, 1, threads); }
int simple_rnn_grad_tiles(const SimpleRnnGradArgs& args, int threads) {
  return recurrent_tiles(args.shape, 1, threads);
}

template <class Activations>
void run_group(const SimpleRnnArgs& args, const Activations& act, const RowGroup& group) {
  const RecurrentShape& s = args.shape;
  const int64_t stride = args.stride, xp_stride = s.t * stride;
  copy_masked(args.h, args.h0, args.mask, stride, s.h, group.rows);
  for (int64_t step = 0; step < s.t; step++) {
    const int64_t time = time_at(s, step);
    const float* xp = args.xp + time * stride;
    const bool product = step > 0 || args.h0;  // h is not zero
    if (product) multiply_rows({args.h, args.u, xp, args.pre, s.h, s.h, stride, xp_stride, stride}, group);
    for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
      const float* pre = product ? args.pre + row * stride : xp + row * xp_stride;
      const int64_t at = (row * s.t + time) * stride, of_row = row * stride;
      for (int64_t j = 0; j < s.h; j += kChunk) {
        Chunk x = load_partial_chunk(pre + j, s.h - j, 0.0f);
        if (args.bias) x = x + load_partial_chunk(args.bias + j, s.h - j, 0.0f);
        const Chunk h = act.cell(x);
        if (args.states) store_chunk(args.states + at + j, h);
        if (args.h_prev) store_chunk(args.h_prev + at + j, load_chunk(args.h + of_row + j));
        if (s.sequences) store_chunk(args.y + at + j, h);
        store_chunk(args.last + of_row + j, h);
        store_chunk(args.h + of_row + j, args.mask ? h * load_chunk(args.mask + of_row + j) : h);
      }
    }
  }
  if (!s.sequences) copy_masked(args.y, args.last, nullptr, stride, s.h, group.rows);
}

void simple_rnn_run(const SimpleRnnArgs& args, int tile, int n_tiles) {
  with_activations(args.act, [&](const auto& act) {
    for_each_group(args.shape.n, tile, n_tiles, [&](const RowGroup& group) { run_group(args, act, group); });
  });
}

template <class Activations>
void run_group(const SimpleRnnGradArgs& args, const Activations& act, const RowGroup& group) {
  const RecurrentShape& s = args.shape;
  const int64_t stride = args.stride;
  for (int64_t step = s.t - 1; step >= 0; step--) {
    const bool last = step == s.t - 1;
    for (int64_t row = group.rows.begin; row < group.rows.end; row++) {
      const int64_t at = (row * s.t + time_at(s, step)) * stride, of_row = row * stride;
      const float* dy = s.sequences ? args.dy + at : last ? args.dy + of_row : nullptr;
      for (int64_t j = 0; j < s.h; j += kChunk) {
        Chunk dh = broadcast_chunk(0.0f);
        if (!last) {
          dh = load_chunk(args.dh + of_row + j);
          if (args.mask) dh = dh * load_chunk(args.mask + of_row + j);
        }
        if (dy) dh = dh + load_chunk(dy + j);
        const Chunk d = act.cell_grad(dh, load_chunk(args.states + at + j));
        store_chunk(args.dxp + at + j, d);
        store_chunk(args.dpre + of_row + j, d);
        if (args.sums) store_chunk(args.sums + of_row + j, last ? d : load_chunk(args.sums + of_row + j) + d);
      }
    }
    if (step > 0 || args.wants_state)
      multiply_rows({args.dpre, args.u_t, nullptr, args.dh, s.h, s.h, stride, 0, stride}, group);
  }
  if (args.wants_state && args.mask) copy_masked(args.dh, args.dh, args.mask, stride, s.h, group.rows);
}

void simple_rnn_grad_run(const SimpleRnnGradArgs& args, int tile, int n_tiles) {
  with_activations(args.act, [&](const auto& act) {
    for_each_group(args.shape.n, tile, n_tiles, [&](const RowGroup& group) { run_group(args, act, group); });
  });
}

}  // namespace

void fill_simple_rnn(KernelTable& table) {
  table.simple_rnn = {simple_rnn_tiles, simple_rnn_run};
  table.simple_rnn_grad = {simple_rnn_grad_tiles, simple_rnn_grad_run};
}

}  // namespace weft::WEFT_ISA
