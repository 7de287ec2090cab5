// Uniform and normal values from Philox, element by element a function of (seed, stream, draw, element). A thread has
// four elements: one draw.
#include <cmath>

#include "cuda/lane.h"
#include "cuda/launch.h"
#include "cuda/philox.h"
#include "cuda/quad.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

struct RandomGridArgs {
  RandomArgs random;
  QuadGrid quads;
  float limit;  // no uniform value is above it
};

// The top 24 bits of a word, as 0 <= u < 1.
__device__ __forceinline__ float unit(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// Box-Muller: radius from the first word, angle from the second.
__device__ __forceinline__ float2 normal_pair(uint32_t first, uint32_t second, const RandomArgs& args) {
  const float u = unit(first) + 0x1p-24f;  // 0 < u <= 1
  const float radius = square_root(log(u) * -2.0f) * args.b;
  float sine, cosine;
  ::sincospif(unit(second) * 2.0f, &sine, &cosine);
  return make_float2(radius * cosine + args.a, radius * sine + args.a);
}

template <RandomFn fn>
__device__ void random_body(const RandomGridArgs& args) {
  const RandomArgs& a = args.random;
  const RowWords words(a.state, a.stream, a.row_size);
  args.quads.for_each([&](int64_t row, int64_t column, int64_t n) {
    const uint4 w = words.at(row, column);
    float4 y;
    if constexpr (fn == RandomFn::kUniform) {
      const auto uniform = [&](uint32_t word) { return at_most(unit(word) * (a.b - a.a) + a.a, args.limit); };
      y = make_float4(uniform(w.x), uniform(w.y), uniform(w.z), uniform(w.w));
    } else {
      const float2 low = normal_pair(w.x, w.y, a), high = normal_pair(w.z, w.w, a);
      y = make_float4(low.x, low.y, high.x, high.y);
    }
    store_quad(a.y + row * a.y_stride + column, n, y);
  });
}

void random(const RandomArgs& args) {
  const QuadGrid quads = quad_grid(args.rows, args.row_size);
  if (args.row_size == 0) return;
  // The largest float below b: rounding in a + u*(b - a) could reach b itself. No limit if the range is empty.
  const float limit = args.a < args.b ? std::nextafter(args.b, -INFINITY) : INFINITY;
  const RandomGridArgs grid = {args, quads, limit};
  if (args.fn == RandomFn::kUniform)
    launch<RandomGridArgs, random_body<RandomFn::kUniform>>(blocks_for(quads.count()), grid);
  else
    launch<RandomGridArgs, random_body<RandomFn::kNormal>>(blocks_for(quads.count()), grid);
}

}  // namespace

void fill_random(KernelTable& table) { table.random = kernel_of<RandomArgs, random>(); }

}  // namespace weft::cuda
