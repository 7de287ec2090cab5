// embedding: ids int32 (...), table (V, D) -> (..., D), and its gradient: ids, dy -> (V, D).
#include "ops/embedding.h"

#include "ops/op_table.h"

namespace weft {

namespace {

double move_time(const Shape& y) { return static_cast<double>(element_count(y)) / 4.0; }

std::vector<ValueSpec> infer_embedding(const InferContext& c) {
  c.expect_inputs(2, 2);
  c.expect_float(1);
  c.check(c.dtype(0) == DType::kInt32, "expects int32 ids, got float32");
  Shape y = c.shape(0);
  c.check(c.shape(1).size() == 2 && c.shape(1)[0] >= 1, "expects a table of shape (V, D), got ", c.shape(1));
  c.check(!y.empty() && y.size() < static_cast<size_t>(kMaxRank), "expects ids of shape (N, ...), got ", y);
  y.push_back(c.shape(1)[1]);
  return {{y}};
}

void gradient_embedding(GradientContext& c) {
  if (c.wanted[1]) {
    c.result[1] = c.record("embedding_grad", {c.input(0), c.dy}, {{"vocabulary", c.graph.shape(c.input(1))[0]}});
  }
}

// Ids (N, ...) are N rows; a vector of them is N rows of one, whose values y are rows of one table row.
struct IdRows {
  int64_t rows, per_row, stride;
};
IdRows id_rows(const Shape& ids) {
  if (ids.size() == 1) return {ids[0], 1, 1};
  const RowLayout r = row_layout(ids);
  return {r.rows, r.row_size, r.stride};
}

void lower_embedding(LowerContext& c) {
  const IdRows ids = id_rows(c.shape(0));
  const Shape& table = c.shape(1);
  EmbeddingArgs a{ids.rows,
                  ids.per_row,
                  table[0],
                  table[1],
                  reinterpret_cast<const int32_t*>(c.in(0)),
                  c.in(1),
                  c.out(),
                  ids.stride,
                  row_layout(table).stride,
                  row_layout(c.out_shape()).stride};
  c.call(c.kernels.embedding, a, move_time(c.out_shape()));
}

std::vector<ValueSpec> infer_embedding_grad(const InferContext& c) {
  return {{{c.attrs.integer("vocabulary"), c.shape(1).back()}}};
}

void gradient_embedding_grad(GradientContext& c) {
  if (c.wanted[1]) c.result[1] = c.record("embedding", {c.input(0), c.dy});
}

void lower_embedding_grad(LowerContext& c) {
  const IdRows ids = id_rows(c.shape(0));
  const Shape& table = c.out_shape();
  EmbeddingGradArgs a{ids.rows,
                      ids.per_row,
                      table[0],
                      table[1],
                      reinterpret_cast<const int32_t*>(c.in(0)),
                      c.in(1),
                      c.out(),
                      ids.stride,
                      row_layout(c.shape(1)).stride,
                      row_layout(table).stride};
  c.call(c.kernels.embedding_grad, a, move_time(c.shape(1)) + move_time(table));
}

}  // namespace

const OpDef kEmbedding = {"embedding", infer_embedding, gradient_embedding, lower_embedding};
const OpDef kEmbeddingGrad = {"embedding_grad", infer_embedding_grad, gradient_embedding_grad, lower_embedding_grad};

}  // namespace weft
