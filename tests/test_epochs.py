"""What an epoch costs besides its kernels: Python, memory, and the time until Ctrl-C is heard."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import weft
from weft import layers

RNG = np.random.default_rng(5)


def tiny_regression(rows=2000):
    x = RNG.normal(size=(rows, 4)).astype(np.float32)
    model = weft.Sequential([weft.Input((4,)), layers.Dense(16, "relu"), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model, x, x[:, :1].copy()


def test_no_python_runs_inside_of_an_epoch():
    def calls(batch_size):
        model, x, y = tiny_regression()
        model.fit(x, y, batch_size=batch_size, epochs=1, verbose=0)
        count = 0

        def watch(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(watch)
        try:
            model.fit(x, y, batch_size=batch_size, epochs=3, verbose=0)
        finally:
            sys.setprofile(None)
        return count

    assert calls(1000) == calls(2)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_memory_stays_flat():
    def resident_bytes():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    model, x, y = tiny_regression()
    options = {"validation_split": 0.1, "batch_size": 33, "verbose": 0}
    model.fit(x, y, epochs=20, **options)
    before = resident_bytes()
    model.fit(x, y, epochs=100, **options)
    assert resident_bytes() - before < 300_000


def test_control_c_ends_fit_soon_and_leaves_a_sound_model():
    model, x, y = tiny_regression(20000)
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    # A shell lets jobs in the background ignore the signal; then Python does not listen either.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        started = time.perf_counter()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=1, epochs=10**6, verbose=0)
        assert time.perf_counter() - started < 2
    finally:
        signal.signal(signal.SIGINT, handler)
    steps = model.optimizer.iterations
    assert steps > 0
    assert np.isfinite(model.get_weights()[0]).all()
    model.fit(x, y, batch_size=1000, verbose=0)
    assert model.optimizer.iterations == steps + 20
