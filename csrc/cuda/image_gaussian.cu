// gaussian_filter over the last two axes of (N, planes, H, W). A block makes a tile of a plane: it filters along their
// rows all rows that its outputs depend on, keeps them in shared memory, and filters these along their columns.
// Each element is one chain of FMAs in the order of its sources. The scratch plane of the arguments is not needed.
#include <cstdlib>

#include "cuda/images.h"
#include "cuda/table.h"
#include "ops/image.h"

namespace weft::cuda {
namespace {

constexpr int kTileRows = 64;
constexpr int kEach = 4;  // neighbouring rows of a thread

// Weights by distance, from -kReach to kReach; 0 beyond the radius, as far as a thread's rows are apart.
constexpr int kReach = kMaxFilterRadius + kEach - 1;
struct WeightTables {
  float along_rows[2 * kReach + 1], along_columns[2 * kReach + 1];
};

struct FilterGrid {
  GaussianFilterArgs args;
  int tile_rows, kept_rows;
};

// Block (tile of columns, tile of rows, plane). Shared memory: the tables, then (kept_rows, columns).
template <int columns>
__device__ void gaussian_filter_body(const FilterGrid& grid) {
  const GaussianFilterArgs& args = grid.args;
  const int thread = static_cast<int>(threadIdx.x), slot = thread / columns, in_tile = thread % columns;
  constexpr int kStep = kThreads / columns * kEach;
  const int h = static_cast<int>(args.h), w = static_cast<int>(args.w), radius = args.radius;
  const int column = static_cast<int>(blockIdx.x) * columns + in_tile, j = std::min(column, w - 1);
  const int begin = static_cast<int>(blockIdx.y) * grid.tile_rows, end = std::min(begin + grid.tile_rows, h);
  const int kept_begin = std::max(0, begin - radius), kept_end = std::min(h, end + radius);
  const int left = std::max(0, j - radius), right = std::min(w, j + radius + 1);

  auto& tables = shared<WeightTables>();
  float* kept = reinterpret_cast<float*>(&tables + 1);
  for (int i = thread; i < 2 * kReach + 1; i += kThreads) {
    const int distance = std::abs(i - kReach);
    const float weight = distance <= radius ? args.weights[distance] : 0.0f;
    tables.along_rows[i] = weight;
    tables.along_columns[i] = weight * args.scale;
  }
  __syncthreads();

  for (int64_t plane = blockIdx.z; plane < args.n * args.planes; plane += gridDim.z) {
    const int64_t row = plane / args.planes, offset = plane % args.planes * args.h * args.w;
    const float* x = args.x + row * args.x_stride + offset;
    float* y = args.y + row * args.y_stride + offset;

    for (int i = kept_begin + slot * kEach; i < kept_end; i += kStep) {
      const float* from[kEach];
      float sum[kEach] = {};
      for (int q = 0; q < kEach; q++) from[q] = x + std::min(i + q, kept_end - 1) * w;
      for (int k = left; k < right; k++) {
        const float weight = tables.along_rows[kReach + k - j];
#pragma unroll
        for (int q = 0; q < kEach; q++) sum[q] = fmaf(from[q][k], weight, sum[q]);
      }
      for (int q = 0; q < kEach; q++) {
        if (i + q < kept_end) kept[(i + q - kept_begin) * columns + in_tile] = sum[q];
      }
    }
    __syncthreads();

    for (int i = begin + slot * kEach; i < end; i += kStep) {
      const int first = std::max(0, i - radius), last = std::min(kept_end, i + kEach + radius) - 1;
      const float* table = tables.along_columns + kReach - i;
      float sum[kEach] = {}, weight[kEach];
      for (int q = 0; q + 1 < kEach; q++) weight[q] = table[first - 1 - q];
#pragma unroll 4
      for (int k = first; k <= last; k++) {
        const float value = kept[(k - kept_begin) * columns + in_tile];
#pragma unroll
        for (int q = kEach - 1; q > 0; q--) weight[q] = weight[q - 1];  // of row i + q at k is of row i at k - q
        weight[0] = table[k];
#pragma unroll
        for (int q = 0; q < kEach; q++) sum[q] = fmaf(value, weight[q], sum[q]);
      }
      for (int q = 0; q < kEach; q++) {
        if (i + q < end && column < w) y[(i + q) * w + column] = sum[q];
      }
    }
    __syncthreads();
  }
}

void gaussian_filter(const GaussianFilterArgs& args) {
  if (args.h == 0 || args.w == 0) return;
  check_image_size(args.h * args.w);
  const int64_t tile_rows = std::min<int64_t>(args.h, kTileRows);
  const int64_t kept_rows = std::min<int64_t>(args.h, tile_rows + 2 * args.radius);
  const FilterGrid grid = {args, static_cast<int>(tile_rows), static_cast<int>(kept_rows)};
  const auto start = [&]<int columns>() {
    const dim3 blocks(static_cast<unsigned>(ceil_divide(args.w, columns)),
                      static_cast<unsigned>(ceil_divide(args.h, tile_rows)),
                      static_cast<unsigned>(std::min<int64_t>(args.n * args.planes, 65535)));
    const size_t shared_bytes = sizeof(WeightTables) + static_cast<size_t>(kept_rows) * columns * sizeof(float);
    launch<FilterGrid, gaussian_filter_body<columns>>(blocks, grid, shared_bytes);
  };
  // With a large radius so many rows are kept that only narrow ones fit into every GPU's shared memory.
  kept_rows <= 320 ? start.operator()<32>() : start.operator()<16>();
}

}  // namespace

void fill_image_gaussian(KernelTable& table) {
  table.gaussian_filter = kernel_of<GaussianFilterArgs, gaussian_filter>();
}

}  // namespace weft::cuda
