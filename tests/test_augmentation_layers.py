"""Layers that change images in training: when they do, and where they put what.

What they draw: test_augmentation_draws.py.
"""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest
from elsewhere import values_by_isa
from native import run_layer

import weft
from weft import _core, layers, ops
from weft._names import reset_names
from weft.graph import Trace

X = np.arange(20, dtype=np.float32).reshape(1, 4, 5, 1)


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
    np.testing.assert_allclose(run_layer(make(), X)[0, ..., 0], expected, rtol=0, atol=1.1e-4)


@pytest.mark.parametrize("index", range(8))
def test_in_training_only(index):
    layer = image_layers()[index]
    x = np.random.default_rng(1).random((6, 13, 12, 2)).astype(np.float32)
    seen = x[:, 2:11, :11] if isinstance(layer, layers.RandomCrop) else x
    np.testing.assert_array_equal(layer(x), seen)
    np.testing.assert_array_equal(run_layer(layer, x, training=False), seen)
    changed = layer(x, training=True)
    assert changed.shape == seen.shape
    assert not np.array_equal(changed, seen)
    assert layer.compute_output_shape((None, 13, 12, 2)) == (None, *seen.shape[1:])
    # Each step draws afresh, each seed and step the same; images differ among themselves.
    assert not np.array_equal(run_layer(layer, x), run_layer(layer, x, draw=1))
    assert not np.array_equal(run_layer(layer, x), run_layer(layer, x, seed=6))
    np.testing.assert_array_equal(run_layer(layer, x), run_layer(layer, x))
    alike = run_layer(layer, np.broadcast_to(x[:1], x.shape))
    assert not np.array_equal(alike, np.broadcast_to(alike[:1], alike.shape))


@pytest.mark.parametrize("index", range(8))
def test_configuration(index):
    layer = image_layers()[index]
    config = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(config)
    assert again.get_config() == layer.get_config()
    x = np.random.default_rng(2).random((3, 13, 12, 1)).astype(np.float32)
    np.testing.assert_array_equal(run_layer(again, x), run_layer(layer, x))


def test_seeds_tell_layers_apart():
    x = np.random.default_rng(3).random((4, 9, 9, 1)).astype(np.float32)

    def second(seed):
        first, layer = layers.RandomBrightness(0.0), layers.RandomElastic(seed=seed)
        return run_layer(lambda x: layer(first(x)), x, seed=1)

    class After(layers.Layer):
        def __init__(self, seed):
            super().__init__()
            self.flip, self.layer = layers.RandomContrast(1.0), layers.RandomElastic(seed=seed)

        def call(self, inputs, training=False):
            return self.layer(inputs, training=training) + 0.0 * self.flip(inputs)

    # A layer with a seed draws the same wherever it stands; one without has its place's numbers.
    np.testing.assert_array_equal(run_layer(After(7), x, seed=1), second(7))
    assert not np.array_equal(second(7), second(8))
    assert not np.array_equal(second(7), second(None))


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
        sums.update(run_layer(layer, x).tobytes())
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
    assert len(values_by_isa("test_augmentation_layers.digest()")) == 1


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
    reset_names()
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)):
        function()
