// embedding gathers rows of a table, embedding_grad adds the rows of dy up by their ids. A tile of the first is a share
// of the ids; of the second it owns every n_tiles-th row of the table, so that each sum is made by one tile in the
// order of the ids, and the frequent ids (often the small ones) are dealt out evenly.

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

constexpr double kNanosecondsPerElement = 0.1;

int embedding_tiles(const EmbeddingArgs& args, int threads) {
  return tiles_for(kNanosecondsPerElement, args.rows * args.per_row * (args.features + kChunk), threads);
}

void embedding_run(const EmbeddingArgs& args, int tile, int n_tiles) {
  const Range range = split(args.rows * args.per_row, 1, tile, n_tiles);
  int64_t row = args.per_row > 0 ? range.begin / args.per_row : 0, place = range.begin - row * args.per_row;
  for (int64_t i = range.begin; i < range.end; i++) {
    const int64_t id = args.ids[row * args.ids_stride + place];
    float* y = args.y + row * args.y_stride + place * args.features;  // (features)
    const bool known = id >= 0 && id < args.vocabulary;
    const float* from = args.table + (known ? id : 0) * args.table_stride;  // (features), padded
    for (int64_t j = 0; j < args.features; j += kChunk)
      store_partial_chunk(y + j, args.features - j, known ? load_chunk(from + j) : broadcast_chunk(kNaN));
    if (++place == args.per_row) row++, place = 0;
  }
}

int embedding_grad_tiles(const EmbeddingGradArgs& args, int threads) {
  const int64_t elements = (args.rows * args.per_row + args.vocabulary) * (args.features + kChunk);
  return tiles_for(kNanosecondsPerElement, elements, threads);
}

void embedding_grad_run(const EmbeddingGradArgs& args, int tile, int n_tiles) {
  for (int64_t v = tile; v < args.vocabulary; v += n_tiles)
    for (int64_t j = 0; j < args.features; j += kChunk)
      store_chunk(args.grad + v * args.grad_stride + j, broadcast_chunk(0.0f));
  for (int64_t row = 0; row < args.rows; row++) {
    const int32_t* ids = args.ids + row * args.ids_stride;  // (per_row)
    const float* dy = args.dy + row * args.dy_stride;       // (per_row, features)
    for (int64_t place = 0; place < args.per_row; place++, dy += args.features) {
      const int64_t id = ids[place];
      if (id < 0 || id >= args.vocabulary || id % n_tiles != tile) continue;
      float* grad = args.grad + id * args.grad_stride;  // (features), padded
      for (int64_t j = 0; j < args.features; j += kChunk)
        store_chunk(grad + j, load_chunk(grad + j) + load_partial_chunk(dy + j, args.features - j, 0.0f));
    }
  }
}

}  // namespace

void fill_embedding(KernelTable& table) {
  table.embedding = {embedding_tiles, embedding_run};
  table.embedding_grad = {embedding_grad_tiles, embedding_grad_run};
}

}  // namespace weft::WEFT_ISA
