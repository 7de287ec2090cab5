// csrc/cuda/ptx.h in C++: instructions that CUDA has no function for, with the lanes' registers as PTX's manual
// draws them.
#pragma once

#include <stdexcept>

#include "cuda_runtime.h"

namespace weft::cuda {

inline float to_tf32(float x) {  // cvt.rna: to nearest, ties away from zero
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = (bits + 0x1000u) & ~0x1FFFu;
  std::memcpy(&x, &bits, 4);
  return x;
}

// d (16 x 8) += a (16 x 8*packed) b (8*packed x 8). A register holds `packed` values along k, and value(register, i) is
// one of them. With k counted in registers, lane 4*g + t holds a[g][t], a[g+8][t], a[g][t+4], a[g+8][t+4]; b[t][g],
// b[t+4][g]; d[g][2t], d[g][2t+1], d[g+8][2t], d[g+8][2t+1].
template <int packed, class Register, class Value>
void mma_m16n8(float (&d)[4], const Register (&a)[4], const Register (&b)[2], Value value) {
  if (emulator::capability() < 80) throw std::runtime_error("CUDA: mma.sync of TF32 or bfloat16 before 8.0");
  struct Registers {
    Register a[4], b[2];
  };
  const Registers mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const emulator::Parcel* all = emulator::exchange(~0u, emulator::parcel_of(mine));
  const int g = static_cast<int>(emulator::lane()) / 4, t = static_cast<int>(emulator::lane()) % 4;
  for (int e = 0; e < 4; e++) {
    const int row = g + e / 2 * 8, column = 2 * t + e % 2;
    double sum = d[e];
    for (int k = 0; k < 8; k++) {
      const auto left = emulator::value_of<Registers>(all[row % 8 * 4 + k % 4]);
      const auto right = emulator::value_of<Registers>(all[column * 4 + k % 4]);
      for (int i = 0; i < packed; i++) {
        sum +=
            static_cast<double>(value(left.a[row / 8 + k / 4 * 2], i)) * static_cast<double>(value(right.b[k / 4], i));
      }
    }
    d[e] = static_cast<float>(sum);
  }
}

// tf32 in, float32 out.
inline void mma_m16n8k8_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2]) {
  mma_m16n8<1>(d, a, b, [](float x, int) { return x; });
}

// Two floats as bfloat16, the first in the lower half.
inline uint32_t bfloat16_bits(float x) {  // to nearest even
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFFu;  // NaN
  return (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
}
inline float bfloat16_value(uint32_t bits) {
  bits <<= 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline uint32_t pack_bfloat16(float low, float high) { return bfloat16_bits(low) | bfloat16_bits(high) << 16; }

// bfloat16 in, float32 out.
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_m16n8<2>(d, a, b, [](uint32_t pair, int i) { return bfloat16_value(pair >> (i * 16) & 0xFFFFu); });
}

// 16 bytes from global to shared memory, zeros instead of what `valid` does not count.
inline void copy_async_16(void* shared, const void* global, int valid_bytes) {
  emulator::copy_later(shared, global, 16, valid_bytes);
}
inline void copy_async_4(void* shared, const void* global, bool valid) {
  emulator::copy_later(shared, global, 4, valid ? 4 : 0);
}
inline void copy_async_commit() { emulator::close_copies(); }
template <int groups>
void copy_async_wait() {
  emulator::wait_for_copies(groups);
}

// Programmatic dependent launch.
inline void wait_for_previous_grid() { emulator::wait_for_previous_grid(); }
inline void let_next_grid_start() {}

// The block's memory that the launch asked for.
inline void* shared_memory() { return emulator::shared_memory(); }

}  // namespace weft::cuda
