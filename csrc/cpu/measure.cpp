#include "cpu/measure.h"

#include <chrono>
#include <thread>
#include <vector>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/shape.h"
#include "core/thread_pool.h"
#include "cpu/cpu_device.h"
#include "cpu/isa.h"

namespace weft {

namespace {

using Clock = std::chrono::steady_clock;

struct Operands {
  explicit Operands(int64_t floats) : buffer(cpu_device(), static_cast<size_t>(floats) * sizeof(float)) {
    for (int64_t i = 0; i < floats; ++i) buffer.floats()[i] = static_cast<float>(i % 17) * 0.01f - 0.08f;
  }
  float* data() const { return buffer.floats(); }
  Buffer buffer;
};

template <class Args>
double time_kernel(const Kernel<Args>& kernel, const Args& args, int threads, double seconds) {
  Program program;
  program.phases.resize(1);
  program.phases[0].steps.push_back(step_of(kernel, args, threads));
  program.phases[0].distribute(threads);
  int64_t calls = 0;
  Clock::time_point begin = Clock::now();
  double elapsed = 0;
  program.next_step = [&] {
    if (++calls == 3) begin = Clock::now();  // the first calls warm the caches
    elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
    return calls < 4 || elapsed < seconds;
  };
  if (threads == 1) {
    run_serially(program);
  } else {
    ThreadPool(threads).run(program);
  }
  return elapsed / static_cast<double>(calls - 3);
}

}  // namespace

double measure_fma_peak(int threads, double seconds, const std::string& isa) {
  check(threads >= 1 && seconds > 0, "threads must be at least 1 and seconds above 0");
  double (*peak)(double) = isa.empty() ? isa_choice().fma_peak_gflops : fma_peak_of(isa);
  check(peak != nullptr, "the instruction set '", isa, "' is not available on this CPU");
  std::vector<double> results(threads);
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back([&, t] { results[t] = peak(seconds); });
  results[0] = peak(seconds);
  for (std::thread& other : others) other.join();
  double total = 0;
  for (double result : results) total += result;
  return total;
}

double measure_dense(const std::string& role, int64_t m, int64_t k, int64_t n, int threads, double seconds) {
  check(m > 0 && k > 0 && n > 0 && threads > 0 && seconds > 0, "m, k, n, threads and seconds must be above 0");
  const KernelTable& kernels = cpu_device().kernels();
  const RowLayout x = row_layout({m, k}), y = row_layout({m, n}), y_t = row_layout({n, m});
  const Operands a(x.storage()), b(y.storage()), b_t(y_t.storage()), w(panel_size(k, n)), bias(round_up(n, kPanel));
  double call_seconds = 0;
  if (role == "forward") {
    DenseForwardArgs args{};
    args.m = m, args.k = k, args.n = n;
    args.x = a.data(), args.w = w.data(), args.bias = bias.data(), args.y = b.data();
    args.x_stride = x.stride, args.y_stride = y.stride;
    args.act.fn = UnaryFn::kRelu;
    call_seconds = time_kernel(kernels.dense_forward, args, threads, seconds);
  } else if (role == "grad_input") {
    DenseGradInputArgs args{};
    args.m = m, args.k = k, args.n = n;
    const Operands saved(x.storage());
    args.dy_t = b_t.data(), args.w = w.data(), args.saved = saved.data(), args.dx = a.data();
    args.dy_t_stride = y_t.stride, args.dx_stride = x.stride;
    args.act.fn = UnaryFn::kRelu;
    call_seconds = time_kernel(kernels.dense_grad_input, args, threads, seconds);
  } else if (role == "grad_kernel") {
    DenseGradKernelArgs args{};
    args.m = m, args.k = k, args.n = n;
    args.x = a.data(), args.dy = b.data(), args.grad = w.data();
    args.x_stride = x.stride, args.dy_stride = y.stride;
    call_seconds = time_kernel(kernels.dense_grad_kernel, args, threads, seconds);
  } else {
    fail("role must be forward, grad_input or grad_kernel, got '", role, "'");
  }
  return 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n) / call_seconds * 1e-9;
}

}  // namespace weft
