// update: an optimizer's rule over a variable whose gradient was stored. update_scalars: the step size of this step.
#include "cuda/kernel_update.h"
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

__device__ void update_body(const UpdateArgs& args) {
  for_each_item(args.size, [&](int64_t i) {
    float grad = args.grad[i];
    update_elements(args.spec, args.w, i, &grad, 1);
  });
}

void update(const UpdateArgs& args) { launch<UpdateArgs, update_body>(blocks_for(args.size), args); }

__device__ void update_scalars_body(const UpdateScalarsArgs& args) {
  const double rate = static_cast<double>(args.state->learning_rate);
  double step = rate;
  if (args.rule == UpdateRule::kAdam || args.rule == UpdateRule::kAmsgrad) {
    const double t = static_cast<double>(args.state->iteration) + 1;
    const double beta_1 = static_cast<double>(args.beta_1), beta_2 = static_cast<double>(args.beta_2);
    step *= ::sqrt(1 - ::pow(beta_2, t)) / (1 - ::pow(beta_1, t));
  }
  args.scalars[0] = static_cast<float>(step);
  args.scalars[1] = static_cast<float>(1 - rate * static_cast<double>(args.weight_decay));
}

void update_scalars(const UpdateScalarsArgs& args) { launch<UpdateScalarsArgs, update_scalars_body, 1>(dim3(1), args); }

}  // namespace

void fill_update(KernelTable& table) {
  table.update = kernel_of<UpdateArgs, update>();
  table.update_scalars = kernel_of<UpdateScalarsArgs, update_scalars>();
}

}  // namespace weft::cuda
