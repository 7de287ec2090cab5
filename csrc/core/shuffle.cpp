#include "core/shuffle.h"

#include <utility>

namespace weft {

namespace {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC11), one block of four words.
struct Philox {
  uint32_t key[2];
  uint32_t counter[4];
  uint32_t block[4];
  int used = 4;

  uint32_t next() {
    if (used == 4) {
      draw();
      if (++counter[0] == 0) ++counter[1];
      used = 0;
    }
    return block[used++];
  }

 private:
  void draw() {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
      const uint32_t next[4] = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
                                static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
      for (int i = 0; i < 4; ++i) c[i] = next[i];
      k[0] += 0x9E3779B9;
      k[1] += 0xBB67AE85;
    }
    for (int i = 0; i < 4; ++i) block[i] = c[i];
  }
};

}  // namespace

void shuffle(int32_t* order, int64_t n, uint64_t seed, uint64_t epoch) {
  // The last counter word sets shuffling apart from the draws of layers, which count streams there.
  Philox random{{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
                {0, 0, static_cast<uint32_t>(epoch), 0x5AFF1E00},
                {}};
  for (int64_t i = 0; i < n; ++i) order[i] = static_cast<int32_t>(i);
  for (int64_t i = n - 1; i > 0; --i) {
    // Lemire's multiply-shift: the bias is below 2^-32 * n.
    const int64_t j = static_cast<int64_t>(static_cast<uint64_t>(random.next()) * static_cast<uint64_t>(i + 1) >> 32);
    std::swap(order[i], order[j]);
  }
}

}  // namespace weft
