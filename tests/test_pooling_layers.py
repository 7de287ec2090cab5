"""Pooling: layers, their shapes, configurations and errors, and where maxima are taken from."""

from __future__ import annotations

import re

import numpy as np
import pytest
from case import Case, Input
from native import OpPlan

from weft import _core, layers, models, ops
from weft._names import reset_names
from weft.ops.conv import same_padding
from weft.ops.core import EagerPlan

IMAGES = ((np.arange(60) * 37 % 61).reshape(1, 5, 6, 2) / 4 - 7).astype(np.float32)
SEQUENCES = IMAGES.reshape(1, 15, 4)

# Values that Keras 3 gives: (layer, inputs, shape, outputs).
# fmt: off
KERAS = [
    (
        lambda: layers.MaxPooling2D(2),
        IMAGES,
        (1, 2, 3, 2),
        [0.5, 6.5, 7.0, 1.0, 6.0, 7.5, 5.75, 3.0, 8.0, 6.25, 6.75, 0.75],
    ),
    (
        lambda: layers.MaxPooling2D((3, 2), strides=(2, 3), padding="SAME"),
        IMAGES,
        (1, 3, 2, 2),
        [0.5, 6.5, 7.0, 4.25, 5.75, 6.5, 7.0, 5.25, 5.75, 7.25, 7.75, 1.75],
    ),
    (
        lambda: layers.AveragePooling2D(3, 2, "same"),
        IMAGES,
        (1, 3, 3, 2),
        [-1.625, 0.0, 2.3333, -1.125, -1.6875, 3.75, 1.3611, 0.4444, 1.0833, 0.1667, 0.875,
         -0.0417, -1.5833, 2.5833, 2.375, -1.0833, 3.4375, 1.25],
    ),
    (
        lambda: layers.AveragePooling2D((2, 3)),
        IMAGES,
        (1, 2, 2, 2),
        [-1.625, 0.0, 0.5, 2.125, 1.7917, 0.875, 1.375, -2.0833],
    ),
    (lambda: layers.GlobalMaxPooling2D(), IMAGES, (1, 2), [8.0, 7.5]),
    (
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        IMAGES,
        (1, 1, 1, 2),
        [0.475, 0.575],
    ),
    (
        lambda: layers.MaxPooling1D(3, 2, "same"),
        SEQUENCES,
        (1, 8, 4),
        [-0.5, 2.25, 2.75, 5.5, 6.0, 6.5, 2.75, 3.25, 3.75, 6.5, 7.0, 7.5, 8.0, 4.25, 4.75, 7.5,
         8.0, 2.0, 2.5, 5.25, 5.75, 6.25, 6.75, 3.0, 3.5, 4.0, 6.75, 7.25, 7.75, 1.75, 4.5, 5.0],
    ),
    (
        lambda: layers.AveragePooling1D(4, 3, "same"),
        SEQUENCES,
        (1, 5, 4),
        [-1.0625, 0.5625, -1.625, 0.0, -0.625, 1.0, 2.625, 0.4375, 3.625, -2.375, -0.75, 0.875,
         0.25, 1.875, -0.3125, 1.3125, 1.25, 0.3333, -0.5833, 3.5833],
    ),
    (lambda: layers.GlobalMaxPooling1D(), SEQUENCES, (1, 4), [8.0, 6.5, 7.0, 7.5]),
    (
        lambda: layers.GlobalAveragePooling1D(),
        SEQUENCES,
        (1, 4),
        [0.8833, -0.0333, 0.0667, 1.1833],
    ),
]
# fmt: on


@pytest.mark.parametrize("index", range(len(KERAS)))
def test_values_of_keras(index):
    make, x, shape, expected = KERAS[index]
    layer = make()
    y = layer(x)
    np.testing.assert_allclose(y, np.reshape(expected, shape), atol=6e-5)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *shape[1:])
    assert layer.count_params() == 0
    again = layers.deserialize(layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(x), y)


def test_configurations():
    reset_names()
    config = layers.MaxPooling2D((3, 2), padding="SAME").get_config()
    assert config["name"] == "max_pooling2d"
    assert config["pool_size"] == config["strides"] == [3, 2]
    assert (config["padding"], config["data_format"]) == ("same", "channels_last")
    assert layers.AveragePooling1D(strides=1).get_config()["pool_size"] == [2]
    assert layers.GlobalMaxPooling1D(keepdims=True).get_config()["keepdims"] is True
    assert layers.GlobalAveragePooling2D().name == "global_average_pooling2d"
    keras_3 = {**config, "pool_size": (3, 2), "strides": (3, 2)}
    assert layers.MaxPooling2D.from_config(keras_3).get_config() == config


def test_aliases():
    for axes in "12":
        for short, long in (("MaxPool", "MaxPooling"), ("AvgPool", "AveragePooling")):
            assert getattr(layers, f"{short}{axes}D") is getattr(layers, f"{long}{axes}D")
            name = f"Global{short}{axes}D"
            assert getattr(layers, name) is getattr(layers, f"Global{long}{axes}D")


def test_shapes():
    assert layers.MaxPooling2D().compute_output_shape((None, 28, 28, 32)) == (None, 14, 14, 32)
    assert layers.MaxPooling2D(3, 2).compute_output_shape((7, 28, 27, 1)) == (7, 13, 13, 1)
    same = layers.AveragePooling2D(3, 2, "same")
    assert same.compute_output_shape((None, 28, 27, 1)) == (None, 14, 14, 1)
    assert layers.GlobalMaxPool2D().compute_output_shape((None, 9, 8, 3)) == (None, 3)
    kept = layers.GlobalAvgPool1D(keepdims=True)
    assert kept.compute_output_shape((None, 9, 3)) == (None, 1, 3)


ERRORS = [
    (lambda: layers.MaxPooling2D(0), "MaxPooling2D 'max_pooling2d' expects pool_size as"),
    (lambda: layers.MaxPooling2D((2, 2, 2)), "got (2, 2, 2)"),
    (lambda: layers.MaxPooling1D(2, strides=1.5), "expects strides as an integer, at least 1"),
    (lambda: layers.MaxPooling2D(padding="full"), "padding 'valid' or 'same', got 'full'"),
    (
        lambda: layers.AveragePooling2D(data_format="channels_first"),
        "AveragePooling2D 'average_pooling2d' expects data_format 'channels_last'",
    ),
    (
        lambda: layers.GlobalMaxPooling2D("channels_first"),
        "GlobalMaxPooling2D 'global_max_pooling2d' expects data_format 'channels_last'",
    ),
    (
        lambda: layers.MaxPooling2D(3)(np.zeros((1, 2, 2, 1))),
        "MaxPooling2D 'max_pooling2d' expects inputs of at least (3, 3) for its window, "
        "got shape (None, 2, 2, 1)",
    ),
    (
        lambda: layers.MaxPooling2D()(np.zeros((4, 28, 28))),
        "MaxPooling2D 'max_pooling2d' expects inputs of shape (None, height, width, channels), "
        "got shape (None, 28, 28)",
    ),
    (
        lambda: layers.GlobalAveragePooling1D().compute_output_shape((None, None, 3)),
        "expects inputs of shape (None, steps, channels), got shape (None, None, 3)",
    ),
    (
        lambda: layers.MaxPooling2D((300, 1))(np.zeros((1, 600, 1, 1))),
        "max_pool expects windows of at most 256 places along an axis, got pool_size (300, 1); "
        "pool twice in a row instead",
    ),
    (lambda: ops.max_pool(np.zeros((4, 4)), 2), "expects inputs (N, T, C) or (N, H, W, C)"),
    (lambda: ops.max_pool(IMAGES, 9), "expects inputs of at least (9, 9) for its window"),
    (lambda: ops.average_pool(IMAGES, 2, padding="SAM"), "average_pool expects padding"),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, text = ERRORS[index]
    reset_names()
    with pytest.raises(ValueError, match=re.escape(text)):
        function()


@pytest.mark.parametrize(("strides", "padding"), [((20, 19), "valid"), ((5, 7), "same")])
def test_a_large_window_is_pooled_along_one_axis_after_the_other(strides, padding):
    x = np.random.default_rng(0).integers(0, 50, (2, 43, 41, 3)).astype(np.float32)
    layer = layers.MaxPooling2D((20, 19), strides, padding)

    def record(trace, tensors):
        y = layer(tensors[0])
        return [y, *trace.gradients(ops.sum(y), tensors)]

    y, gradient = EagerPlan(record, [x], training=True).run([x])
    expected, first = np.zeros_like(y), np.zeros_like(x)
    before = [0, 0]
    if padding == "same":
        movement = zip((43, 41), (20, 19), strides, strict=True)
        before = [same_padding(*axis)[0] for axis in movement]
    for n, i, j, c in np.ndindex(*y.shape):
        top, left = (k * s - b for k, s, b in zip((i, j), strides, before, strict=True))
        low, high = max(top, 0), max(left, 0)
        window = x[n, low : top + 20, high : left + 19, c]
        expected[n, i, j, c] = window.max()
        row, column = np.unravel_index(window.argmax(), window.shape)
        first[n, low + row, high + column, c] += 1  # of equal maxima the first one
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(gradient, first)
    assert layer.compute_output_shape((None, 43, 41, 3)) == (None, *y.shape[1:])


def test_rules_of_the_op():
    graph = _core.Graph()
    x = graph.input([2, 5, 5, 3], "float32")
    attrs = {"window": [2, 2], "strides": [1, 1], "padding": [0, 0, 0, 0]}
    for wrong, text in [
        ({"padding": [2, 0, 0, 0]}, "less than its window"),
        ({"window": [2]}, "two positive sizes"),
        ({"strides": [0, 1]}, "two strides of at least 1"),
    ]:
        with pytest.raises(ValueError, match=text):
            graph.op("max_pool2d", [x], {**attrs, **wrong}, "layer")


def pooled_with_gradient(x, window, strides, padding=(0, 0, 0, 0), cotangent=None):
    """Outputs of max_pool2d, and the gradient of their sum or of their product with `cotangent`."""
    attrs = {"window": [*window], "strides": [*strides], "padding": [*padding]}
    case = Case("max_pool2d", (Input(x.shape),), attrs)
    (y,) = OpPlan(case, [x]).run()
    given = np.ones_like(y) if cotangent is None else cotangent
    (gradient,) = OpPlan(case, [x], cotangent=given).run()
    return y, gradient


@pytest.mark.parametrize("channels", [1, 5, 16, 33])
def test_the_first_of_equal_maxima_gets_the_gradient(channels):
    x = np.full((2, 5, 4, channels), 3, np.float32)
    x[:, 1, 1] = -1
    _, gradient = pooled_with_gradient(x, (2, 2), (2, 2))
    expected = np.zeros_like(x)
    expected[:, 0:4:2, 0::2] = 1
    np.testing.assert_array_equal(gradient, expected)
    _, gradient = pooled_with_gradient(x, (3, 3), (1, 1), (1, 1, 1, 1))
    expected = np.zeros_like(x)
    for y, column in np.ndindex(5, 4):  # the first place of a window that lies in the image
        expected[:, max(y - 1, 0), max(column - 1, 0)] += 1
    expected[:, 1, 2] += expected[:, 1, 1]  # of the window that begins at -1, the next one
    expected[:, 1, 1] = 0
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("channels", [1, 5, 16, 33])
def test_nan_wins(channels):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 6, 6, channels)).astype(np.float32)
    for places in (0, 5), (1, 1), (2, 3), (3, 2), (4, 4), (4, 5):
        x[(1, *places)] = np.nan
    cotangent = np.arange(3 * 9 * channels, dtype=np.float32).reshape(3, 3, 3, channels)
    y, gradient = pooled_with_gradient(x, (2, 2), (2, 2), cotangent=cotangent)
    blocks = x.reshape(3, 3, 2, 3, 2, channels)
    np.testing.assert_array_equal(y, blocks.max((2, 4)))
    assert np.isnan(y[1]).sum() == 4 * channels  # two of the six share a window
    flat = np.moveaxis(blocks, 2, 3).reshape(3, 3, 3, 4, channels)
    first = flat.argmax(3)  # NumPy's takes the first NaN, too
    expected = (np.arange(4)[:, None] == first[..., None, :]) * cotangent[:, :, :, None]
    expected = np.moveaxis(expected.reshape(3, 3, 3, 2, 2, channels), 3, 2).reshape(x.shape)
    np.testing.assert_array_equal(gradient, expected)
    for size, strides in (2, 2), (3, 1):
        mean = ops.average_pool(x, size, strides, "same")
        seen = ops.max_pool(np.isnan(x).astype(np.float32), size, strides, "same")
        np.testing.assert_array_equal(np.isnan(mean), seen == 1)


@pytest.mark.parametrize("channels", [1, 7, 16])
@pytest.mark.parametrize("value", [-5.0, -np.inf])
def test_padding_never_wins(channels, value):
    x = np.full((2, 4, 5, channels), value, np.float32)
    y, gradient = pooled_with_gradient(x, (3, 3), (2, 2), (1, 1, 1, 2))
    np.testing.assert_array_equal(y, np.full(y.shape, value, np.float32))
    assert gradient.sum() == y.size
    np.testing.assert_array_equal(ops.average_pool(x, 3, 2, "same")[:, -1], x[:, 0, :3])


def test_a_window_over_all_of_a_long_sequence():
    x = np.random.default_rng(1).standard_normal((2, 300, 3)).astype(np.float32)
    np.testing.assert_array_equal(layers.MaxPooling1D(300)(x), x.max(1, keepdims=True))
    first = x[:, :290].max(1, keepdims=True)
    np.testing.assert_array_equal(layers.MaxPooling1D(290)(x), first)
    np.testing.assert_allclose(
        layers.AveragePooling1D(290)(x), x[:, :290].mean(1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize("fuse", [True, False])
def test_in_a_model(fuse):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((20, 9, 7, 3)).astype(np.float32)
    model = models.Sequential(
        [
            layers.Input((9, 7, 3)),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            layers.AveragePooling2D((2, 1), 1),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    pooled = np.maximum(x, 0)[:, :8, :6].reshape(20, 4, 2, 3, 2, 3).max((2, 4))
    expected = ((pooled[:, :-1] + pooled[:, 1:]) / 2).sum((1, 2, 3))
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, 0], expected, rtol=1e-5)
    model.compile("sgd", "mse", fuse=fuse)
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, 0], expected, rtol=1e-5)
    model.fit(x, rng.standard_normal((20, 1)), epochs=20, batch_size=6, verbose=0)
    history = model.history.history["loss"]
    assert history[-1] < history[0] / 2
