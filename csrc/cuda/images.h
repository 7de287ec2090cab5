// Walking over images (N, H, W, C). A thread's item is a few neighbouring channels of one place of an image; places
// are pixels, or whatever else a kernel cuts the rows of an image into.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/divisor.h"
#include "cuda/launch.h"

namespace weft::cuda {

// Neighbouring elements, moved in one access; they must be aligned as a whole.
template <class T, int n>
struct alignas(sizeof(T) * n) Pack {
  T at[n];
};
template <int n, class T>
__device__ __forceinline__ Pack<T, n> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, n>*>(p);
}
template <class T, int n>
__device__ __forceinline__ void store_pack(T* p, const Pack<T, n>& pack) {
  *reinterpret_cast<Pack<T, n>*>(p) = pack;
}
// How many channels an item can have. Images start at multiples of 16 elements, so only the number of channels decides.
inline int pack_width(int64_t channels) { return channels % 4 == 0 ? 4 : 1; }

struct Item {
  int64_t image;
  int y, x, channel;  // channel: of packs
};

// The items of some of the images, few enough to be counted in 32 bits.
struct ImageItems {
  Divisor packs, width, height;  // packs of a place, places of a row, rows of an image
  int64_t first_image;
  uint32_t count;

  __device__ __forceinline__ Item at(int64_t i) const {
    const uint32_t item = static_cast<uint32_t>(i), place = packs.quotient(item);
    const uint32_t row = width.quotient(place), image = height.quotient(row);
    return {first_image + image, static_cast<int>(row - image * height.divisor),
            static_cast<int>(place - row * width.divisor), static_cast<int>(item - place * packs.divisor)};
  }
};

// Offsets within an image are counted in 32 bits.
inline void check_image_size(int64_t elements) {
  if (elements <= INT32_MAX) return;
  fail("an image of %lld numbers is too large for CUDA kernels", static_cast<long long>(elements));
}

// start(items) for all images: once, unless they are very many.
template <class Start>
void for_image_items(int64_t images, int64_t height, int64_t width, int64_t packs, Start start) {
  const int64_t of_image = height * width * packs;
  if (images == 0 || of_image == 0) return;
  check_image_size(of_image);
  const int64_t most = INT32_MAX / of_image;
  for (int64_t first = 0; first < images; first += most) {
    const int64_t count = std::min(most, images - first) * of_image;
    start(ImageItems{divisor_of(packs), divisor_of(width), divisor_of(height), first, static_cast<uint32_t>(count)});
  }
}

}  // namespace weft::cuda
