"""Cases of augmentation of images."""

from __future__ import annotations

from typing import Any

from case import Case, Input

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def _affine_transform() -> list[Case]:
    cases = []

    def add(images: tuple[int, ...], mode: str, interpolation: str, **more: Any) -> None:
        displaced = more.pop("displaced", False)
        attrs = {"interpolation": interpolation, "fill_mode": mode, "fill_value": 0.75, **more}
        n, height, width = images[:3]
        height, width = more.get("size", (height, width))
        # Numbers of this size turn an image over, and reach several images far on each side.
        inputs = [Input(images), Input((n, 6), "uniform", -2.0, 2.0)]
        if displaced:
            inputs.append(Input((n, 2, height, width), "uniform", -9.0, 9.0))
        cases.append(Case("affine_transform", tuple(inputs), attrs, 4e-5))

    for mode in FILL_MODES:
        for interpolation in ("bilinear", "nearest"):
            add((3, 5, 7, 1), mode, interpolation)
            add((2, 13, 3, 3), mode, interpolation, displaced=True)
            add((1, 2, 1, 2), mode, interpolation, size=[3, 5])
        add((2, 1, 17, 1), mode, "bilinear", displaced=True)
        add((2, 6, 31, 2), mode, "bilinear", size=[2, 33], displaced=True)
    add((1, 1, 1, 1), "reflect", "bilinear")
    add((2, 28, 28, 1), "constant", "bilinear", displaced=True)
    add((2, 28, 28, 1), "reflect", "nearest")
    add((2, 3, 5, 17), "wrap", "bilinear")
    return cases


def _gaussian_filter() -> list[Case]:
    cases = []
    sizes = [
        ((3, 2, 28, 28), 6.0, 24, 36.0),
        ((1, 1, 1, 1), 1.0, 4, 2.0),
        ((2, 1, 3, 5), 0.5, 0, 1.0),
        ((2, 2, 7, 33), 2.0, 6, 0.5),
        ((1, 3, 13, 17), 1.5, 3, 1.0),
        ((5, 7, 6, 15), 5.0, 1, 1.0),
        ((1, 1, 2, 65), 40.0, 160, 1.0),
    ]
    for shape, sigma, radius, scale in sizes:
        attrs = {"sigma": sigma, "radius": radius, "scale": scale}
        cases.append(Case("gaussian_filter", (Input(shape),), attrs, 2e-6))
    return cases


CASES: list[Case] = [*_affine_transform(), *_gaussian_filter()]
