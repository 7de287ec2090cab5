"""Random turns, shifts, zooms and elastic distortions of images, in training only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import ops
from weft.layers.augmentation import Augmentation, about_centre, matrices_of

_FILL_MODES = ("constant", "nearest", "reflect", "wrap")
_INTERPOLATIONS = ("bilinear", "nearest")


class _Warp(Augmentation):
    """A layer that resamples images; see `ops.image.affine_transform` for the arguments."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        if fill_mode not in _FILL_MODES:
            raise ValueError(
                f"{self} expects fill_mode to be one of {_FILL_MODES}, got {fill_mode!r}."
            )
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"{self} expects interpolation to be one of {_INTERPOLATIONS}, "
                f"got {interpolation!r}."
            )
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = float(fill_value)

    def _warp(self, images: Any, map: Sequence[Any], displacement: Any = None) -> Any:
        return ops.image.affine_transform(
            images,
            matrices_of(images, map),
            self.interpolation,
            self.fill_mode,
            self.fill_value,
            displacement=displacement,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


class RandomRotation(_Warp):
    """Turns each image about its middle by a random angle.

    Args:
        factor: Limits of the angle in full turns, counterclockwise: 0.2 stands for (-0.2, 0.2),
            -72 to 72 degrees.
        fill_mode: What lies outside of an image: "reflect", "constant", "nearest" or "wrap".
        interpolation: "bilinear" or "nearest".
        seed: Tells two layers apart.
        fill_value: The constant of the mode "constant".
        data_format: "channels_last" or None.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = self._limits(factor, "factor", -1.0, 1.0)

    def augment(self, images: Any) -> Any:
        low, high = self.factor
        (angle,) = self._draw(images, (low * math.tau, high * math.tau))
        cos, sin = _cos(angle), _sin(angle)
        return self._warp(images, about_centre(ops.shape(images)[1:3], cos, -sin, sin, cos))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor)}


class RandomTranslation(_Warp):
    """Shifts each image by a random part of its height and width.

    Args:
        height_factor: Limits of the shift as a part of the height, positive for downwards; a
            number x stands for (-x, x).
        width_factor: The same of the width, positive to the right.
        fill_mode, interpolation, seed, fill_value, data_format: As for `RandomRotation`.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = self._limits(height_factor, "height_factor", -1.0, 1.0)
        self.width_factor = self._limits(width_factor, "width_factor", -1.0, 1.0)

    def augment(self, images: Any) -> Any:
        _, height, width, _ = ops.shape(images)
        down, right = self._draw(images, self.height_factor, self.width_factor)
        return self._warp(
            images, (1.0, 0.0, right * -float(width), 0.0, 1.0, down * -float(height))
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height_factor": list(self.height_factor),
            "width_factor": list(self.width_factor),
        }


class RandomZoom(_Warp):
    """Makes what each image shows smaller or larger, about its middle.

    Args:
        height_factor: Limits of the change: the result shows 1 + factor times the height, so a
            positive factor zooms out, a negative one in. A number x stands for (-x, x).
        width_factor: The same of the width; None keeps the proportions.
        fill_mode, interpolation, seed, fill_value, data_format: As for `RandomRotation`.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float] | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = self._limits(height_factor, "height_factor", -1.0, 1.0)
        self.width_factor = (
            None if width_factor is None else self._limits(width_factor, "width_factor", -1.0, 1.0)
        )
        if -1.0 in (self.height_factor[0], (self.width_factor or (0.0,))[0]):
            raise ValueError(f"{self} expects factors above -1, where an image has no size left.")

    def augment(self, images: Any) -> Any:
        limits = [self.height_factor, *([self.width_factor] if self.width_factor else [])]
        zooms = self._draw(images, *[(1 + low, 1 + high) for low, high in limits])
        map = about_centre(ops.shape(images)[1:3], zooms[-1], 0.0, 0.0, zooms[0])
        return self._warp(images, map)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height_factor": list(self.height_factor),
            "width_factor": None if self.width_factor is None else list(self.width_factor),
        }


class RandomElastic(_Warp):
    """Elastic distortions of handwriting (Simard et al., 2003; Ciresan et al., 2010).

    Each pixel is moved by a smooth random displacement, see `ops.image.elastic_displacement`;
    the image is turned, sheared and scaled besides. The defaults are Ciresan's for MNIST, where
    images are 28 pixels wide, ink is positive and paper 0.

    Args:
        sigma: The deviation in pixels of the Gaussian that smooths the displacement: small values
            make lines tremble, large ones move the image as a whole. Ciresan: 5 to 6.
        alpha: The strength; 0 for no displacement. Ciresan: 36 to 38.
        rotation: The largest angle in degrees, to either side.
        shear: The largest angle in degrees of a horizontal shear, which Ciresan uses in place of
            the rotation; then give `rotation=0`.
        scaling: The largest relative change of height and of width, each drawn for itself.
            Ciresan: 0.15 to 0.2.
        fill_mode: What lies outside of an image: "constant", "nearest", "reflect" or "wrap".
        interpolation: "bilinear" or "nearest".
        seed: Tells two layers apart.
        fill_value: The constant of the mode "constant".
        data_format: "channels_last" or None.

    A layer does not see labels. Where classes need limits of their own (Ciresan turns the digits 1
    and 7, which are easily confused, by 7.5 degrees at most), distort the data before each epoch
    instead; layers run on arrays, too:

        wide, narrow = RandomElastic(), RandomElastic(rotation=7.5)
        careful = np.isin(y, (1, 7))
        images = wide(x, training=True)
        images[careful] = narrow(x[careful], training=True)

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        sigma: float = 6.0,
        alpha: float = 36.0,
        rotation: float = 15.0,
        shear: float = 0.0,
        scaling: float = 0.15,
        fill_mode: str = "constant",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        for name, value, most in (
            ("sigma", sigma, 63.0),  # four times as far reaches the core's filter
            ("alpha", alpha, math.inf),
            ("rotation", rotation, 180.0),
            ("shear", shear, 89.0),
            ("scaling", scaling, 0.99),
        ):
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not number or not 0 <= value <= most or (name == "sigma" and value == 0):
                least = "above 0" if name == "sigma" else "at least 0"
                limit = "" if most == math.inf else f" and at most {most}"
                raise ValueError(f"{self} expects {name} to be {least}{limit}, got {value!r}.")
        self.sigma, self.alpha = float(sigma), float(alpha)
        self.rotation, self.shear, self.scaling = float(rotation), float(shear), float(scaling)

    def augment(self, images: Any) -> Any:
        batch, height, width, _ = ops.shape(images)
        turn, slant = math.radians(self.rotation), math.tan(math.radians(self.shear))
        zoom = (1 - self.scaling, 1 + self.scaling)
        angle, shear, zoom_y, zoom_x = self._draw(
            images, (-turn, turn), (-slant, slant), zoom, zoom
        )
        cos, sin = _cos(angle), _sin(angle)
        map = about_centre(
            (height, width),
            zoom_x * (cos + shear * sin),
            zoom_x * (shear * cos - sin),
            zoom_y * sin,
            zoom_y * cos,
        )
        displacement = None
        if self.alpha > 0:
            displacement = ops.image.elastic_displacement(
                batch, height, width, self.sigma, self.alpha, self._stream(1)
            )
        return self._warp(images, map, displacement)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "alpha": self.alpha,
            "rotation": self.rotation,
            "shear": self.shear,
            "scaling": self.scaling,
        }


def _cos(angle: Any) -> Any:
    return math.cos(angle) if isinstance(angle, float) else ops.cos(angle)


def _sin(angle: Any) -> Any:
    return math.sin(angle) if isinstance(angle, float) else ops.sin(angle)
