// Changes of layout: pack (rows to panels), unpack (panels to rows) and transpose; and scale_panels.
#include "cuda/launch.h"
#include "cuda/table.h"

namespace weft::cuda {
namespace {

// Element i of panels (n/16, k, 16) is row k, column n of the matrix.
struct PanelPlace {
  int64_t row, column;
};
__device__ PanelPlace panel_place(int64_t i, int64_t k) {
  return {i / kPanel % k, i / (kPanel * k) * kPanel + i % kPanel};
}

__device__ void pack_body(const PackArgs& args) {
  for_each_item(panel_size(args.k, args.n), [&](int64_t i) {
    const PanelPlace at = panel_place(i, args.k);
    args.panels[i] = at.column < args.n ? args.rows[at.row * args.row_stride + at.column] : 0.0f;
  });
}
void pack(const PackArgs& args) { launch<PackArgs, pack_body>(blocks_for(panel_size(args.k, args.n)), args); }

__device__ void unpack_body(const UnpackArgs& args) {
  for_each_item(panel_size(args.k, args.n), [&](int64_t i) {
    const PanelPlace at = panel_place(i, args.k);
    if (at.column < args.n) args.rows[at.row * args.row_stride + at.column] = args.panels[i];
  });
}
void unpack(const UnpackArgs& args) { launch<UnpackArgs, unpack_body>(blocks_for(panel_size(args.k, args.n)), args); }

__device__ void scale_panels_body(const ScalePanelsArgs& args) {
  for_each_item(panel_size(args.k, args.n), [&](int64_t i) {
    const PanelPlace at = panel_place(i, args.k);
    args.y[i] = at.column < args.n ? args.w[i] * args.scale[at.column] : 0.0f;
  });
}
void scale_panels(const ScalePanelsArgs& args) {
  launch<ScalePanelsArgs, scale_panels_body>(blocks_for(panel_size(args.k, args.n)), args);
}

// A block turns 32 x 32 elements in shared memory, so that both sides are read and written in whole lines.
constexpr int kSide = 32, kLines = 8;
struct Square {
  float x[kSide][kSide + 1];
};

__device__ void transpose_body(const TransposeArgs& args) {
  Square& s = shared<Square>();
  const int lane = threadIdx.x % kSide, line = threadIdx.x / kSide;
  const int64_t first_row = int64_t{blockIdx.x} * kSide, first_column = int64_t{blockIdx.y} * kSide;
  for (int i = line; i < kSide; i += kLines) {
    const int64_t row = first_row + i, column = first_column + lane;
    const bool exists = row < args.rows && column < args.columns;
    s.x[i][lane] = exists ? args.x[row * args.x_stride + column] : 0.0f;
  }
  __syncthreads();
  for (int i = line; i < kSide; i += kLines) {
    const int64_t row = first_column + i, column = first_row + lane;  // of y
    if (row < args.columns && column < round_up(args.rows, kPanel)) args.y[row * args.y_stride + column] = s.x[lane][i];
  }
}
void transpose(const TransposeArgs& args) {
  const dim3 blocks(static_cast<unsigned>(ceil_divide(args.rows, kSide)),  // of which there may be many
                    static_cast<unsigned>(ceil_divide(args.columns, kSide)));
  launch<TransposeArgs, transpose_body, kSide * kLines>(blocks, args, sizeof(Square));
}

}  // namespace

void fill_pack(KernelTable& table) {
  table.pack = kernel_of<PackArgs, pack>();
  table.unpack = kernel_of<UnpackArgs, unpack>();
  table.scale_panels = kernel_of<ScalePanelsArgs, scale_panels>();
  table.transpose = kernel_of<TransposeArgs, transpose>();
}

}  // namespace weft::cuda
