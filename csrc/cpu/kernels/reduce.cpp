// Sums, means, products and extrema over axes, and argmax. Three ways through the memory: along contiguous
// reduced elements in sixteen lanes; across, when the kept elements are the contiguous ones, lane by lane;
// and element by element when neither is. The order of each result is fixed by the shape alone.
// Tiles: outputs, see strided.h; one result is never split.
#include "cpu/kernels/strided.h"
#include "cpu/kernels/table.h"
#include "cpu/kernels/vector_math.h"

namespace weft::WEFT_ISA {
namespace {

static constexpr double kNanosecondsPerElement = 0.15;

struct Sum : Add {
  static constexpr float identity = 0.0f;
};
struct Product : Multiply {
  static constexpr float identity = 1.0f;
};
struct Largest : Maximum {
  static constexpr float identity = -kInfinity;
};
struct Smallest : Minimum {
  static constexpr float identity = kInfinity;
};

template <class Op>
WEFT_INLINE Chunk combine(Chunk a, Chunk b) {
  return map(a, b, Op{});
}

// One result, from runs of contiguous elements. float32 sums are folded into a double after every 1024
// elements or so, which keeps them exact to a few ulp at any length.
template <class Op>
struct Reduction {
  static constexpr int64_t kSegment = 1024;
  Chunk lanes[4];
  double total = Op::identity;
  int64_t pending = 0;  // elements in the lanes

  __attribute__((always_inline)) Reduction() { clear(); }
  __attribute__((always_inline)) void clear() {
    WEFT_UNROLL
    for (int j = 0; j < 4; j++) lanes[j] = broadcast_chunk(Op::identity);
    pending = 0;
  }
  __attribute__((always_inline)) void flush() {
    const Chunk all = combine<Op>(combine<Op>(lanes[0], lanes[1]), combine<Op>(lanes[2], lanes[3]));
    total = Op{}(total, static_cast<double>(fold(all, Op{})));
    clear();
  }
  __attribute__((always_inline)) void add_segment(const float* x, int64_t n) {
    int64_t i = 0;
    for (; i + 4 * kChunk <= n; i += 4 * kChunk) {
      WEFT_UNROLL
      for (int j = 0; j < 4; j++) {
        lanes[j] = combine<Op>(lanes[j], load_chunk(x + i + j * kChunk));
      }
    }
    for (; i + kChunk <= n; i += kChunk) lanes[0] = combine<Op>(lanes[0], load_chunk(x + i));
    if (i < n) lanes[0] = combine<Op>(lanes[0], load_partial_chunk(x + i, n - i, Op::identity));
    pending += round_up(n, kChunk);
    if (pending >= kSegment) flush();
  }
  __attribute__((always_inline)) void add_run(const float* x, int64_t n) {
    for (; n > kSegment; x += kSegment, n -= kSegment) add_segment(x, kSegment);
    add_segment(x, n);
  }
  __attribute__((always_inline)) double result() {
    if (pending > 0) flush();
    return total;
  }
};

// What is reduced, as merged axes; a contiguous axis, if there is one, is the last.
struct Reduced {
  Strided<1> axes;
  int64_t count;
  double divisor;  // of the total: the count for means, else 1
};

template <class Op>
WEFT_INLINE double reduce_along(const float* x, const Strided<1>& axes) {
  Reduction<Op> reduction;
  if (axes.rank == 1) {
    reduction.add_run(x, axes.shape[0]);
  } else {
    for_each_strided_run(axes, 0, 1,
                         [&](const int64_t(&offset)[1], int64_t n) { reduction.add_run(x + offset[0], n); });
  }
  return reduction.result();
}

template <class Op>
double reduce_scattered(const float* x, const Strided<1>& axes) {
  double total = Op::identity;
  const int64_t stride = axes.stride[0][axes.rank - 1];
  for_each_strided_run(axes, 0, 1, [&](const int64_t(&offset)[1], int64_t n) {
    for (int64_t i = 0; i < n; i++) total = Op{}(total, static_cast<double>(x[offset[0] + i * stride]));
  });
  return total;
}

// `chunks` * 16 neighbouring results at once, of which the last chunk may have only n_last elements. Rows are
// added up in float32 by groups of 256, then the groups.
template <class Op, int chunks>
WEFT_INLINE void reduce_across(const float* x, const Reduced& reduced, float* y, int64_t y_stride, int64_t n_last) {
  Chunk total[chunks], group[chunks];
  WEFT_UNROLL
  for (int j = 0; j < chunks; j++) total[j] = group[j] = broadcast_chunk(Op::identity);
  int64_t pending = 0;
  const int64_t stride = reduced.axes.stride[0][reduced.axes.rank - 1];
  for_each_strided_run(reduced.axes, 0, 1, [&](const int64_t(&offset)[1], int64_t n) {
    const float* row = x + offset[0];
    for (int64_t i = 0; i < n; i++, row += stride) {
      WEFT_UNROLL
      for (int j = 0; j < chunks; j++) {
        const float* p = row + j * kChunk;
        const Chunk next = j < chunks - 1 ? load_chunk(p) : load_partial_chunk(p, n_last, Op::identity);
        group[j] = combine<Op>(group[j], next);
      }
      if (++pending == 256) {
        WEFT_UNROLL
        for (int j = 0; j < chunks; j++) {
          total[j] = combine<Op>(total[j], group[j]);
          group[j] = broadcast_chunk(Op::identity);
        }
        pending = 0;
      }
    }
  });
  const float divisor = static_cast<float>(reduced.divisor);
  WEFT_UNROLL
  for (int j = 0; j < chunks; j++) {
    total[j] = map(combine<Op>(total[j], group[j]), [=](Vec v) { return v / divisor; });
    const int64_t n = j < chunks - 1 ? kChunk : n_last;
    if (y_stride == 1) {
      store_partial_chunk(y + j * kChunk, n, total[j]);
    } else {
      float buffer[kChunk];
      store_chunk(buffer, total[j]);
      for (int64_t i = 0; i < n; i++) y[(j * kChunk + i) * y_stride] = buffer[i];
    }
  }
}

template <class Op>
void reduce_with(const ReduceArgs& args, int tile, int n_tiles) {
  Strided<2> kept = merge_axes<2>(args.kept_rank, args.kept_shape, {args.kept_x_stride, args.kept_y_stride});
  Reduced reduced;
  reduced.axes = merge_axes<1>(args.reduced_rank, args.reduced_shape, {args.reduced_x_stride});
  reduced.count = count_elements(args.reduced_rank, args.reduced_shape);
  reduced.divisor = args.fn == ReduceFn::kMean ? static_cast<double>(reduced.count) : 1.0;
  const bool along = move_contiguous_last(reduced.axes);
  const bool across = !along && move_contiguous_last(kept);
  const int64_t x_stride = kept.stride[0][kept.rank - 1], y_stride = kept.stride[1][kept.rank - 1];
  if (across) {
    for_each_strided_run(kept, tile, n_tiles, [&](const int64_t(&offset)[2], int64_t n) {
      const float* x = args.x + offset[0];
      float* y = args.y + offset[1];
      int64_t i = 0;
      for (; i + 4 * kChunk <= n; i += 4 * kChunk) {
        reduce_across<Op, 4>(x + i, reduced, y + i * y_stride, y_stride, kChunk);
      }
      for (; i < n; i += kChunk) {
        const int64_t n_last = n - i < kChunk ? n - i : kChunk;
        reduce_across<Op, 1>(x + i, reduced, y + i * y_stride, y_stride, n_last);
      }
    });
    return;
  }
  for_each_strided_run<1>(kept, tile, n_tiles, [&](const int64_t(&offset)[2], int64_t n) {
    for (int64_t i = 0; i < n; i++) {
      const float* x = args.x + offset[0] + i * x_stride;
      const double total = along ? reduce_along<Op>(x, reduced.axes) : reduce_scattered<Op>(x, reduced.axes);
      args.y[offset[1] + i * y_stride] = static_cast<float>(total / reduced.divisor);
    }
  });
}

int reduce_tiles(const ReduceArgs& args, int threads) {
  const int64_t kept = count_elements(args.kept_rank, args.kept_shape);
  const int64_t elements = kept * count_elements(args.reduced_rank, args.reduced_shape);
  const int tiles = tiles_for(kNanosecondsPerElement, elements, threads);
  return tiles < kept ? tiles : kept > 0 ? static_cast<int>(kept) : 1;
}

void reduce_run(const ReduceArgs& args, int tile, int n_tiles) {
  switch (args.fn) {
    case ReduceFn::kSum:
    case ReduceFn::kMean:
      return reduce_with<Sum>(args, tile, n_tiles);
    case ReduceFn::kMax:
      return reduce_with<Largest>(args, tile, n_tiles);
    case ReduceFn::kMin:
      return reduce_with<Smallest>(args, tile, n_tiles);
    case ReduceFn::kProd:
      return reduce_with<Product>(args, tile, n_tiles);
  }
}

struct SmallerInt {
  template <class V>
  __attribute__((always_inline)) V operator()(V a, V b) const {
    return a < b ? a : b;
  }
};

// Sixteen candidates side by side, the first of each lane's largest; then the largest of those, and the
// smallest index among equals. A NaN counts as larger than any number, as in NumPy.
WEFT_INLINE int32_t argmax_row(const float* x, int64_t n, bool smallest) {
  const float fill = smallest ? kInfinity : -kInfinity;
  const IntVec flip = broadcast_int(smallest ? INT32_MIN : 0);
  const auto load_flipped = [&](int64_t first) {
    const Chunk loaded = load_partial_chunk(x + first, n - first, fill);
    return map(loaded, [&](Vec v) { return (Vec)((IntVec)v ^ flip); });
  };
  Chunk best = load_flipped(0);
  IntChunk index = map(chunk_index(0), [&](IntVec i) {
    return i < static_cast<int32_t>(n < kChunk ? n : kChunk) ? i : broadcast_int(INT32_MAX);
  });
  for (int64_t first = kChunk; first < n; first += kChunk) {
    const Chunk next = load_flipped(first);
    const IntChunk next_index = chunk_index(static_cast<int>(first));
    WEFT_UNROLL
    for (int j = 0; j < kParts; j++) {
      const Vec a = best.part[j], b = next.part[j];
      const IntVec better = (b > a) | ((b != b) & (a == a));
      best.part[j] = better ? b : a;
      index.part[j] = better ? next_index.part[j] : index.part[j];
    }
  }
  const float largest = fold(best, Maximum{});
  const Vec all = broadcast(largest);
  return fold(
      map(index, best,
          [&](IntVec i, Vec v) { return ((v == all) | ((v != v) & (all != all))) ? i : broadcast_int(INT32_MAX); }),
      SmallerInt{});
}

int argmax_tiles(const ArgmaxArgs& args, int threads) {
  const int64_t row_cost = 40 + args.row_size;
  return tiles_for(kNanosecondsPerElement * 2, args.rows * row_cost, threads);
}

void argmax_run(const ArgmaxArgs& args, int tile, int n_tiles) {
  const Range rows = split(args.rows, 1, tile, n_tiles);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    args.y[r] = argmax_row(args.x + r * args.x_stride, args.row_size, args.smallest);
  }
}

}  // namespace

void fill_reduce(KernelTable& table) {
  table.reduce = {reduce_tiles, reduce_run};
  table.argmax = {argmax_tiles, argmax_run};
}

}  // namespace weft::WEFT_ISA
