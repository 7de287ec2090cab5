#include "ops/shuffle.h"

#include <array>

#include "core/check.h"

namespace weft {

namespace {

using Words = std::array<uint32_t, 4>;

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC11), the four words of a counter.
Words philox(Words counter, uint64_t seed) {
  uint32_t key_0 = static_cast<uint32_t>(seed), key_1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key_0, static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key_1, static_cast<uint32_t>(a)};
    key_0 += 0x9E3779B9;
    key_1 += 0xBB67AE85;
  }
  return counter;
}

// Of the domain: the rounds mix fewer bits badly, and with more of them the walks of few rows are long.
constexpr int kFewestBits = 5;

}  // namespace

Permutation draw_permutation(int64_t n, const Shuffle& shuffle) {
  check(n >= 0 && n < (int64_t{1} << 31), "0 to 2^31 - 1 rows can be shuffled, got ", n);
  int bits = kFewestBits;
  while (int64_t{1} << bits < n) ++bits;
  Permutation p;
  p.size = static_cast<uint32_t>(n);
  p.mask = (uint32_t{1} << bits) - 1;
  // Not half of an even number: bits that meet in pairs mix so slowly that small domains take twice as many rounds.
  p.shift = static_cast<uint32_t>((bits - 1) / 2);
  for (uint32_t round = 0; round < Permutation::kRounds; round += 2) {
    // The last word sets shuffling apart from the draws of layers, which count steps there.
    const Words words = philox(
        {round / 2, static_cast<uint32_t>(shuffle.epoch >> 32), static_cast<uint32_t>(shuffle.epoch), 0x5AFF1E00},
        shuffle.seed);
    for (uint32_t i = 0; i < 2; ++i) {
      p.key[round + i] = words[2 * i];
      p.factor[round + i] = words[2 * i + 1] | 1;
    }
  }
  return p;
}

}  // namespace weft
