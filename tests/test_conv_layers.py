"""Convolution and reshaping layers: weights, configurations, errors.

What they compute is checked in test_ops.py and, beside Keras, in test_conv_parity.py; networks
made of them in test_conv_networks.py.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from reference_conv2d import OPS
from test_conv_parity import LAYERS, waves
from test_gradients import grad, numeric

import weft
from weft import layers, ops
from weft._names import reset_names


@pytest.mark.parametrize("name", LAYERS)
def test_configuration(name):
    shape, make = LAYERS[name]
    layer = make(layers)
    x = waves((2, *shape), 1.7)
    y = layer(x)
    config = json.loads(json.dumps(layer.get_config()))
    again = layers.deserialize({"class_name": type(layer).__name__, "config": config})
    assert json.loads(json.dumps(again.get_config())) == config
    again.build((None, *shape))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), y)


WEIGHTS = [
    (layers.Conv2D(6, (3, 2)), (5, 5, 4), {"kernel": (3, 2, 4, 6), "bias": (6,)}),
    (layers.Conv2D(6, 3, groups=2), (5, 5, 4), {"kernel": (3, 3, 2, 6), "bias": (6,)}),
    (layers.Conv2D(6, 3, use_bias=False), (5, 5, 4), {"kernel": (3, 3, 4, 6)}),
    (layers.Conv1D(6, 3), (5, 4), {"kernel": (3, 4, 6), "bias": (6,)}),
    (layers.Conv2DTranspose(6, (3, 2)), (5, 5, 4), {"kernel": (3, 2, 6, 4), "bias": (6,)}),
    (layers.Conv1DTranspose(6, 3), (5, 4), {"kernel": (3, 6, 4), "bias": (6,)}),
    (
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        (5, 5, 4),
        {"kernel": (3, 3, 4, 2), "bias": (8,)},
    ),
    (layers.DepthwiseConv1D(3), (5, 4), {"kernel": (3, 4, 1), "bias": (4,)}),
    (
        layers.SeparableConv2D(6, 3, depth_multiplier=2),
        (5, 5, 4),
        {"depthwise_kernel": (3, 3, 4, 2), "pointwise_kernel": (1, 1, 8, 6), "bias": (6,)},
    ),
    (
        layers.SeparableConv1D(6, 3),
        (5, 4),
        {"depthwise_kernel": (3, 4, 1), "pointwise_kernel": (1, 4, 6), "bias": (6,)},
    ),
]


@pytest.mark.parametrize("index", range(len(WEIGHTS)))
def test_weights(index):
    layer, shape, expected = WEIGHTS[index]
    layer.build((None, *shape))
    assert [(w.name, w.shape) for w in layer.weights] == list(expected.items())
    assert [w.path for w in layer.weights] == [f"{layer.name}/{name}" for name in expected]
    kernel = layer.get_weights()[0]
    limit = np.sqrt(6 / (np.prod(kernel.shape[:-2]) * sum(kernel.shape[-2:])))  # glorot_uniform
    assert 0.5 * limit < np.abs(kernel).max() <= limit
    if layer.use_bias:
        np.testing.assert_array_equal(layer.get_weights()[-1], 0)


def test_names_and_aliases():
    reset_names()
    kinds = [layers.Conv2D, layers.Conv2DTranspose, layers.Conv1D]
    assert [kind(1, 1).name for kind in kinds] == ["conv2d", "conv2d_transpose", "conv1d"]
    assert layers.DepthwiseConv2D(1).name == "depthwise_conv2d"
    assert layers.SeparableConv2D(1, 1).name == "separable_conv2d"
    assert layers.UpSampling2D().name == "up_sampling2d"
    assert layers.ZeroPadding2D().name == "zero_padding2d"
    assert layers.Convolution2D is layers.Conv2D
    assert layers.Convolution1DTranspose is layers.Conv1DTranspose
    assert layers.SeparableConvolution2D is layers.SeparableConv2D


def test_settings_of_weights():
    layer = layers.SeparableConv2D(
        *(3, 2),
        depthwise_initializer="ones",
        pointwise_regularizer="l2",
        bias_initializer=weft.initializers.Constant(2.0),
        depthwise_constraint=None,
        activity_regularizer="l1",
    )
    layer.build((None, 4, 4, 2))
    depthwise, pointwise, bias = layer.weights
    np.testing.assert_array_equal(depthwise.numpy(), 1)
    np.testing.assert_array_equal(bias.numpy(), 2)
    assert [w.regularizer is None for w in (depthwise, pointwise, bias)] == [True, False, True]
    assert layer.get_config()["pointwise_regularizer"]["class_name"] == "L2"
    assert layer.get_config()["activity_regularizer"]["class_name"] == "L1"


def conv2d(*args, **kwargs):
    return layers.Conv2D(*args, name="c", **kwargs)


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


IMAGES = np.zeros((2, 5, 5, 4), np.float32)
ERRORS = [
    (lambda: conv2d(0, 3), "Conv2D 'c' expects a positive number of filters, got 0."),
    (lambda: conv2d(2.5, 3), "positive number of filters, got 2.5"),
    (lambda: conv2d(4, 0), "Conv2D 'c' expects kernel_size as an integer or 2 of them, at least 1"),
    (lambda: conv2d(4, (3, 3, 3)), "kernel_size as an integer or 2 of them, at least 1, got (3, 3"),
    (lambda: conv2d(4, "3x3"), "got '3x3'"),
    (lambda: conv2d(4, 3, strides=(0, 1)), "Conv2D 'c' expects strides as an integer or 2 of them"),
    (lambda: conv2d(4, 3, dilation_rate=1.5), "dilation_rate as an integer or 2 of them"),
    (
        lambda: conv2d(4, 3, strides=2, dilation_rate=(1, 2)),
        "Conv2D 'c' cannot have both strides and dilation_rate above 1, got (2, 2) and (1, 2).",
    ),
    (lambda: conv2d(4, 3, padding="full"), "expects padding 'valid' or 'same', got 'full'"),
    (lambda: conv2d(4, 3, padding="causal"), "expects padding 'valid' or 'same', got 'causal'"),
    (
        lambda: conv2d(4, 3, data_format="channels_first"),
        "Conv2D 'c' expects data_format 'channels_last', got 'channels_first'.",
    ),
    (lambda: conv2d(4, 3, groups=0), "positive number of groups, got 0"),
    (
        lambda: conv2d(4, 3, groups=3),
        "Conv2D 'c' expects a number of filters that is divisible by its 3 groups, got 4.",
    ),
    (lambda: conv2d(4, 3, kernel_constraint="max_norm"), "got a kernel_constraint"),
    (lambda: conv2d(4, 3, activation="rellu"), "did you mean 'relu'"),
    (
        lambda: conv2d(9, 3, groups=3)(IMAGES),
        "Conv2D 'c' expects a number of channels that is divisible by its 3 groups, "
        "got shape (None, 5, 5, 4)",
    ),
    (
        lambda: conv2d(4, 3)(IMAGES[..., 0]),
        "Conv2D 'c' expects inputs of shape (None, height, width, channels), "
        "got shape (None, 5, 5)",
    ),
    (lambda: layers.Conv1D(4, 3)(IMAGES), "inputs of shape (None, steps, channels), got shape"),
    (
        lambda: conv2d(4, (6, 3))(IMAGES),
        "Conv2D 'c' has a kernel of (6, 3) that does not fit into inputs of shape (None, 5, 5, 4); "
        "use padding='same' or a smaller kernel",
    ),
    (lambda: conv2d(4, 3, dilation_rate=3)(IMAGES), "kernel of (3, 3) and dilation (3, 3) that"),
    (
        lambda: built(conv2d(4, 3), 28, 28, 3)(IMAGES),
        "Conv2D 'c' expects inputs with 3 channels, got shape (None, 5, 5, 4)",
    ),
    (lambda: built(conv2d(4, 3), 28, 28, 4)(IMAGES[:, :2]), "does not fit into inputs of shape"),
    (
        lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2),
        "expects output_padding below its strides (2, 2), got 2",
    ),
    (
        lambda: layers.Conv2DTranspose(4, 2, 2, "same", output_padding=0)(IMAGES[:, :1, :1]),
        "output without pixels for shape (None, 1, 1, 4)",
    ),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "positive number of outputs per"),
    (
        lambda: built(layers.SeparableConv2D(4, 3), 5, 5, 3)(IMAGES),
        "expects inputs with 3 channels, got shape (None, 5, 5, 4)",
    ),
    (lambda: layers.ZeroPadding2D(-1), "expects padding as an integer or 2 of them, at least 0"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), "a pair of them or a pair of pairs, got (1, 2, 3)"),
    (lambda: layers.ZeroPadding1D(1)(IMAGES), "inputs of shape (None, steps, channels)"),
    (lambda: layers.Cropping2D(3)(IMAGES), "leaves nothing of size (5, 5)"),
    (lambda: layers.Cropping1D((2, 3))(IMAGES[..., 0]), "leaves nothing of size (5,)"),
    (lambda: layers.UpSampling2D(0), "expects size as an integer or 2 of them, at least 1, got 0"),
    (lambda: layers.UpSampling2D(interpolation="area"), "'nearest' or 'bilinear', got 'area'"),
    (lambda: layers.Permute((1, 3)), "each of the axes 1 to 2 once, got (1, 3)"),
    (lambda: layers.Permute((2, 1))(IMAGES), "inputs with 2 axes after the batch"),
    (lambda: layers.RepeatVector(0), "expects n as an integer, at least 1, got 0"),
    (lambda: layers.RepeatVector(2)(IMAGES), "expects inputs of shape (None, features)"),
    (lambda: ops.conv(IMAGES, np.zeros((3, 3, 3, 2))), "a multiple of 3 channels"),
    (lambda: ops.conv(IMAGES, np.zeros((3, 3, 2, 3))), "2 groups can share, got 3"),
    (lambda: ops.conv(IMAGES, np.zeros((3, 4, 3))), "a kernel of the same rank"),
    (lambda: ops.conv_transpose(IMAGES, np.zeros((3, 3, 4, 2))), "inputs with 2 channels"),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, text = ERRORS[index]
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        function()
    assert "\n" not in str(caught.value)


def test_a_layer_that_does_not_fit_leaves_the_model_as_it_was():
    model = weft.Sequential([weft.Input((5, 5, 4)), layers.Conv2D(3, 3)])
    with pytest.raises(ValueError, match="does not fit into inputs of shape"):
        model.add(layers.Conv2D(2, 4))
    assert model.output_shape == (None, 3, 3, 3)
    assert len(model.layers) == 1


def test_causal_outputs_do_not_see_the_future():
    layer = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)
    x = waves((1, 12, 3), 1.7)
    y = layer(x)
    changed = x.copy()
    changed[:, 7] += 1
    touched = np.any(layer(changed) != y, axis=(0, 2))
    np.testing.assert_array_equal(np.flatnonzero(touched), [7, 9, 11])


@pytest.mark.parametrize("shape", [(3, 5, 6, 3), (2, 7, 7, 16)])
def test_nan_reaches_what_sees_it_and_nothing_else(shape):
    x = waves(shape, 1.7)
    w = waves((3, 3, shape[-1], 5), 0.9)
    x[1, 3, 4, 1] = np.nan
    attrs = {"padding": [1, 1, 1, 1]}
    expected = np.isnan(OPS["conv2d"]([x, w], attrs))
    np.testing.assert_array_equal(np.isnan(ops.conv(x, w, padding="same")), expected)
    np.testing.assert_array_equal(
        np.isnan(ops.conv_transpose(x, np.swapaxes(w, 2, 3), padding="same")), expected
    )
    kernel = w.copy()
    kernel[0, 1, 1, 2] = np.nan
    x[1, 3, 4, 1] = 0
    nan = np.isnan(ops.conv(x, kernel))
    assert nan[..., 2].all()
    assert not nan[..., [0, 1, 3, 4]].any()


def test_summary(capsys):
    reset_names()
    weft.Sequential(
        [
            weft.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.ZeroPadding2D(),
            layers.SeparableConv2D(8, 3, strides=2),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        ]
    ).summary(line_length=100)
    text = capsys.readouterr().out
    for line in (
        "conv2d (Conv2D) (None, 26, 26, 32) 320",
        "zero_padding2d (ZeroPadding2D) (None, 28, 28, 32) 0",
        "separable_conv2d (SeparableConv2D) (None, 13, 13, 8) 552",
        "conv2d_transpose (Conv2DTranspose) (None, 26, 26, 4) 292",
    ):
        assert line in re.sub(r"[\s│]+", " ", text)
    assert "Total params: 1,164" in text


def test_gradients_of_gradients():
    """A penalty on the gradient of a convolution, against differences of its float64 value."""
    x, w = waves((2, 4, 5, 2), 1.7), waves((2, 3, 2, 3), 0.9)

    def native(x, w):
        y = ops.conv(x, w)
        (slope,) = x.trace.gradients(ops.sum(ops.square(y)), [x])
        return ops.sum(ops.square(slope))

    def exact(x, w):
        y = OPS["conv2d"]([x, w], {})
        slope = OPS["conv2d_grad_input"]([2 * y, w], {"size": [4, 5]})
        return np.sum(slope**2)

    for found, expected in zip(grad(native, x, w), numeric(exact, x, w), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_variables_convolve_at_once():
    kernel = weft.graph.Variable(waves((3, 3, 4, 20), 0.9))
    x = waves((2, 6, 5, 4), 1.7)
    np.testing.assert_array_equal(ops.conv(x, kernel), ops.conv(x, kernel.numpy()))
