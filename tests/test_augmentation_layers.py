"""Layers that change images in training: what they draw, where they put it, and when."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from reference import random_words
from reference_augmentation import affine_transform, band, gaussian_filter

import weft
from weft import _core, layers, ops
from weft.graph import Trace

X = np.arange(20, dtype=np.float32).reshape(1, 4, 5, 1)


def run(layer, x, seed=5, draw=0, training=True):
    """The layer in a plan of its own, at a step of the given number."""
    with Trace(training=training) as trace:
        y = layer(trace.input(x.shape))
    plan, result = _core.Plan(trace.graph, [y.id]), np.empty(y.shape, np.float32)
    state = _core.StepState(seed)
    state.draw = draw
    plan.run(state, [np.ascontiguousarray(x, np.float32)], None, 0, 1, [result])
    return result


def uniform(shape, low, high, seed, stream, draw):
    """What the layers draw, from the same words of Philox."""
    fractions = (random_words(shape, seed, stream, draw) >> 8) * 2.0**-24
    return low + (high - low) * fractions


def places(batch, height, width, offset=0.0):
    """Images that show where a pixel comes from: channels row and column."""
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    return np.broadcast_to(grid + offset, (batch, height, width, 2)).astype(np.float32)


def image_layers():
    return [
        layers.RandomFlip(),
        layers.RandomRotation(0.1),
        layers.RandomTranslation(0.2, (-0.1, 0.3), "wrap"),
        layers.RandomZoom(0.2, (-0.3, 0.1), "nearest", "nearest"),
        layers.RandomCrop(9, 11),
        layers.RandomContrast((0.3, 0.5), (0, 1)),
        layers.RandomBrightness(0.2, (0, 1)),
        layers.RandomElastic(scaling=0.2, shear=10),
    ]


# Keras 3's results (JAX) for the same limits.
KERAS = [
    (
        lambda: layers.RandomRotation((0.1, 0.1), "constant"),
        [
            [0.1401, 1.4481, 4.3141, 8.0620, 5.6584],
            [0.6217, 4.0234, 7.7713, 11.5193, 15.2672],
            [3.7328, 7.4807, 11.2286, 14.9766, 16.8568],
            [3.8471, 10.9380, 14.6860, 11.8270, 1.9670],
        ],
    ),
    (
        lambda: layers.RandomRotation((0.25, 0.25), "nearest"),
        [
            [3.5, 6.0, 11.0, 16.0, 18.5],
            [2.5, 5.0, 10.0, 15.0, 17.5],
            [1.5, 4.0, 9.0, 14.0, 16.5],
            [0.5, 3.0, 8.0, 13.0, 15.5],
        ],
    ),
    (
        lambda: layers.RandomTranslation((0.25, 0.25), (-0.4, -0.4)),
        [[2, 3, 4, 4, 3], [2, 3, 4, 4, 3], [7, 8, 9, 9, 8], [12, 13, 14, 14, 13]],
    ),
    (
        lambda: layers.RandomZoom((0.3, 0.3), (-0.2, -0.2), "wrap"),
        [
            [7.15, 7.95, 8.75, 9.55, 10.35],
            [4.65, 5.45, 6.25, 7.05, 7.85],
            [11.15, 11.95, 12.75, 13.55, 14.35],
            [8.65, 9.45, 10.25, 11.05, 11.85],
        ],
    ),
    (
        lambda: layers.RandomZoom((-0.3, -0.3), fill_mode="nearest"),
        [
            [2.85, 3.55, 4.25, 4.95, 5.65],
            [6.35, 7.05, 7.75, 8.45, 9.15],
            [9.85, 10.55, 11.25, 11.95, 12.65],
            [13.35, 14.05, 14.75, 15.45, 16.15],
        ],
    ),
]


@pytest.mark.parametrize("index", range(len(KERAS)))
def test_conventions_of_keras(index):
    make, expected = KERAS[index]
    np.testing.assert_allclose(run(make(), X)[0, ..., 0], expected, rtol=0, atol=1.1e-4)


@pytest.mark.parametrize("index", range(8))
def test_in_training_only(index):
    layer = image_layers()[index]
    x = np.random.default_rng(1).random((6, 13, 12, 2)).astype(np.float32)
    seen = x[:, 2:11, :11] if isinstance(layer, layers.RandomCrop) else x
    np.testing.assert_array_equal(layer(x), seen)
    np.testing.assert_array_equal(run(layer, x, training=False), seen)
    changed = layer(x, training=True)
    assert changed.shape == seen.shape
    assert not np.array_equal(changed, seen)
    assert layer.compute_output_shape((None, 13, 12, 2)) == (None, *seen.shape[1:])
    # Each step draws afresh, each seed and step the same; images differ among themselves.
    assert not np.array_equal(run(layer, x), run(layer, x, draw=1))
    assert not np.array_equal(run(layer, x), run(layer, x, seed=6))
    np.testing.assert_array_equal(run(layer, x), run(layer, x))
    alike = run(layer, np.broadcast_to(x[:1], x.shape))
    assert not np.array_equal(alike, np.broadcast_to(alike[:1], alike.shape))


@pytest.mark.parametrize("index", range(8))
def test_configuration(index):
    layer = image_layers()[index]
    config = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(config)
    assert again.get_config() == layer.get_config()
    x = np.random.default_rng(2).random((3, 13, 12, 1)).astype(np.float32)
    np.testing.assert_array_equal(run(again, x), run(layer, x))


def test_seeds_tell_layers_apart():
    x = np.random.default_rng(3).random((4, 9, 9, 1)).astype(np.float32)

    def second(seed):
        first, layer = layers.RandomBrightness(0.0), layers.RandomElastic(seed=seed)
        return run(lambda x: layer(first(x)), x, seed=1)

    class After(layers.Layer):
        def __init__(self, seed):
            super().__init__()
            self.flip, self.layer = layers.RandomContrast(1.0), layers.RandomElastic(seed=seed)

        def call(self, inputs, training=False):
            return self.layer(inputs, training=training) + 0.0 * self.flip(inputs)

    # A layer with a seed draws the same wherever it stands; one without has its place's numbers.
    np.testing.assert_array_equal(run(After(7), x, seed=1), second(7))
    assert not np.array_equal(second(7), second(8))
    assert not np.array_equal(second(7), second(None))


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
    np.testing.assert_allclose(run(layer, x, seed, draw), expected, rtol=0, atol=3e-5)
    seeded = layers.RandomElastic(rotation=0, scaling=0, seed=6)
    noise = uniform((n, 2, height, width), -1, 1, seed, (2 << 30) + 6, draw)
    displacement = gaussian_filter([noise], {"sigma": 6.0, "radius": 24, "scale": 36.0})
    identity = np.tile([1.0, 0, 0, 0, 1, 0], (n, 1))
    attrs["fill_value"] = 0.0
    expected = affine_transform([x.astype(np.float64), identity, displacement], attrs)
    np.testing.assert_allclose(run(seeded, x, seed, draw), expected, rtol=0, atol=3e-5)


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
        y = run(layers.RandomFlip(mode), x)
        same = np.array([np.all(y == version, axis=(1, 2, 3)) for version in versions])
        np.testing.assert_array_equal(same.sum(axis=0), 1)
        shares = same.mean(axis=1) * len(versions)
        assert np.all(np.abs(shares - 1) < 0.35), mode


def test_rotation_keeps_within_its_limits():
    x = places(600, 9, 9, offset=-4.0)
    for factor, low, high in [(0.1, -0.1, 0.1), ((-0.05, 0.2), -0.05, 0.2)]:
        y = run(layers.RandomRotation(factor, "nearest"), x)
        row, column = y[:, 4, 5, 0], y[:, 4, 5, 1]
        turns = np.arctan2(row, column) / (2 * np.pi)
        np.testing.assert_allclose(np.hypot(row, column), 1, rtol=1e-5)
        np.testing.assert_allclose(y[:, 4, 4], 0, atol=1e-5)
        assert low <= turns.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < turns.max() <= high
        assert abs(turns.mean() - (low + high) / 2) < 0.03 * (high - low)


def test_translation_and_zoom_keep_within_their_limits():
    x = places(600, 9, 17)
    y = run(layers.RandomTranslation(0.2, (0.0, 0.1), "nearest"), x)
    down, right = 4 - y[:, 4, 8, 0], 8 - y[:, 4, 8, 1]
    assert -1.8 <= down.min() < -1.7 < 1.7 < down.max() <= 1.8
    assert 0 <= right.min() < 0.05 < 1.65 < right.max() <= 1.7
    y = run(layers.RandomZoom((-0.3, 0.2)), x)
    rows, columns = y[:, 5, 8, 0] - y[:, 4, 8, 0], y[:, 4, 9, 1] - y[:, 4, 8, 1]
    np.testing.assert_allclose(rows, columns, rtol=1e-4)
    assert 0.7 <= rows.min() + 1e-5 < 0.71 < 1.19 < rows.max() <= 1.2 + 1e-5
    y = run(layers.RandomZoom(0.2, 0.1), x)
    rows, columns = y[:, 5, 8, 0] - y[:, 4, 8, 0], y[:, 4, 9, 1] - y[:, 4, 8, 1]
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.1
    assert columns.max() <= 1.1 + 1e-5


def test_elastic_turns_shears_and_scales_within_its_limits():
    x = places(600, 11, 11, offset=-5.0)
    still = {"alpha": 0, "rotation": 0, "scaling": 0}

    def maps(**limits):
        y = run(layers.RandomElastic(**{**still, **limits}), x)
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
    np.testing.assert_array_equal(run(layers.RandomElastic(**still), x), x)


def test_crop_takes_every_place():
    x = places(500, 7, 6)
    y = run(layers.RandomCrop(5, 5), x)
    top, left = y[:, 0, 0, 0], y[:, 0, 0, 1]
    np.testing.assert_array_equal(y - y[:, :1, :1], places(500, 5, 5))
    counts = np.zeros((3, 2))
    np.add.at(counts, (top.astype(int), left.astype(int)), 1)
    assert counts.min() > 50
    np.testing.assert_array_equal(run(layers.RandomCrop(7, 6), x), x)


def test_contrast_and_brightness():
    x = np.random.default_rng(6).uniform(80, 160, (600, 3, 5, 2)).astype(np.float32)
    mean = x.mean(axis=(1, 2), keepdims=True)
    y = run(layers.RandomContrast((0.5, 0.25)), x)
    change = ((y - mean) / (x - mean)).reshape(600, -1)
    np.testing.assert_allclose(np.median(change, 1), change[:, 0], rtol=0.02)
    assert 0.5 <= change.min() + 0.01 < 0.53 < 1.23 < np.median(change, 1).max() <= 1.26
    y = run(layers.RandomBrightness(0.2), x)
    change = (y - x).reshape(600, -1)
    np.testing.assert_allclose(change, np.tile(change[:, :1], (1, 30)), atol=1e-3)
    assert -51 <= change.min() + 1e-3 < -50 < 50 < change.max() <= 51 + 1e-3
    white = run(layers.RandomBrightness((1, 1), (0, 200)), x)
    np.testing.assert_array_equal(white, 200)
    high = run(layers.RandomContrast((-0.0, 1.0), (100, 130)), x)
    assert (high.min(), high.max()) == (100, 130)


def test_a_model_trains_on_changed_images_and_predicts_from_its_own():
    x = np.random.default_rng(7).integers(0, 256, (4, 4, 5, 1), np.uint8)
    weft.utils.set_random_seed(1)
    model = weft.Sequential(
        [
            weft.Input((4, 5, 1)),
            layers.Rescaling(1 / 255),
            layers.RandomTranslation((0.5, 0.5), 0.0, "constant", fill_value=0.25),
            layers.Flatten(),
            layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    model.compile(weft.optimizers.SGD(0.5), "mse")
    model.fit(x, np.ones(4), batch_size=4, epochs=1, verbose=0)
    shifted = np.full((4, 4, 5), 0.25)
    shifted[:, 2:] = x[:, :2, :, 0] / 255
    kernel = shifted.reshape(4, 20).mean(axis=0)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], kernel, rtol=1e-5)
    expected = (x / 255).reshape(4, 20) @ kernel
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, 0], expected, rtol=1e-5)


def test_weights_before_a_changed_image_train():
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(), initializer="ones")

        def call(self, inputs):
            return inputs * self.factor

    x = np.random.default_rng(8).random((16, 6, 6, 1)).astype(np.float32)
    flat, last = layers.Flatten(), layers.Dense(1, kernel_initializer="ones", trainable=False)
    model = weft.Sequential([weft.Input((6, 6, 1)), Scale(), layers.RandomElastic(), flat, last])
    model.compile(weft.optimizers.SGD(1e-3), "mse")
    losses = model.fit(x, np.zeros(16), batch_size=16, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.get_weights()[0] < 1


def test_gradient_of_the_map_is_refused():
    with Trace() as trace:
        x, m = trace.input((2, 3, 3, 1)), trace.input((2, 6))
        loss = ops.sum(ops.image.affine_transform(x, m))
        with pytest.raises(ValueError, match="with respect to the map"):
            trace.gradients(loss, [m])
        assert trace.gradients(loss, [x])[0] is not None


def test_places_that_are_not_finite():
    x = np.ones((1, 2, 3, 1), np.float32)
    identity = np.array([1, 0, 0, 0, 1, 0], np.float32)
    displacement = np.zeros((1, 2, 2, 3), np.float32)
    displacement[0, 0, 0] = (np.nan, np.inf, 1e30)
    displacement[0, 1, 1] = (-np.inf, 0, -1e30)
    for mode in ("constant", "nearest", "reflect", "wrap"):
        for interpolation in ("bilinear", "nearest"):
            y = ops.image.affine_transform(
                x, identity, interpolation, mode, 1.0, displacement=displacement
            )
            wrong = np.isnan(y[0, ..., 0])
            np.testing.assert_array_equal(wrong, [[True, True, False], [True, False, False]])
            np.testing.assert_array_equal(y[0, ..., 0][~wrong], 1)


def test_one_map_for_all_images_and_the_form_of_keras():
    x = np.random.default_rng(9).random((3, 4, 4, 1)).astype(np.float32)
    right = np.array([1, 0, -1, 0, 1, 0], np.float32)
    y = ops.image.affine_transform(x, right)
    np.testing.assert_array_equal(y[:, :, 1:], x[:, :, :-1])
    np.testing.assert_array_equal(y[:, :, 0], 0)
    for form in (np.append(right, [0, 0]), np.tile(right, (3, 1)), np.eye(3, 8, dtype=np.float32)):
        assert ops.image.affine_transform(x, form).shape == x.shape
    np.testing.assert_array_equal(ops.image.affine_transform(x, np.append(right, [0, 0])), y)


def digest(threads=0):
    """A fingerprint of what all layers give."""
    weft.config.set_num_threads(threads)
    x = np.random.default_rng(10).random((37, 28, 27, 2)).astype(np.float32)
    sums = hashlib.sha256()
    for layer in image_layers():
        sums.update(run(layer, x).tobytes())
    with Trace(training=True) as trace:
        images = trace.input(x.shape)
        loss = ops.sum(ops.square(layers.RandomElastic()(images)))
        (gradient,) = trace.gradients(loss, [images])
    result = np.empty(x.shape, np.float32)
    _core.Plan(trace.graph, [gradient.id]).run(_core.StepState(3), [x], None, 0, 1, [result])
    sums.update(result.tobytes())
    weft.config.set_num_threads(0)
    return sums.hexdigest()


@pytest.mark.cpu
def test_threads_do_not_change_a_bit():
    assert digest(1) == digest(2) == digest(5)


@pytest.mark.cpu
def test_instruction_sets_agree():
    found = _core.cpu_info()["isas_found"]
    fused_multiply_add = [isa for isa in ("avx2", "avx512", "neon") if isa in found]
    if len(fused_multiply_add) < 2:
        pytest.skip("this machine has only one instruction set with fused multiply-add")
    program = (
        f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\n"
        "import test_augmentation_layers; print(test_augmentation_layers.digest())"
    )
    prints = set()
    for isa in fused_multiply_add:
        environment = {**os.environ, "WEFT_ISA": isa}
        command = [sys.executable, "-c", program]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        prints.add(result.stdout)
    assert len(prints) == 1


IMAGES = np.zeros((2, 4, 4, 1), np.float32)
ERRORS = [
    (lambda: layers.RandomFlip("sideways"), "RandomFlip 'random_flip' expects mode 'horizontal'"),
    (lambda: layers.RandomFlip()(IMAGES[0]), "expects images of shape (None, height, width, chan"),
    (lambda: layers.RandomRotation(1.5), "expects factor to be a number or a pair of numbers fro"),
    (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), "got (0.1, 0.2, 0.3)"),
    (lambda: layers.RandomRotation("a"), "got 'a'"),
    (lambda: layers.RandomRotation(0.1, "mirror"), "fill_mode to be one of"),
    (lambda: layers.RandomRotation(0.1, interpolation="cubic"), "interpolation to be one of"),
    (lambda: layers.RandomRotation(0.1, data_format="channels_first"), "'channels_last'"),
    (lambda: layers.RandomRotation(0.1, seed=1.5), "an integer or None as its seed, got 1.5"),
    (lambda: layers.RandomTranslation(0.1, -2), "expects width_factor"),
    (lambda: layers.RandomZoom(-1.0), "expects factors above -1"),
    (lambda: layers.RandomCrop(0, 3), "expects a positive height and width, got 0 and 3"),
    (lambda: layers.RandomCrop(5, 3)(IMAGES), "cuts out 5 x 3 pixels and expects images of at"),
    (lambda: layers.RandomContrast(-0.1), "from 0.0 to 1.0, got -0.1"),
    (lambda: layers.RandomBrightness(0.1, 255), "expects a value_range of two numbers, got 255"),
    (lambda: layers.RandomElastic(sigma=0), "expects sigma to be above 0 and at most 63.0, got 0"),
    (lambda: layers.RandomElastic(alpha=-1), "expects alpha to be at least 0, got -1"),
    (
        lambda: layers.RandomElastic(scaling=1.5),
        "expects scaling to be at least 0 and at most 0.99",
    ),
    (lambda: ops.image.affine_transform(IMAGES, np.zeros((3, 6))), "got (3, 6)"),
    (
        lambda: ops.image.affine_transform(IMAGES[0], np.zeros(6)),
        "(batch, height, width, channels)",
    ),
    (lambda: ops.image.affine_transform(IMAGES, np.zeros(6), "cubic"), "'bilinear' or 'nearest'"),
    (lambda: ops.image.affine_transform(IMAGES, np.zeros(6), fill_mode="zero"), "got 'zero'"),
    (lambda: ops.image.affine_transform(IMAGES, np.zeros(6), size=(0, 1)), "of at least 1"),
    (
        lambda: ops.image.affine_transform(
            IMAGES, np.zeros(6), displacement=np.zeros((2, 2, 4, 5))
        ),
        "expects a displacement of shape (2, 2, 4, 4), got (2, 2, 4, 5)",
    ),
    (lambda: ops.image.gaussian_filter(IMAGES, 0.0), "expects a positive sigma"),
    (lambda: ops.image.gaussian_filter(IMAGES, 99.0), "a radius from 0 to 255, got 396"),
    (lambda: ops.image.gaussian_filter(IMAGES[0], 1.0), "(batch, planes, height, width)"),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors_say_what_was_expected(index):
    from weft._names import reset_names

    reset_names()
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()
