"""Convolution and reshaping layers against Keras 3.15 on JAX: outputs, and whole trainings.

Weights and data come from formulas, so that nothing here depends on random numbers. The numbers
were printed by this file (`KERAS_BACKEND=jax python tests/test_conv_parity.py`) beside Keras.
"""

from __future__ import annotations

import numpy as np
import pytest

# The shape of one sample, and a layer from the module of layers.
LAYERS = {
    "conv": ((7, 9, 3), lambda k: k.Conv2D(5, 3, activation="relu")),
    "conv-same": ((5, 8, 2), lambda k: k.Conv2D(4, (2, 5), padding="same")),
    "conv-strides": ((8, 7, 3), lambda k: k.Conv2D(4, (3, 2), strides=2, padding="same")),
    "conv-two-strides": ((9, 8, 1), lambda k: k.Conv2D(3, 3, strides=(3, 2), use_bias=False)),
    "conv-dilated": ((9, 9, 2), lambda k: k.Conv2D(3, 3, dilation_rate=(2, 3))),
    "conv-dilated-same": ((6, 5, 2), lambda k: k.Conv2D(3, 2, padding="same", dilation_rate=2)),
    "conv-groups": ((6, 6, 6), lambda k: k.Conv2D(9, 3, groups=3, padding="same")),
    "conv-groups-of-one": ((6, 6, 3), lambda k: k.Conv2D(6, 3, strides=2, groups=3)),
    "conv1d": ((11, 3), lambda k: k.Conv1D(5, 4, strides=2, padding="same")),
    "conv1d-causal": ((10, 3), lambda k: k.Conv1D(5, 3, strides=2, padding="causal")),
    "conv1d-causal-dilated": ((9, 2), lambda k: k.Conv1D(3, 3, padding="causal", dilation_rate=2)),
    "conv1d-groups": ((9, 4), lambda k: k.Conv1D(6, 3, groups=2, activation="tanh")),
    "transpose": ((4, 5, 3), lambda k: k.Conv2DTranspose(2, 3, strides=2, activation="relu")),
    "transpose-same": ((4, 5, 3), lambda k: k.Conv2DTranspose(2, 3, strides=2, padding="same")),
    "transpose-even": ((3, 3, 2), lambda k: k.Conv2DTranspose(4, 2, strides=2, padding="same")),
    "transpose-gaps": ((3, 4, 2), lambda k: k.Conv2DTranspose(3, (1, 2), strides=3)),
    "transpose-odd-one": (
        (3, 4, 2),
        lambda k: k.Conv2DTranspose(3, (3, 4), strides=(2, 3), padding="same", output_padding=1),
    ),
    "transpose-more": ((3, 4, 2), lambda k: k.Conv2DTranspose(3, 3, 2, output_padding=(1, 0))),
    "transpose-dilated": ((4, 5, 2), lambda k: k.Conv2DTranspose(3, 3, dilation_rate=2)),
    "transpose1d": ((6, 3), lambda k: k.Conv1DTranspose(4, 5, strides=3, padding="same")),
    "depthwise": ((7, 6, 3), lambda k: k.DepthwiseConv2D(3, depth_multiplier=2)),
    "depthwise-same": ((7, 6, 3), lambda k: k.DepthwiseConv2D(3, 2, "same", activation="relu")),
    "depthwise-dilated": ((7, 8, 2), lambda k: k.DepthwiseConv2D((3, 2), dilation_rate=2)),
    "depthwise1d": ((9, 3), lambda k: k.DepthwiseConv1D(3, depth_multiplier=3, padding="same")),
    "separable": (
        (7, 6, 3),
        lambda k: k.SeparableConv2D(5, 3, depth_multiplier=2, strides=2, activation="relu"),
    ),
    "separable-same": ((5, 6, 4), lambda k: k.SeparableConv2D(3, (2, 3), padding="same")),
    "separable1d": ((9, 3), lambda k: k.SeparableConv1D(4, 3, padding="same", dilation_rate=2)),
    "zero-padding": ((3, 4, 2), lambda k: k.ZeroPadding2D(((1, 0), (2, 3)))),
    "zero-padding1d": ((5, 2), lambda k: k.ZeroPadding1D((2, 1))),
    "cropping": ((6, 7, 2), lambda k: k.Cropping2D(((1, 0), (2, 3)))),
    "cropping1d": ((5, 2), lambda k: k.Cropping1D((2, 1))),
    "up-sampling": ((3, 4, 2), lambda k: k.UpSampling2D((2, 3))),
    "up-sampling-bilinear": ((3, 4, 2), lambda k: k.UpSampling2D(2, interpolation="bilinear")),
    "up-sampling-bilinear-3": (
        (1, 4, 2),
        lambda k: k.UpSampling2D((2, 3), interpolation="bilinear"),
    ),
    "up-sampling1d": ((5, 2), lambda k: k.UpSampling1D(3)),
    "permute": ((3, 4, 5), lambda k: k.Permute((2, 3, 1))),
    "repeat-vector": ((5,), lambda k: k.RepeatVector(3)),
}


def waves(shape, step, phase=0.0):
    """Numbers without a pattern, the same everywhere."""
    return np.sin(np.arange(np.prod(shape)) * step + phase).reshape(shape).astype(np.float32)


def outputs(layers, name):
    """The shape of a layer's outputs, and three sums that no displaced element leaves alone."""
    shape, make = LAYERS[name]
    layer = make(layers)
    layer.build((None, *shape))
    layer.set_weights([waves(w.shape, 0.9, i) for i, w in enumerate(layer.get_weights())])
    y = np.asarray(layer(waves((2, *shape), 1.7)), np.float64)
    assert tuple(layer.compute_output_shape((None, *shape))) == (None, *y.shape[1:])
    places = np.arange(y.size)
    sums = [y.ravel() @ np.cos(places * 0.37), y.ravel() @ np.sin(places * 2.3), np.abs(y).sum()]
    return list(y.shape), [float(f"{s:.6g}") for s in sums]


def convnet(k):
    return (8, 9, 2), [
        k.Conv2D(6, 3, padding="same", activation="relu"),
        k.MaxPooling2D(2),
        k.Conv2D(9, (2, 3), activation="relu"),
        k.MaxPooling2D((1, 2)),
        k.Flatten(),
        k.Dense(11, activation="relu"),
        k.Dense(4, activation="softmax"),
    ]


def strided(k):
    return (8, 7, 1), [
        k.Rescaling(0.5),
        k.ZeroPadding2D((1, 0)),
        k.Conv2D(5, 3, strides=2, activation="tanh"),
        k.SeparableConv2D(6, 3, padding="same", depth_multiplier=2, activation="relu"),
        k.Conv2DTranspose(3, 2, strides=2, padding="same", activation="sigmoid"),
        k.Cropping2D(1),
        k.UpSampling2D(2),
        k.Conv2D(4, 3, groups=1, dilation_rate=2),
        k.Flatten(),
        k.Dense(4, activation="softmax"),
    ]


def causal(k):
    return (12, 3), [
        k.Conv1D(8, 3, padding="causal", activation="relu"),
        k.Conv1D(8, 2, groups=2, dilation_rate=2, padding="causal", activation="relu"),
        k.DepthwiseConv1D(3, depth_multiplier=2, activation="relu"),
        k.Permute((2, 1)),
        k.Flatten(),
        k.Dense(4, activation="softmax"),
    ]


MODELS = {"convnet": convnet, "strided": strided, "causal": causal}


def train(keras, name):
    """Losses and accuracies of a few epochs."""
    shape, layers = MODELS[name](keras.layers)
    model = keras.Sequential([keras.Input(shape), *layers])
    model.set_weights([waves(w.shape, 1.1, i) * 0.3 for i, w in enumerate(model.get_weights())])
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    labels = np.arange(44) * 7 % 11 % 4
    x = waves((44, *shape), 1.7) + waves((44, *shape), 0.01) * labels.reshape(-1, *[1] * len(shape))
    history = model.fit(x, labels, batch_size=8, epochs=4, shuffle=False, verbose=0).history
    return {key: [float(f"{v:.7g}") for v in values] for key, values in history.items()}


GOLDEN_OUTPUTS = {
    "conv": ([2, 5, 7, 5], [-1.16347, -1.30535, 509.876]),
    "conv-same": ([2, 5, 8, 4], [-0.824076, 2.47378, 334.769]),
    "conv-strides": ([2, 4, 4, 4], [-3.51406, -0.671365, 119.817]),
    "conv-two-strides": ([2, 3, 3, 3], [-10.0604, 1.13159, 90.9094]),
    "conv-dilated": ([2, 5, 3, 3], [2.67007, -0.758971, 122.32]),
    "conv-dilated-same": ([2, 6, 5, 3], [1.79628, -0.189957, 234.864]),
    "conv-groups": ([2, 6, 6, 9], [-1.99854, 50.5671, 2872.96]),
    "conv-groups-of-one": ([2, 2, 2, 6], [5.7887, 1.47339, 36.9637]),
    "conv1d": ([2, 6, 5], [7.13724, 1.06994, 196.522]),
    "conv1d-causal": ([2, 5, 5], [4.53254, -3.18926, 121.872]),
    "conv1d-causal-dilated": ([2, 9, 3], [2.90345, 2.82722, 54.3196]),
    "conv1d-groups": ([2, 7, 6], [0.0151179, -2.32722, 55.242]),
    "transpose": ([2, 9, 11, 2], [3.92604, 11.3318, 403.008]),
    "transpose-same": ([2, 8, 10, 2], [-0.125195, -0.395616, 371.647]),
    "transpose-even": ([2, 6, 6, 4], [3.46673, -0.0816211, 233.389]),
    "transpose-gaps": ([2, 9, 12, 3], [2.89453, -1.44982, 471.759]),
    "transpose-odd-one": ([2, 6, 10, 3], [0.284039, -3.16552, 422.215]),
    "transpose-more": ([2, 8, 9, 3], [2.84411, 0.447499, 390.088]),
    "transpose-dilated": ([2, 8, 9, 3], [1.47434, 0.42763, 680.063]),
    "transpose1d": ([2, 18, 4], [1.65383, 2.69117, 186.85]),
    "depthwise": ([2, 5, 4, 6], [-1.29454, -1.07865, 185.363]),
    "depthwise-same": ([2, 4, 3, 3], [-0.335633, -3.04849, 57.8297]),
    "depthwise-dilated": ([2, 3, 6, 2], [1.85294, 4.91529, 120.727]),
    "depthwise1d": ([2, 9, 9], [-4.88673, -4.51773, 156.847]),
    "separable": ([2, 3, 2, 5], [0.949093, 1.16866, 15.6113]),
    "separable-same": ([2, 5, 6, 3], [-2.39012, -1.95395, 145.574]),
    "separable1d": ([2, 9, 4], [5.2947, -0.0185723, 107.193]),
    "zero-padding": ([2, 4, 9, 2], [1.92134, 0.353687, 30.5651]),
    "zero-padding1d": ([2, 8, 2], [-0.140223, 0.266096, 12.5558]),
    "cropping": ([2, 5, 2, 2], [-3.42037, 0.219345, 24.8869]),
    "cropping1d": ([2, 2, 2], [0.227015, 1.45592, 5.40638]),
    "up-sampling": ([2, 6, 12, 2], [11.2293, -0.488598, 183.39]),
    "up-sampling-bilinear": ([2, 6, 8, 2], [2.63357, -1.01061, 73.1969]),
    "up-sampling-bilinear-3": ([2, 2, 12, 2], [3.93714, 1.13608, 39.4976]),
    "up-sampling1d": ([2, 15, 2], [1.7652, 0.16359, 37.6675]),
    "permute": ([2, 4, 5, 3], [0.160496, -2.32994, 76.4093]),
    "repeat-vector": ([2, 3, 5], [-0.158951, 6.10462, 18.1186]),
}

GOLDEN_HISTORIES = {
    "convnet": {
        "accuracy": [0.25, 0.5227273, 0.6818182, 0.7727273],
        "loss": [1.328768, 1.234579, 1.073645, 0.826412],
    },
    "strided": {
        "accuracy": [0.2272727, 0.25, 0.2045455, 0.2045455],
        "loss": [1.398478, 1.41685, 1.378632, 1.393842],
    },
    "causal": {
        "accuracy": [0.2272727, 0.3636364, 0.3409091, 0.3636364],
        "loss": [1.378104, 1.363852, 1.357759, 1.345765],
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_outputs(name):
    import weft

    shape, sums = outputs(weft.layers, name)
    expected_shape, expected = GOLDEN_OUTPUTS[name]
    assert shape == expected_shape
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=2e-6 * expected[2])


@pytest.mark.parametrize("name", MODELS)
def test_history(name):
    import weft

    history = train(weft, name)
    for key, values in GOLDEN_HISTORIES[name].items():
        np.testing.assert_allclose(history[key], values, rtol=1e-4, atol=1e-5, err_msg=key)


if __name__ == "__main__":
    import keras

    print("GOLDEN_OUTPUTS = {")
    for name in LAYERS:
        print(f'    "{name}": {outputs(keras.layers, name)},')
    print("}\n\nGOLDEN_HISTORIES = {")
    for name in MODELS:
        print(f'    "{name}": {train(keras, name)},')
    print("}")
