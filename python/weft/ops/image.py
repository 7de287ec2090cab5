"""Functions of images (N, height, width, channels), as `keras.ops.image`, and of random fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.ops.core import apply, shape_of
from weft.ops.nn import random_uniform
from weft.ops.shaping import broadcast_to, getitem


def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    *,
    displacement: Any = None,
    size: Sequence[int] | None = None,
) -> Any:
    """Each image resampled: what stands at (x, y) comes from another place of it.

    That place is (a0*x + a1*y + a2, b0*x + b1*y + b2), x and y in pixels to the right and down
    from the middle of the upper left one, plus the displacement. Differentiable in `images`.

    Args:
        images: (N, height, width, channels).
        transform: a0, a1, a2, b0, b1, b2 of each image, (N, 6), or of all, (6,). Keras's form
            with two more numbers, which are not looked at, is taken, too.
        interpolation: "bilinear" or "nearest".
        fill_mode: What lies outside of an image `a b c d`: "constant", `k k k k`; "nearest",
            `a a a a | | d d d d`; "reflect", `d c b a | | d c b a`; "wrap", `a b c d | | a b c d`.
        fill_value: k.
        displacement: (N, 2, height, width): for each pixel, how much further down and to the
            right its value is taken from.
        size: Height and width of the result, by default those of the images.

    Returns:
        (N, *size, channels).
    """
    batch = shape_of(images)[0] if shape_of(images) else 1
    numbers = shape_of(transform)
    if (
        not 1 <= len(numbers) <= 2
        or numbers[-1] not in (6, 8)
        or numbers[:-1] not in ((), (batch,))
    ):
        raise ValueError(
            f"affine_transform expects a transform of shape {(batch, 6)}, {(batch, 8)}, (6,) or "
            f"(8,), got {numbers}."
        )
    matrices = transform if numbers[-1] == 6 else getitem(transform, (..., slice(0, 6)))
    matrices = broadcast_to(matrices, (batch, 6))
    attrs: dict[str, Any] = {
        "interpolation": interpolation,
        "fill_mode": fill_mode,
        "fill_value": float(fill_value),
    }
    if size is not None:
        attrs["size"] = [int(n) for n in size]
    inputs = [images, matrices] if displacement is None else [images, matrices, displacement]
    return apply("affine_transform", inputs, **attrs)


def gaussian_filter(planes: Any, sigma: float, truncate: float = 4.0, scale: float = 1.0) -> Any:
    """Planes (N, count, height, width), each smoothed with a Gaussian and multiplied by `scale`.

    The weights reach `truncate * sigma` pixels far and sum to 1; outside of a plane is 0, as with
    `scipy.ndimage.gaussian_filter(mode="constant")`.
    """
    if not sigma > 0 or not truncate >= 0:
        raise ValueError(
            f"gaussian_filter expects a positive sigma and a truncate of at least 0, "
            f"got {sigma} and {truncate}."
        )
    attrs = {"sigma": float(sigma), "radius": int(truncate * sigma + 0.5), "scale": float(scale)}
    return apply("gaussian_filter", [planes], **attrs)


def elastic_displacement(
    batch: int, height: int, width: int, sigma: float, alpha: float, stream: int | None = None
) -> Any:
    """A smooth random displacement (N, 2, height, width) for `affine_transform`.

    Uniform noise from -1 to 1 for each pixel and direction, smoothed with a Gaussian of deviation
    `sigma` and multiplied by `alpha` (Simard et al., 2003). Away from the edges each component has
    a mean of 0 and a deviation of about `alpha / (6.1 * sigma)` pixels.
    """
    noise = random_uniform((batch, 2, height, width), -1.0, 1.0, stream=stream)
    return gaussian_filter(noise, sigma, scale=alpha)
