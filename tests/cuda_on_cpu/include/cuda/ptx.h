// csrc/cuda/ptx.h in C++: instructions that CUDA has no function for, with the lanes' registers as PTX's manual
// draws them.
#pragma once

#include "cuda_runtime.h"

namespace weft::cuda {

inline float to_tf32(float x) {  // cvt.rna: to nearest, ties away from zero
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = (bits + 0x1000u) & ~0x1FFFu;
  std::memcpy(&x, &bits, 4);
  return x;
}

// d (16 x 8) += a (16 x 8) b (8 x 8), tf32 in, float32 out. Lane 4*g + t holds a[g][t], a[g+8][t], a[g][t+4],
// a[g+8][t+4]; b[t][g], b[t+4][g]; d[g][2t], d[g][2t+1], d[g+8][2t], d[g+8][2t+1].
inline void mma_m16n8k8_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2]) {
  struct Registers {
    float a[4], b[2];
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
      sum += static_cast<double>(left.a[row / 8 + k / 4 * 2]) * static_cast<double>(right.b[k / 4]);
    }
    d[e] = static_cast<float>(sum);
  }
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

// d (16 x 8) += a (16 x 16) b (16 x 8), bfloat16 in, float32 out; each register is a pair along k. Lane 4*g + t holds
// a[g][2t..], a[g+8][2t..], a[g][2t+8..], a[g+8][2t+8..]; b[2t..][g], b[2t+8..][g]; d as above.
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  struct Registers {
    uint32_t a[4], b[2];
  };
  const Registers mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const emulator::Parcel* all = emulator::exchange(~0u, emulator::parcel_of(mine));
  const int g = static_cast<int>(emulator::lane()) / 4, t = static_cast<int>(emulator::lane()) % 4;
  for (int e = 0; e < 4; e++) {
    const int row = g + e / 2 * 8, column = 2 * t + e % 2;
    double sum = d[e];
    for (int k = 0; k < 16; k++) {
      const auto left = emulator::value_of<Registers>(all[row % 8 * 4 + k % 8 / 2]);
      const auto right = emulator::value_of<Registers>(all[column * 4 + k % 8 / 2]);
      const uint32_t x = left.a[row / 8 + k / 8 * 2] >> (k % 2 * 16) & 0xFFFFu;
      const uint32_t y = right.b[k / 8] >> (k % 2 * 16) & 0xFFFFu;
      sum += static_cast<double>(bfloat16_value(x)) * static_cast<double>(bfloat16_value(y));
    }
    d[e] = static_cast<float>(sum);
  }
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

// The block's memory that the launch asked for.
inline void* shared_memory() { return emulator::shared_memory(); }

}  // namespace weft::cuda
