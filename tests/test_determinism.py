"""The same seed gives the same bits: in any process, on any instruction set and thread count."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from elsewhere import value_elsewhere, values_by_isa

import weft
from weft import layers

RNG = np.random.default_rng(1)
X = RNG.integers(0, 256, size=(330, 77), dtype=np.uint8)
Y = RNG.integers(0, 10, size=330)


def train(optimizer="adam", threads=0, fuse=True, epochs=3, **options):
    weft.config.set_num_threads(threads)
    weft.utils.set_random_seed(123)
    model = weft.Sequential(
        [
            weft.Input((77,)),
            layers.Rescaling(1 / 255),
            layers.Dense(65, activation="relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.Dense(33, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], fuse=fuse)
    history = model.fit(X, Y, batch_size=32, epochs=epochs, verbose=0, **options)
    weft.config.set_num_threads(0)
    return model, history.history


def digest(optimizer="adam", threads=0):
    """A fingerprint of all weights and of the history."""
    model, history = train(optimizer, threads)
    sums = hashlib.sha256()
    for weights in model.get_weights():
        sums.update(weights.tobytes())
    sums.update(repr(history).encode())
    sums.update(model.predict(X, verbose=0).tobytes())
    return sums.hexdigest()


@pytest.mark.cpu
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_threads_do_not_change_a_bit(optimizer):
    assert digest(optimizer, 1) == digest(optimizer, 2) == digest(optimizer, 5)


@pytest.mark.cpu
def test_processes_agree():
    assert digest() == value_elsewhere("test_determinism.digest()")


@pytest.mark.cpu
def test_instruction_sets_agree():
    assert len(values_by_isa("test_determinism.digest()")) == 1


def test_another_seed_gives_other_numbers():
    first, _ = train()
    weft.utils.set_random_seed(124)
    second = weft.models.clone_model(first)
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def test_fused_equals_unfused():
    fused, history = train()
    unfused, other = train(fuse=False)
    for a, b in zip(fused.get_weights(), unfused.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history["loss"], other["loss"], rtol=1e-5)


def test_one_epoch_call_equals_batch_calls():
    class Nothing(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    whole, history = train()
    single, other = train(callbacks=[Nothing()])
    assert (whole.last_fit_mode, single.last_fit_mode) == ("epoch", "batch")
    assert history == other
    for a, b in zip(whole.get_weights(), single.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_progress_does_not_change_a_bit(capsys):
    quiet, history = train()
    loud, other = train()
    weft.utils.set_random_seed(123)
    shown = weft.models.clone_model(quiet)
    shown.set_weights(loud.get_weights())
    shown.compile("sgd", "sparse_categorical_crossentropy")
    twin = weft.models.clone_model(quiet)
    twin.set_weights(loud.get_weights())
    twin.compile("sgd", "sparse_categorical_crossentropy")
    twin._seed = shown._seed
    twin._state = weft._core.StepState(shown._seed)
    a = shown.fit(X, Y, epochs=2, verbose=1).history
    b = twin.fit(X, Y, epochs=2, verbose=0).history
    assert a == b
    assert history == other
    np.testing.assert_array_equal(shown.get_weights()[0], twin.get_weights()[0])
    capsys.readouterr()


def test_each_epoch_has_an_order_of_its_own():
    orders = [weft._core.shuffled(1000, 5, epoch) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[1], weft._core.shuffled(1000, 5, 1))
    assert not np.array_equal(orders[0], weft._core.shuffled(1000, 6, 0))
    ordered, _ = train(shuffle=False)
    shuffled, _ = train()
    assert not np.array_equal(ordered.get_weights()[0], shuffled.get_weights()[0])


def test_two_fits_are_one_longer_fit():
    longer, _ = train(epochs=4)
    twice, _ = train(epochs=2)
    twice.fit(X, Y, batch_size=32, epochs=2, verbose=0)
    np.testing.assert_array_equal(longer.get_weights()[0], twice.get_weights()[0])
