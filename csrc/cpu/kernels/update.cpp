// update: an optimizer's rule over a variable whose gradient was stored. update_scalars: the step size of
// the current step. A thread's tile of update is a share of the elements, in units of a chunk.

#include "cpu/kernels/table.h"
#include "cpu/kernels/tiling.h"
#include "cpu/kernels/vector_math.h"
#include "ops/update_rules.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kChunk = 512;      // floats whose prepared gradient waits in L1
constexpr int64_t kUpdateWork = 32;  // an element's loads and stores, in multiply-adds of a product

int update_tiles(const UpdateArgs& args, int threads) {
  return suitable_tiles(args.size * kUpdateWork, ceil_divide(args.size, kChunk), threads);
}

// Up to kChunk elements from `at` on, a multiple of 16.
void update_chunk(const UpdateSpec& spec, float* w, const float* grad, int64_t at, int64_t n) {
  alignas(64) float prepared[kChunk];
  if (!needs_preparation(spec)) return apply_update(spec, w, at, grad + at, n);
  for (int64_t i = 0; i < n; i += kWidth) store(prepared + i, load(grad + at + i));
  prepare_update(spec, prepared, w + at, n);
  apply_update(spec, w, at, prepared, n);
}

// The last elements, fewer than 16, in copies that are a whole vector long.
void update_rest(const UpdateSpec& spec, float* w, const float* grad, int64_t at, int64_t n) {
  float copies[5][kPanel] = {};
  float* arrays[4] = {w, spec.slot0, spec.slot1, spec.slot2};
  for (int a = 0; a < 4; a++)
    for (int64_t i = 0; i < n && arrays[a]; i++) copies[a][i] = arrays[a][at + i];
  for (int64_t i = 0; i < n; i++) copies[4][i] = grad[at + i];
  UpdateSpec on_copies = spec;
  on_copies.slot0 = copies[1];
  on_copies.slot1 = copies[2];
  on_copies.slot2 = copies[3];
  update_chunk(on_copies, copies[0], copies[4], 0, kPanel);
  for (int a = 0; a < 4; a++)
    for (int64_t i = 0; i < n && arrays[a]; i++) arrays[a][at + i] = copies[a][i];
}

void update_run(const UpdateArgs& args, int tile, int n_tiles) {
  const Range elements = split(args.size, kChunk, tile, n_tiles);
  for (int64_t at = elements.begin; at < elements.end; at += kChunk) {
    const int64_t n = smaller(kChunk, elements.end - at), whole = n / kPanel * kPanel;
    update_chunk(args.spec, args.w, args.grad, at, whole);
    if (whole < n) update_rest(args.spec, args.w, args.grad, at + whole, n - whole);
  }
}

int update_scalars_tiles(const UpdateScalarsArgs&, int) { return 1; }

void update_scalars_run(const UpdateScalarsArgs& args, int tile, int) {
  if (tile != 0) return;
  double step = args.state->learning_rate;
  if (args.rule == UpdateRule::kAdam || args.rule == UpdateRule::kAmsgrad) {
    const double t = static_cast<double>(args.state->iteration) + 1;
    const double beta_1 = args.beta_1, beta_2 = args.beta_2;
    step *= __builtin_sqrt(1 - __builtin_pow(beta_2, t)) / (1 - __builtin_pow(beta_1, t));
  }
  args.scalars[0] = static_cast<float>(step);
  args.scalars[1] = static_cast<float>(1 - double{args.state->learning_rate} * double{args.weight_decay});
}

}  // namespace

void fill_update(KernelTable& table) {
  table.update = {update_tiles, update_run};
  table.update_scalars = {update_scalars_tiles, update_scalars_run};
}

}  // namespace weft::WEFT_ISA
