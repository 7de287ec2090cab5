// The shape of every kernel: a number of tiles, and a function of one tile. Tiles of one call are
// independent; which thread runs which tile, and how many tiles there are, never changes a result.
#pragma once

namespace weft {

template <class Args>
struct Kernel {
  int (*tiles)(const Args& args, int threads);           // how many pieces suit that many threads
  void (*run)(const Args& args, int tile, int n_tiles);  // compute piece `tile` of `n_tiles`
};

}  // namespace weft
