#include "cpu/measure.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
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
void add_phase(Program& program, const Kernel<Args>& kernel, const Args& args, int threads) {
  check(kernel.run != nullptr, "this kernel is missing");
  Phase& phase = program.phases.emplace_back();
  phase.steps.push_back(step_of(kernel, args, threads));
  phase.distribute(threads);
}

// Seconds of one step of the program.
double time_program(Program& program, int threads, double seconds) {
  StepState state{};
  program.state = &state;
  ThreadPool pool(threads);
  const auto time = [&](int64_t steps) {
    const auto begin = Clock::now();
    threads == 1 ? run_serially(program, steps) : pool.run(program, steps);
    return std::chrono::duration<double>(Clock::now() - begin).count() / static_cast<double>(steps);
  };
  time(2);  // warms the caches
  const double rough = time(2);
  return time(static_cast<int64_t>(seconds / rough) + 1);
}

template <class Args>
double time_kernel(const Kernel<Args>& kernel, const Args& args, int threads, double seconds) {
  Program program;
  add_phase(program, kernel, args, threads);
  return time_program(program, threads, seconds);
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

double measure_round_trip() {
  constexpr int kBatches = 20, kTrips = 200;
  alignas(64) std::atomic<int> turn = 0;  // even: of this thread
  const auto wait_for = [&](int value) {
    for (int spins = 0; turn.load(std::memory_order_acquire) != value;)
      if (++spins % 1024 == 0) std::this_thread::yield();  // both may be on one CPU
  };
  std::thread other([&] {
    for (int trip = 0; trip < kBatches * kTrips; ++trip) {
      wait_for(2 * trip + 1);
      turn.store(2 * trip + 2, std::memory_order_release);
    }
  });
  double least = std::numeric_limits<double>::infinity();
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto begin = Clock::now();
    for (int trip = batch * kTrips; trip < (batch + 1) * kTrips; ++trip) {
      turn.store(2 * trip + 1, std::memory_order_release);
      wait_for(2 * trip + 2);
    }
    least = std::min(least, std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / kTrips);
  }
  other.join();
  return least;
}

double measure_dense(const std::string& role, int64_t m, int64_t k, int64_t n, int threads, double seconds) {
  check(m > 0 && k > 0 && n > 0 && threads > 0 && seconds > 0, "m, k, n, threads and seconds must be above 0");
  const KernelTable& kernels = cpu_device().kernels();
  const RowLayout x = row_layout({m, k}), y = row_layout({m, n}), y_t = row_layout({n, m});
  const Operands a(x.storage()), b(y.storage()), b_t(y_t.storage()), w(panel_size(k, n)), bias(round_up(n, kPanel));
  double call_seconds = 0;
  if (role == "forward") {
    DenseForwardArgs args{};
    args.m = m, args.k = k, args.n = n, args.threads = threads;
    args.x = a.data(), args.w = w.data(), args.bias = bias.data(), args.y = b.data();
    args.x_stride = x.stride, args.y_stride = y.stride;
    args.act.fn = UnaryFn::kRelu;
    call_seconds = time_kernel(kernels.dense_forward, args, threads, seconds);
  } else if (role == "grad_input") {
    DenseGradInputArgs args{};
    args.m = m, args.k = k, args.n = n, args.threads = threads;
    const Operands saved(x.storage());
    args.dy = b_t.data(), args.w = w.data(), args.saved = saved.data(), args.dx = a.data();
    args.dy_stride = y_t.stride, args.dx_stride = x.stride;
    args.act.fn = UnaryFn::kRelu;
    call_seconds = time_kernel(kernels.dense_grad_input, args, threads, seconds);
  } else if (role == "grad_kernel") {
    DenseGradKernelArgs args{};
    args.m = m, args.k = k, args.n = n, args.threads = threads;
    args.x = a.data(), args.dy = b.data(), args.grad = w.data();
    args.x_stride = x.stride, args.dy_stride = y.stride;
    call_seconds = time_kernel(kernels.dense_grad_kernel, args, threads, seconds);
  } else {
    fail("role must be forward, grad_input or grad_kernel, got '", role, "'");
  }
  return 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n) / call_seconds * 1e-9;
}

double measure_conv(const std::string& role, const ConvBenchmark& sizes, int threads, double seconds) {
  const ConvBenchmark& z = sizes;
  check(z.n > 0 && z.h > 0 && z.w > 0 && z.c > 0 && z.f > 0 && z.kernel > 0 && z.pool > 0,
        "n, h, w, c, f, kernel and pool must be above 0");
  check(threads > 0 && seconds > 0, "threads and seconds must be above 0");
  const int64_t padding = z.padding_same ? z.kernel - 1 : 0;
  const ConvShape s = {z.n,
                       z.h,
                       z.w,
                       z.c,
                       z.h + padding - z.kernel + 1,
                       z.w + padding - z.kernel + 1,
                       z.f,
                       z.kernel,
                       z.kernel,
                       1,
                       1,
                       1,
                       1,
                       padding / 2,
                       padding / 2};
  check(s.oh >= z.pool && s.ow >= z.pool, "the kernel or the pooling does not fit into ", z.h, " x ", z.w, " pixels");
  const ConvPool pool = {z.pool, z.pool};
  const int64_t k = z.kernel * z.kernel * z.c;
  const RowLayout in = row_layout({z.n, z.h, z.w, z.c}), out = row_layout({z.n, s.oh / pool.h, s.ow / pool.w, z.f});
  const Operands x(in.storage()), y(out.storage()), w(panel_size(k, z.f)), bias(round_up(z.f, kPanel));
  const Buffer places(cpu_device(), static_cast<size_t>(out.storage()));
  uint8_t* const argmax = reinterpret_cast<uint8_t*>(places.floats());
  for (int64_t i = 0; i < out.storage(); ++i) argmax[i] = static_cast<uint8_t>(i % (z.pool * z.pool));
  const KernelTable& kernels = cpu_device().kernels();
  Program program;
  double call_seconds = 0;
  if (role == "forward") {
    Conv2dForwardArgs args{};
    args.shape = s, args.x = x.data(), args.w = w.data(), args.bias = bias.data(), args.y = y.data();
    args.x_stride = in.stride, args.y_stride = args.argmax_stride = out.stride;
    args.act.fn = UnaryFn::kRelu;
    args.pool = pool, args.argmax = z.pool > 1 ? argmax : nullptr;
    args.winograd = kernels.winograd && suits_winograd(s) && z.pool <= 2;
    const Operands transformed(args.winograd ? panel_size(16 * z.c, z.f) : 0);
    if (args.winograd) {
      args.w = transformed.data();
      add_phase(program, kernels.conv2d_winograd_kernel,
                Conv2dWinogradKernelArgs{z.c, z.f, false, w.data(), transformed.data()}, threads);
    }
    add_phase(program, kernels.conv2d_forward, args, threads);
    call_seconds = time_program(program, threads, seconds);
  } else if (role == "grad_input") {
    const bool winograd = kernels.winograd && suits_winograd(grad_input_shape(s));
    const Operands flipped(winograd ? panel_size(16 * z.f, z.c) : conv2d_flipped_size(s)), saved(in.storage());
    Conv2dGradInputArgs args{};
    args.shape = s, args.dy = y.data(), args.flipped = flipped.data(), args.saved = saved.data(), args.dx = x.data();
    args.dy_stride = args.argmax_stride = out.stride, args.dx_stride = in.stride;
    args.saved_act.fn = UnaryFn::kRelu;
    args.pool = pool, args.argmax = z.pool > 1 ? argmax : nullptr;
    args.winograd = winograd;
    if (winograd)
      add_phase(program, kernels.conv2d_winograd_kernel,
                Conv2dWinogradKernelArgs{z.c, z.f, true, w.data(), flipped.data()}, threads);
    else
      add_phase(program, kernels.conv2d_flip_kernel, Conv2dFlipKernelArgs{s, w.data(), flipped.data()}, threads);
    add_phase(program, kernels.conv2d_grad_input, args, threads);
    call_seconds = time_program(program, threads, seconds);
  } else if (role == "grad_kernel") {
    Conv2dGradKernelArgs args{};
    args.shape = s, args.x = x.data(), args.dy = y.data(), args.grad = w.data();
    args.x_stride = in.stride, args.dy_stride = args.argmax_stride = out.stride;
    args.pool = pool, args.argmax = z.pool > 1 ? argmax : nullptr;
    const bool winograd = kernels.winograd && grad_kernel_suits_winograd(s);
    const int64_t groups = conv2d_grad_kernel_groups(s, winograd), size = panel_size(k, z.f);
    const RowLayout parts = row_layout({groups, size});
    const Operands partials(parts.storage());
    if (groups > 1 || winograd) {
      DenseGradBiasArgs sum{};
      sum.blocks = 1, sum.m = groups, sum.n = size;
      sum.dy = partials.data(), sum.dy_stride = parts.stride, sum.grad = w.data();
      const Conv2dGradKernelPartialsArgs split = {args, groups, partials.data(), parts.stride, winograd};
      add_phase(program, kernels.conv2d_grad_kernel_partials, split, threads);
      add_phase(program, kernels.dense_grad_bias, sum, threads);
    } else {
      add_phase(program, kernels.conv2d_grad_kernel, args, threads);
    }
    call_seconds = time_program(program, threads, seconds);
  } else {
    fail("role must be forward, grad_input or grad_kernel, got '", role, "'");
  }
  return 2.0 * static_cast<double>(z.n * s.oh * s.ow) * static_cast<double>(k * z.f) / call_seconds * 1e-9;
}

}  // namespace weft
