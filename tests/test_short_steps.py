"""Steps so short that the CPU tries out, as it runs, whether other threads help: same results."""

from __future__ import annotations

import re

import numpy as np
import pytest

import weft
from weft import layers

RNG = np.random.default_rng(0)
ROWS = 6000  # 120 steps, the first 60 of them the trial
X = RNG.standard_normal((ROWS, 784), dtype=np.float32)
Y = RNG.integers(0, 10, size=ROWS)


def train(threads, x=X, learning_rate=0.01, epochs=2):
    """A network whose step is between 30 and 600 us; its weights, history and the error, if any."""
    weft.config.set_num_threads(threads)
    weft.utils.set_random_seed(7)
    model = weft.Sequential(
        [
            weft.Input((784,)),
            layers.Dense(50, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    optimizer = weft.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    history, error = None, None
    try:
        history = model.fit(x, Y, batch_size=50, epochs=epochs, shuffle=False, verbose=0).history
    except FloatingPointError as found:
        error = str(found)
    finally:
        weft.config.set_num_threads(0)
    return model.get_weights(), history, error


@pytest.mark.cpu
def test_the_same_bits():
    weights, history, _ = train(1)
    for threads in (2, 3):
        others, other_history, error = train(threads)
        assert error is None
        assert other_history == history
        for one, other in zip(weights, others, strict=True):
            assert np.array_equal(one, other)


@pytest.mark.cpu
@pytest.mark.parametrize("step", [1, 10, 19, 45, 90])
def test_a_loss_that_turns_nan_ends_the_run_at_its_step(step):
    x = X.copy()
    x[50 * (step - 1) :] = 3e38  # in the steps of either way, and after the trial
    weights, _, error = train(1, x)
    others, _, other_error = train(2, x)
    assert error is not None
    assert re.search(rf"step {step}\b", error)
    assert other_error == error
    for one, other in zip(weights, others, strict=True):
        assert np.array_equal(one, other)
