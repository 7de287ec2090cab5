// Attributes and shapes that every kind of convolution shares. Images are (N, [H,] W, C), kernels ([KH,] KW, ...);
// attributes strides, dilation and padding have an entry for each spatial axis (padding two: before and after it).
#pragma once

#include "ops/conv2d.h"
#include "ops/op.h"

namespace weft {

// x (N, [H,] W, C), spatial sizes of the kernel, filters. Trailing axes are aligned, a missing H is 1.
ConvShape conv_shape(const Shape& x, const Shape& window, int64_t filters, const Attrs& attrs);

inline Shape spatial(const Shape& shape, int first) { return Shape(shape.begin() + first, shape.end() - 1); }
inline Shape kernel_window(const Shape& w) { return Shape(w.begin(), w.end() - 2); }
Shape image_shape(int64_t n, const Shape& size, int64_t channels);
// Spatial sizes of the output, one entry for each spatial axis.
inline Shape output_spatial(const ConvShape& s, size_t axes) { return axes == 2 ? Shape{s.oh, s.ow} : Shape{s.ow}; }

// Throws unless the attributes are those of a convolution over that many axes.
void check_geometry(const InferContext& c, size_t axes);
// Throws unless the kernel fits into inputs of shape x.
void check_output(const InferContext& c, const ConvShape& s, const Shape& x, const Shape& window);

// The attributes that a gradient needs besides those of the convolution itself.
Attrs gradient_attrs(const Attrs& attrs, const char* name, const Shape& sizes);

}  // namespace weft
