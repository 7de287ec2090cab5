// The bijection behind a shuffled epoch (shuffle.h). As in unary_functions.h, the includer has said where the functions
// are to run.
#pragma once

#include "ops/shuffle.h"

namespace weft::WEFT_ISA {

// The bijection of 0..mask is mix_halves and then every round; a Word is a uint32_t or a vector of them. Both can be
// undone: one adds, without carries, higher bits to lower ones, the other multiplies by an odd number modulo a power of
// two, which carries each bit to all higher ones.
template <class Word>
WEFT_INLINE Word mix_halves(const Permutation& p, Word x) {
  return x ^ x >> p.shift;
}
template <class Word>
WEFT_INLINE Word permute_round(const Permutation& p, int round, Word x) {
  return mix_halves(p, (x + p.key[round]) * p.factor[round] & p.mask);
}

}  // namespace weft::WEFT_ISA
