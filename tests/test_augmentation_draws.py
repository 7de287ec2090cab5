"""What layers that change images draw: from which random numbers, and within which limits."""

from __future__ import annotations

import numpy as np
import pytest
from native import run_layer
from reference import random_words
from reference_augmentation import affine_transform, band, gaussian_filter

from weft import layers, ops


def uniform(shape, low, high, seed, stream, draw):
    """What the layers draw, from the same words of Philox."""
    fractions = (random_words(shape, seed, stream, draw) >> 8) * 2.0**-24
    return low + (high - low) * fractions


def places(batch, height, width, offset=0.0):
    """Images that show where a pixel comes from: channels row and column."""
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    return np.broadcast_to(grid + offset, (batch, height, width, 2)).astype(np.float32)


def test_elastic_from_the_same_words():
    """The whole layer in float64 NumPy, every random number included."""
    n, height, width, seed, draw = 3, 12, 17, 987654321012, 4
    x = np.random.default_rng(4).random((n, height, width, 2)).astype(np.float32)
    layer = layers.RandomElastic(
        sigma=3.0, alpha=20.0, rotation=15, shear=10, scaling=0.2, fill_value=0.5
    )
    turn, slant = np.radians(15), np.tan(np.radians(10))
    numbers = uniform((n, 4), 0, 1, seed, 0, draw)
    angle, shear, zoom_y, zoom_x = (
        low + (high - low) * numbers[:, i]
        for i, (low, high) in enumerate([(-turn, turn), (-slant, slant), (0.8, 1.2), (0.8, 1.2)])
    )
    noise = uniform((n, 2, height, width), -1, 1, seed, 1, draw)
    displacement = gaussian_filter([noise], {"sigma": 3.0, "radius": 12, "scale": 20.0})
    m = np.empty((n, 6))
    for i in range(n):
        cos, sin = np.cos(angle[i]), np.sin(angle[i])
        linear = (
            np.diag([zoom_x[i], zoom_y[i]]) @ [[1, shear[i]], [0, 1]] @ [[cos, -sin], [sin, cos]]
        )
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        m[i] = np.column_stack([linear, centre - linear @ centre]).reshape(6)
    attrs = {"interpolation": "bilinear", "fill_mode": "constant", "fill_value": 0.5}
    expected = affine_transform([x.astype(np.float64), m, displacement], attrs)
    np.testing.assert_allclose(run_layer(layer, x, seed, draw), expected, rtol=0, atol=3e-5)
    seeded = layers.RandomElastic(rotation=0, scaling=0, seed=6)
    noise = uniform((n, 2, height, width), -1, 1, seed, (2 << 30) + 6, draw)
    displacement = gaussian_filter([noise], {"sigma": 6.0, "radius": 24, "scale": 36.0})
    identity = np.tile([1.0, 0, 0, 0, 1, 0], (n, 1))
    attrs["fill_value"] = 0.0
    expected = affine_transform([x.astype(np.float64), identity, displacement], attrs)
    np.testing.assert_allclose(run_layer(seeded, x, seed, draw), expected, rtol=0, atol=3e-5)


def test_elastic_displacement_is_as_large_as_in_the_papers():
    displacement = ops.image.elastic_displacement(600, 28, 28, 6.0, 36.0)
    rows = band(28, 6.0, 24)
    deviation = 36 * np.sqrt(np.outer(np.sum(rows**2, 1), np.sum(rows**2, 1)) / 3)
    measured = displacement.std(axis=(0, 1))
    np.testing.assert_allclose(measured, deviation, rtol=0.15)
    assert abs(displacement.mean()) < 0.1
    middle = displacement[:, :, 10:18, 10:18]
    assert middle.std() == pytest.approx(36 / (6.1 * 6), rel=0.1)
    length = np.sqrt(np.sum(middle**2, axis=1)).mean()
    assert 1.0 < length < 1.5  # about a pixel: the lines of a digit bend, and do not tear
    steps = np.diff(displacement, axis=-1)
    assert np.abs(steps).max() < 1  # neighbours keep their order
    assert steps.std() < 0.25


def test_flips_flip():
    x = np.random.default_rng(5).random((200, 3, 4, 2)).astype(np.float32)
    for mode, versions in {
        "horizontal": [x, x[:, :, ::-1]],
        "vertical": [x, x[:, ::-1]],
        "horizontal_and_vertical": [x, x[:, ::-1], x[:, :, ::-1], x[:, ::-1, ::-1]],
    }.items():
        y = run_layer(layers.RandomFlip(mode), x)
        same = np.array([np.all(y == version, axis=(1, 2, 3)) for version in versions])
        np.testing.assert_array_equal(same.sum(axis=0), 1)
        shares = same.mean(axis=1) * len(versions)
        assert np.all(np.abs(shares - 1) < 0.35), mode


def test_rotation_keeps_within_its_limits():
    x = places(600, 9, 9, offset=-4.0)
    for factor, low, high in [(0.1, -0.1, 0.1), ((-0.05, 0.2), -0.05, 0.2)]:
        y = run_layer(layers.RandomRotation(factor, "nearest"), x)
        row, column = y[:, 4, 5, 0], y[:, 4, 5, 1]
        turns = np.arctan2(row, column) / (2 * np.pi)
        np.testing.assert_allclose(np.hypot(row, column), 1, rtol=1e-5)
        np.testing.assert_allclose(y[:, 4, 4], 0, atol=1e-5)
        assert low <= turns.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < turns.max() <= high
        assert abs(turns.mean() - (low + high) / 2) < 0.03 * (high - low)


def test_translation_and_zoom_keep_within_their_limits():
    x = places(600, 9, 17)
    y = run_layer(layers.RandomTranslation(0.2, (0.0, 0.1), "nearest"), x)
    down, right = 4 - y[:, 4, 8, 0], 8 - y[:, 4, 8, 1]
    assert -1.8 <= down.min() < -1.7 < 1.7 < down.max() <= 1.8
    assert 0 <= right.min() < 0.05 < 1.65 < right.max() <= 1.7
    y = run_layer(layers.RandomZoom((-0.3, 0.2)), x)
    rows, columns = y[:, 5, 8, 0] - y[:, 4, 8, 0], y[:, 4, 9, 1] - y[:, 4, 8, 1]
    np.testing.assert_allclose(rows, columns, rtol=1e-4)
    assert 0.7 <= rows.min() + 1e-5 < 0.71 < 1.19 < rows.max() <= 1.2 + 1e-5
    y = run_layer(layers.RandomZoom(0.2, 0.1), x)
    rows, columns = y[:, 5, 8, 0] - y[:, 4, 8, 0], y[:, 4, 9, 1] - y[:, 4, 8, 1]
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.1
    assert columns.max() <= 1.1 + 1e-5


def test_elastic_turns_shears_and_scales_within_its_limits():
    x = places(600, 11, 11, offset=-5.0)
    still = {"alpha": 0, "rotation": 0, "scaling": 0}

    def maps(**limits):
        y = run_layer(layers.RandomElastic(**{**still, **limits}), x)
        return y[:, 5, 6, ::-1], y[:, 6, 5, ::-1]  # images of the unit vectors, (x, y)

    right, down = maps(rotation=15)
    angle = np.degrees(np.arctan2(right[:, 1], right[:, 0]))
    assert 14.8 < np.abs(angle).max() <= 15 + 1e-4
    np.testing.assert_allclose(down, np.stack([-right[:, 1], right[:, 0]], 1), atol=1e-5)
    right, down = maps(shear=15)
    np.testing.assert_allclose(right, np.tile([1, 0], (600, 1)), atol=1e-5)
    assert 0.26 < np.abs(down[:, 0]).max() <= np.tan(np.radians(15)) + 1e-5
    right, down = maps(scaling=0.15)
    for scale in (right[:, 0], down[:, 1]):
        assert 0.85 <= scale.min() + 1e-5 < 0.855 < 1.145 < scale.max() <= 1.15 + 1e-5
    assert abs(np.corrcoef(right[:, 0], down[:, 1])[0, 1]) < 0.1
    np.testing.assert_array_equal(run_layer(layers.RandomElastic(**still), x), x)


def test_crop_takes_every_place():
    x = places(500, 7, 6)
    y = run_layer(layers.RandomCrop(5, 5), x)
    top, left = y[:, 0, 0, 0], y[:, 0, 0, 1]
    np.testing.assert_array_equal(y - y[:, :1, :1], places(500, 5, 5))
    counts = np.zeros((3, 2))
    np.add.at(counts, (top.astype(int), left.astype(int)), 1)
    assert counts.min() > 50
    np.testing.assert_array_equal(run_layer(layers.RandomCrop(7, 6), x), x)


def test_contrast_and_brightness():
    x = np.random.default_rng(6).uniform(80, 160, (600, 3, 5, 2)).astype(np.float32)
    mean = x.mean(axis=(1, 2), keepdims=True)
    y = run_layer(layers.RandomContrast((0.5, 0.25)), x)
    change = ((y - mean) / (x - mean)).reshape(600, -1)
    np.testing.assert_allclose(np.median(change, 1), change[:, 0], rtol=0.02)
    assert 0.5 <= change.min() + 0.01 < 0.53 < 1.23 < np.median(change, 1).max() <= 1.26
    y = run_layer(layers.RandomBrightness(0.2), x)
    change = (y - x).reshape(600, -1)
    np.testing.assert_allclose(change, np.tile(change[:, :1], (1, 30)), atol=1e-3)
    assert -51 <= change.min() + 1e-3 < -50 < 50 < change.max() <= 51 + 1e-3
    white = run_layer(layers.RandomBrightness((1, 1), (0, 200)), x)
    np.testing.assert_array_equal(white, 200)
    high = run_layer(layers.RandomContrast((-0.0, 1.0), (100, 130)), x)
    assert (high.min(), high.max()) == (100, 130)
