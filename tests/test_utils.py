"""Keras's small helpers: one-hot labels, normalisation, seeds."""

import importlib
import random
import re

import numpy as np
import pytest

import weft
from weft.utils import normalize, pad_sequences, set_random_seed, to_categorical


@pytest.mark.parametrize(
    "labels", [[0, 2, 1], np.array([[0], [2], [1]], np.uint8), [0.0, 2.0, 1.0]]
)
def test_to_categorical(labels):
    one_hot = to_categorical(labels)
    assert one_hot.dtype == np.float64
    np.testing.assert_array_equal(one_hot, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_to_categorical_shapes():
    assert to_categorical(3, 5).tolist() == [0, 0, 0, 1, 0]
    assert to_categorical([[0, 1], [1, 0]], num_classes=4).shape == (2, 2, 4)
    assert to_categorical([1], num_classes=2).tolist() == [[0, 1]]
    assert to_categorical(np.zeros(0, int), num_classes=4).shape == (0, 4)


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, 10], 10, "expects labels from 0 to 9, got labels from 0 to 10"),
        ([-1, 3], None, "expects labels from 0 to 3, got labels from -1 to 3"),
        ([0.5], None, "expects integer labels, got float64 values"),
        ([np.nan], 3, "expects integer labels"),
        (["cat"], None, "expects integer labels, got <U3 values"),
        ([None], None, "expects integer labels"),
        ([], None, "expects labels or num_classes, got an empty array"),
    ],
)
def test_to_categorical_rejects(labels, num_classes, message):
    with pytest.raises(ValueError, match=message):
        to_categorical(labels, num_classes)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize(axis, order):
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    scaled = normalize(x, axis=axis, order=order)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(scaled, order, axis), 1, rtol=1e-6)
    ratio = scaled / x
    np.testing.assert_allclose(ratio, ratio.mean(axis, keepdims=True) + 0 * x, rtol=1e-5)


def test_normalize_leaves_zeros_and_takes_lists():
    np.testing.assert_allclose(normalize([[0, 0], [3, 4]]), [[0, 0], [0.6, 0.8]])
    np.testing.assert_allclose(normalize([3, 4]), [0.6, 0.8])


def test_set_random_seed_seeds_all_three():
    draws = []
    for _ in range(2):
        set_random_seed(12)
        draws.append((random.random(), np.random.random()))
    assert draws[0] == draws[1]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7", None])
def test_set_random_seed_rejects(seed):
    with pytest.raises(ValueError, match="expects an integer from 0 to"):
        set_random_seed(seed)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("weft.layers", "Dens", "weft.layers has no 'Dens'; did you mean 'Dense'?"),
        ("weft.layers", "TextVectorization", "weft.layers has no 'TextVectorization'"),
        ("weft", "Sequentail", "weft has no 'Sequentail'; did you mean 'Sequential'?"),
        (
            "weft.datasets",
            "cifar10",
            "weft.datasets has no 'cifar10': weft does not have all of Keras",
        ),
        ("weft.keras.callbacks", "TensorBoard", "weft.callbacks has no 'TensorBoard'"),
    ],
)
def test_a_name_that_weft_has_not(module, name, message):
    with pytest.raises(AttributeError, match=re.escape(message)):
        getattr(importlib.import_module(module), name)
    assert not hasattr(weft.layers, "__wrapped__")


# From Keras's documentation, and its other arguments.
PADDED = [
    ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
    ({"value": -1}, [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]),
    ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
    ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6]]),
    ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5]]),
    ({"maxlen": 4, "padding": "post"}, [[1, 0, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0]]),
    ({"maxlen": 0}, [[], [], []]),
]


@pytest.mark.parametrize(("arguments", "expected"), PADDED)
def test_pad_sequences(arguments, expected):
    padded = pad_sequences([[1], [2, 3], np.array([4, 5, 6])], **arguments)
    assert padded.dtype == np.int32
    np.testing.assert_array_equal(padded, np.reshape(expected, (3, -1)))


def test_pad_sequences_of_vectors_and_of_nothing():
    vectors = [[[1, 2]], [], [[3, 4], [5, 6]]]
    padded = pad_sequences(vectors, dtype="float32", padding="post", value=0.5)
    assert padded.dtype == np.float32
    half = [0.5, 0.5]
    np.testing.assert_array_equal(padded, [[[1, 2], half], [half, half], [[3, 4], [5, 6]]])
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([[], []], maxlen=3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert weft.preprocessing.sequence.pad_sequences is pad_sequences


@pytest.mark.parametrize(
    ("sequences", "arguments", "message"),
    [
        ([[1]], {"padding": "left"}, "expects padding 'pre' or 'post', got 'left'"),
        ([[1]], {"truncating": None}, "expects truncating 'pre' or 'post', got None"),
        ([[1]], {"maxlen": -1}, "expects maxlen of at least 0, got -1"),
        ([[1]], {"maxlen": 2.5}, "expects maxlen of at least 0, got 2.5"),
        (3, {}, "expects a list of sequences, got an object of type int"),
        (np.array(3), {}, "expects a list of sequences, got an object of type ndarray"),
        ([1, 2], {}, "expects sequences of numbers, all of one depth, got int at index 0"),
        ([[1], "word"], {}, "sequences of numbers, all of one depth, got str at index 1"),
        ([[[1], [2, 3]]], {}, "sequences of numbers, all of one depth, got list at index 0"),
        ([[[1]], [[1, 2]]], {}, r"expects elements of one shape, got \(1,\) and \(2,\)"),
    ],
)
def test_pad_sequences_rejects(sequences, arguments, message):
    with pytest.raises(ValueError, match=message):
        pad_sequences(sequences, **arguments)
