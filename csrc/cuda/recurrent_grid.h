// How lstm, gru and simple_rnn are laid over the GPU: which rows and which part of a step's product a warp has, and
// what of the recurrent kernel stays on the multiprocessor. See recurrent.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/launch.h"
#include "ops/recurrent.h"

namespace weft::cuda {

constexpr int kRecurrentThreads = 512;
constexpr int kRecurrentWarps = kRecurrentThreads / kWarp;
// A tile of the recurrent kernel is what a warp multiplies at once: 32 rows of two panels. Lane 4*d + q has the
// columns 4q to 4q + 3 of both, in the rows 4d to 4d + 3.
constexpr int kTile = 32;
constexpr int kTileBytes = kTile * kTile * 4;

// Rows that a warp multiplies at once: 1, 2, 4 or 8.
constexpr int kMostRowsOfWarp = 8;
// Tiles that a warp keeps in registers, where it has `rows` rows. More would spill.
constexpr int held_tiles(int rows) { return rows <= 2 ? 2 : rows <= 4 ? 1 : 0; }

// The product of every step, (n, k) x (k, columns), and how the blocks share it.
struct RecurrentGrid {
  const float* weights;  // panels (columns/16, k, 16)
  int64_t n;
  int h, k, columns;
  int blocks;
  bool products;    // some step has one
  int out_columns;  // of the result in shared memory: whole tiles, and what the op asks for beside them
  int states;       // floats that a block keeps for each hidden unit,
  int fetched;      // and those that it fetches ahead for every step, 0 where they do not fit
  int k_tiles, column_tiles;
  int across, splits, groups;  // warps side by side: along the columns, along k, and with further rows
  int split_tiles;             // tiles of a split along k
  int rows_of_warp;
  int shared_tiles;             // tiles of every warp that stay in shared memory
  int unit_rows, unit_columns;  // how far the block's threads reach over (rows, h): kRecurrentThreads / h and % h

  __host__ __device__ int rows() const { return rows_of_warp * groups; }
  __host__ __device__ int weight_floats() const { return shared_tiles * across * splits * (kTileBytes / 4); }
  __host__ __device__ int left_floats() const { return rows() * k_tiles * kTile; }
  __host__ __device__ int out_floats() const { return splits * rows() * out_columns; }
  __host__ __device__ int64_t shared_bytes() const {
    return 4 * (int64_t{weight_floats()} + left_floats() + out_floats() + int64_t{states + fetched} * rows() * h);
  }
};

// What an op asks of a grid.
struct RecurrentNeeds {
  RecurrentShape shape;
  const float* weights;  // panels (columns/16, k, 16)
  int64_t k, columns;    // of the product
  int64_t more_columns;  // kept beside its result
  int states, fetched;   // floats for each hidden unit: kept, and fetched ahead if they fit
  bool products;         // some step has a product
  bool whole_sums;       // k is not to be split
};

// Places the warps, and the tiles that stay.
inline RecurrentGrid recurrent_grid(const RecurrentNeeds& needs, int rows_of_warp, int groups, int64_t shared_limit) {
  RecurrentGrid g{};
  g.weights = needs.weights, g.n = needs.shape.n, g.h = static_cast<int>(needs.shape.h);
  g.k = static_cast<int>(needs.k), g.columns = static_cast<int>(needs.columns);
  g.products = needs.products, g.states = needs.states, g.fetched = needs.fetched;
  g.k_tiles = static_cast<int>(ceil_divide(needs.k, kTile));
  g.column_tiles = static_cast<int>(ceil_divide(needs.columns, kTile));
  g.out_columns = static_cast<int>(round_up(g.column_tiles * kTile + needs.more_columns, kTile));
  g.across = g.column_tiles < kRecurrentWarps ? g.column_tiles : kRecurrentWarps;
  const int idle = needs.whole_sums ? 1 : kRecurrentWarps / g.across, most_splits = idle < g.k_tiles ? idle : g.k_tiles;
  g.split_tiles = static_cast<int>(ceil_divide(g.k_tiles, most_splits));
  g.splits = static_cast<int>(ceil_divide(g.k_tiles, g.split_tiles));
  g.groups = groups, g.rows_of_warp = rows_of_warp;
  g.unit_rows = kRecurrentThreads / g.h, g.unit_columns = kRecurrentThreads % g.h;
  if (g.shared_bytes() > shared_limit) g.fetched = 0;
  const int64_t all = needs.products ? ceil_divide(g.column_tiles, g.across) * g.split_tiles : 0;
  const int64_t free = shared_limit - g.shared_bytes();
  const int64_t unheld = all > held_tiles(rows_of_warp) ? all - held_tiles(rows_of_warp) : 0;
  const int64_t fitting = free > 0 ? free / (int64_t{g.across} * g.splits * kTileBytes) : 0;
  g.shared_tiles = static_cast<int>(unheld < fitting ? unheld : fitting);
  return g;
}

// Rough clocks for one step of all rows, to choose a grid by.
inline double recurrent_clocks(const RecurrentGrid& g, int multiprocessors) {
  constexpr double kPhases = 800.0;                     // reduction, cell's function, two barriers
  constexpr double kL2OfOne = 64.0, kL2OfAll = 3000.0;  // bytes a clock
  const double tiles = static_cast<double>(ceil_divide(g.column_tiles, g.across) * g.split_tiles);
  const double kernel_warps = g.across * g.splits, warps = kernel_warps * g.groups;
  const double blocks = static_cast<double>(ceil_divide(g.n, g.rows()));
  const double at_once = blocks < multiprocessors ? blocks : multiprocessors;
  const double unheld = tiles > held_tiles(g.rows_of_warp) ? tiles - held_tiles(g.rows_of_warp) : 0.0;
  const double from_l2 = (unheld - g.shared_tiles) * kernel_warps * kTileBytes;
  const double costs[] = {
      static_cast<double>(ceil_divide(g.across * g.splits * g.groups, 4)) * tiles * kTile * g.rows_of_warp,  // FMAs
      warps * (g.shared_tiles * kTileBytes / 128.0 + tiles * 2 * g.rows_of_warp),  // reads of shared memory
      from_l2 / kL2OfOne, from_l2 * at_once / kL2OfAll};
  double longest = 0.0;
  for (const double cost : costs) longest = cost > longest ? cost : longest;
  return static_cast<double>(ceil_divide(static_cast<int64_t>(blocks), multiprocessors)) * (kPhases + longest);
}

// The grid that seems fastest among those whose warps have a number of rows with offers_rows(rows).
inline RecurrentGrid fastest_recurrent_grid(const RecurrentNeeds& needs, bool (*offers_rows)(int)) {
  const int multiprocessors = device_attribute(cudaDevAttrMultiProcessorCount);
  const int64_t shared_limit = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  RecurrentGrid fastest{};
  double least = -1.0;
  for (int rows = 1; rows <= kMostRowsOfWarp; rows *= 2) {
    if (!offers_rows(rows)) continue;
    for (int groups = 1; groups <= kRecurrentWarps; groups++) {
      const RecurrentGrid grid = recurrent_grid(needs, rows, groups, shared_limit);
      if (grid.across * grid.splits * groups > kRecurrentWarps || grid.shared_bytes() > shared_limit) break;
      const double clocks = recurrent_clocks(grid, multiprocessors);
      if (least < 0.0 || clocks < least) least = clocks, fastest = grid;
    }
  }
  if (least < 0.0) {
    fail("a recurrent layer of %lld units does not fit into this GPU's shared memory",
         static_cast<long long>(needs.shape.h));
  }
  const int64_t blocks = ceil_divide(fastest.n, fastest.rows());
  fastest.blocks = static_cast<int>(blocks < multiprocessors ? blocks : multiprocessors);
  return fastest;
}

}  // namespace weft::cuda
