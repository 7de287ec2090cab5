// Walking a value (rows, positions, channels) so that a lane meets the same channel again and again: in pieces
// of one position, or of several where the channels of one would end in the middle of a vector.
#pragma once

#include "cpu/kernels/chunk.h"
#include "cpu/kernels/tiling.h"
#include "ops/batch_norm.h"

namespace weft::WEFT_ISA {
namespace {

// The widest piece: a few arrays of it fit into L1.
constexpr int64_t kWidest = kChannelBlock;
// An array of a lane for each float of a piece; whole chunks may be read and written at its end.
constexpr int64_t kLanes = kWidest + kChunk;

// Zero in the lanes from n on.
WEFT_INLINE Chunk only_first(Chunk x, int64_t n) {
  const int32_t count = static_cast<int32_t>(n);
  return map(x, chunk_index(0), [=](Vec v, IntVec i) { return (Vec)((i < count) & (IntVec)v); });
}

// One block of neighbouring channels.
struct Pieces {
  int64_t rows, row_stride;
  int64_t per_row, step;      // pieces of a row, floats from one to the next
  int64_t width, last_width;  // floats of a piece, and of the last one of a row
  int64_t channel, channels;  // the block: its first channel, and how many
  int64_t repeat, positions;  // positions of a piece, and of a row
};

WEFT_INLINE int64_t channel_blocks(const ChannelShape& s) { return ceil_divide(s.channels, kChannelBlock); }

// Positions side by side that fill whole chunks, 64 floats or more of them.
inline int64_t repeat_of(const ChannelShape& s) {
  int64_t repeat = 1;
  while (repeat * s.channels % kChunk != 0 || repeat * s.channels < 64) repeat *= 2;
  const int64_t width = repeat * s.channels;
  return width <= kWidest && 2 * repeat <= s.positions ? repeat : 1;
}

inline Pieces pieces_of(const ChannelShape& s, int64_t block) {
  Pieces p;
  p.rows = s.rows, p.row_stride = s.stride, p.positions = s.positions;
  p.channel = block * kChannelBlock;
  p.channels = smaller(kChannelBlock, s.channels - p.channel);
  p.repeat = s.channels <= kChannelBlock ? repeat_of(s) : 1;
  p.per_row = ceil_divide(s.positions, p.repeat);
  p.step = p.repeat * s.channels;
  p.width = p.repeat * p.channels;
  p.last_width = (s.positions - (p.per_row - 1) * p.repeat) * p.channels;
  if (p.per_row == 1) {  // rows are pieces
    p.per_row = p.positions = p.rows;
    p.step = p.row_stride;
    p.rows = 1;
  }
  return p;
}

WEFT_INLINE int64_t piece_count(const Pieces& p) { return p.rows * p.per_row; }

// How many positions come before a piece.
WEFT_INLINE int64_t positions_before(const Pieces& p, int64_t piece) {
  return piece / p.per_row * p.positions + piece % p.per_row * p.repeat;
}

// body(offset, count, width) for the runs of equal pieces in [begin, end), `step` floats apart.
template <class Body>
WEFT_INLINE void for_each_run_of_pieces(const Pieces& p, int64_t begin, int64_t end, Body body) {
  int64_t row = begin / p.per_row, k = begin % p.per_row;
  while (begin < end) {
    const bool last = k == p.per_row - 1 && p.last_width != p.width;
    const int64_t equal = p.last_width == p.width ? p.per_row : p.per_row - 1;
    const int64_t count = last ? 1 : smaller(equal - k, end - begin);
    body(p.channel + row * p.row_stride + k * p.step, count, last ? p.last_width : p.width);
    begin += count;
    k += count;
    if (k == p.per_row) {
      k = 0;
      row++;
    }
  }
}

// Behind a value for each channel, the same for the other positions of a piece.
inline void spread(const Pieces& p, float* lanes) {
  for (int64_t k = 1; k < p.repeat; k++) {
    for (int64_t c = 0; c < p.channels; c += kChunk) store_chunk(lanes + k * p.channels + c, load_chunk(lanes + c));
  }
}
// The reverse: the lanes of each channel are added up.
inline void gather(const Pieces& p, float* lanes) {
  for (int64_t c = 0; c < p.channels; c += kChunk) {
    Chunk sum = load_chunk(lanes + c);
    for (int64_t k = 1; k < p.repeat; k++) sum = sum + load_chunk(lanes + k * p.channels + c);
    store_chunk(lanes + c, sum);
  }
}
WEFT_INLINE void clear(float* lanes) {
  for (int64_t i = 0; i < kLanes; i += kChunk) store_chunk(lanes + i, broadcast_chunk(0.0f));
}

// lanes[c] = f(c) for the channels of the block, 16 at a time, then spread.
template <class F>
WEFT_INLINE void fill_lanes(const Pieces& p, float* lanes, F f) {
  for (int64_t c = 0; c < p.channels; c += kChunk) store_chunk(lanes + c, f(p.channel + c));
  spread(p, lanes);
}

// Column sums of a few chunks, held in registers, over the pieces [begin, end). See add_up.
template <int chunks, class Term>
WEFT_INLINE void add_up_columns(const Pieces& p, int64_t begin, int64_t end, int64_t column, float* first,
                                float* second, const Term& term) {
  Chunk a[chunks], b[chunks];
  WEFT_UNROLL
  for (int j = 0; j < chunks; j++) a[j] = b[j] = broadcast_chunk(0.0f);
  for_each_run_of_pieces(p, begin, end,
                         [&](int64_t offset, int64_t count, int64_t width) __attribute__((always_inline)) {
                           const int64_t n = width - column;
                           offset += column;
                           if (n >= chunks * kChunk) {
                             for (; count > 0; count--, offset += p.step) {
                               WEFT_UNROLL
                               for (int j = 0; j < chunks; j++)
                                 term(offset + j * kChunk, kChunk, column + j * kChunk, a[j], b[j]);
                             }
                             return;
                           }
                           for (; count > 0; count--, offset += p.step) {
                             WEFT_UNROLL
                             for (int j = 0; j < chunks; j++) {
                               if (n > j * kChunk)
                                 term(offset + j * kChunk, n - j * kChunk, column + j * kChunk, a[j], b[j]);
                             }
                           }
                         });
  WEFT_UNROLL
  for (int j = 0; j < chunks; j++) {
    float *f = first + column + j * kChunk, *s = second + column + j * kChunk;
    store_chunk(f, load_chunk(f) + a[j]);
    store_chunk(s, load_chunk(s) + b[j]);
  }
}

// Adds two sums over the pieces [begin, end) to `first` and `second`, lane by lane, in blocks of neighbouring pieces:
// few enough to be prefetched, enough to keep the sums in registers for a while. term(offset, n, lane, a, b) adds what
// the chunk at `offset` gives, of which only n elements count; `lane` is its place in the piece.
template <class Term>
WEFT_INLINE void add_up(const Pieces& p, int64_t begin, int64_t end, float* first, float* second, const Term& term) {
  constexpr int kGroup = kWidth == 16 ? 4 : kWidth == 8 ? 2 : 1;  // twice these, in parts, fit the registers
  const int64_t block = larger(8, 4096 / p.width);
  for (; begin < end; begin += block) {
    const int64_t stop = smaller(end, begin + block);
    int64_t column = 0;
    for (; column + kGroup * kChunk <= p.width; column += kGroup * kChunk) {
      add_up_columns<kGroup>(p, begin, stop, column, first, second, term);
    }
    for (; column < p.width; column += kChunk) add_up_columns<1>(p, begin, stop, column, first, second, term);
  }
}

// body(offset, n, lane) for every chunk of the pieces [begin, end); n < 16 only at the end of a piece.
template <class Body>
WEFT_INLINE void for_each_piece_chunk(const Pieces& p, int64_t begin, int64_t end, Body body) {
  for_each_run_of_pieces(p, begin, end,
                         [&](int64_t offset, int64_t count, int64_t width) __attribute__((always_inline)) {
                           for (; count > 0; count--, offset += p.step) {
                             int64_t lane = 0;
                             for (; lane + kChunk <= width; lane += kChunk) body(offset + lane, kChunk, lane);
                             if (lane < width) body(offset + lane, width - lane, lane);
                           }
                         });
}

// body(pieces, begin, end) for the share of all blocks' pieces that a tile has.
template <class Body>
WEFT_INLINE void for_each_block(const ChannelShape& s, int tile, int n_tiles, Body body) {
  const int64_t blocks = channel_blocks(s), per_block = piece_count(pieces_of(s, 0));
  const Range units = split(blocks * per_block, 1, tile, n_tiles);
  for (int64_t unit = units.begin; unit < units.end;) {
    const int64_t block = unit / per_block, end = smaller(units.end, (block + 1) * per_block);
    body(pieces_of(s, block), unit - block * per_block, end - block * per_block);
    unit = end;
  }
}

}  // namespace
}  // namespace weft::WEFT_ISA
