"""Data sets too large for a device, which go there in chunks."""

from __future__ import annotations

import bisect
import gc
import threading
import time

import numpy as np
import pytest
from native import negative

import weft
from weft import _core, layers
from weft.models import streaming
from weft.models.compilable import rows_at_once
from weft.models.loops import Runner

RNG = np.random.default_rng(3)
N = 23
X = RNG.random((N, 6), dtype=np.float32)
PIXELS = RNG.integers(0, 256, (N, 6), dtype=np.uint8)
LABELS = RNG.integers(0, 3, N)
TARGETS = RNG.random((N, 3), dtype=np.float32)
WEIGHTS = RNG.random(N, dtype=np.float32)


class Loads:
    """What is loaded while data do not fit: by default in chunks of three batches of `fitted`."""

    def __init__(self, monkeypatch, chunk_bytes=200):
        room, load = _core.DeviceArray.room, streaming._load
        self.places, self.begun, self.ended = [], [], []

        def too_large(array, plan):
            raise MemoryError

        def counted(array, rows, plan):
            self.places.append(rows * array[:1].nbytes)
            return room(array, rows, plan)

        def watched(held, arrays, order, begin, end):
            self.begun.append((begin, end))
            load(held, arrays, order, begin, end)
            self.ended.append((begin, end))

        too_large.room = counted
        monkeypatch.setattr(_core, "DeviceArray", too_large)
        monkeypatch.setattr(streaming, "_load", watched)
        monkeypatch.setattr(streaming, "CHUNK_BYTES", chunk_bytes)


class EveryBatch(weft.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


def network(loss):
    weft.utils.set_random_seed(1)
    model = weft.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), layers.Dropout(0.3)])
    model.add(layers.Dense(3))
    if loss != "mse":
        loss = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"] if loss != "mse" else ["mae"])
    return model


def fitted(x=X, y=LABELS, **options):
    """Weights, losses and metrics of two epochs."""
    watcher = EveryBatch()
    if options.pop("every_batch", False):
        options["callbacks"] = [watcher]
    model = network("mse" if y is TARGETS else "labels")
    options = {"batch_size": 2, "epochs": 2, "verbose": 0, **options}
    history = model.fit(x, y, validation_data=(x[:7], y[:7]), **options).history
    numbers = [np.array(history[name]) for name in sorted(history)]
    return [*model.get_weights(), *numbers, np.array(watcher.losses)]


def assert_same(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"sample_weight": WEIGHTS},
        {"y": TARGETS},
        {"y": TARGETS, "sample_weight": WEIGHTS, "shuffle": False},
        {"x": PIXELS},
        {"x": PIXELS, "y": LABELS.astype(np.uint8), "batch_size": 5},
        {"steps_per_epoch": 5, "epochs": 5},
        {"steps_per_epoch": 5, "epochs": 5, "every_batch": True},
        {"every_batch": True},
        {"verbose": 1},
        {"batch_size": 100},
    ],
    ids=lambda options: " ".join(options) or "shuffled",
)
def test_chunks_give_the_bits_of_data_on_the_device(device, options, monkeypatch):
    expected = fitted(**options)
    loads = Loads(monkeypatch)
    assert_same(fitted(**options), expected)
    assert sorted(loads.begun) == sorted(loads.ended)  # by the helpers of two data sets


def test_two_chunks_have_a_place_and_each_is_loaded_once(device, monkeypatch):
    loads = Loads(monkeypatch)
    fitted(epochs=3, verbose=1)
    chunk = [6 * 6 * 4, 6 * 8]  # 3 batches of x and y
    assert loads.places[:4] == 2 * chunk
    assert sum(loads.places[:4]) <= 2 * streaming.CHUNK_BYTES
    training = [(0, 6), (6, 12), (12, 18), (18, 23)]
    validation = [(0, 7)]  # in one step, which is larger than CHUNK_BYTES
    assert len(loads.places) == 8
    # The order of validation data does not change, so their chunk is still there.
    assert loads.begun == [*training, *validation, *training, *training]


def test_the_next_chunk_loads_while_one_is_computed_on(monkeypatch):
    loads = Loads(monkeypatch, chunk_bytes=6 * 24)
    plan = negative((2, 6))
    data = streaming.ChunkedData([X], 2, plan)
    order = np.ascontiguousarray(np.arange(N, dtype=np.int32)[::-1])
    results = []

    def run(arrays, begin, steps):
        chunk = len(results)
        following = (6 * (chunk + 1), min(6 * (chunk + 2), N))
        for _ in range(3000):
            if following in loads.ended or following[0] >= N:
                break
            time.sleep(0.01)
        else:
            raise TimeoutError("the next chunk does not come before this one is over")
        assert len(loads.begun) == min(chunk + 2, 4)  # and no other
        rows = np.zeros((2 * (begin + steps), 6), np.float32)
        assert plan.run(_core.StepState(0), arrays, None, begin, steps, [rows]) == steps
        results.append(rows)
        return steps

    assert data.run(run, order, 0, 11, 2) == 11
    np.testing.assert_array_equal(-np.concatenate(results), X[::-1][:22])


def test_a_pass_in_parts_goes_on_in_the_chunks_that_are_there(monkeypatch):
    loads = Loads(monkeypatch, chunk_bytes=6 * 24)
    plan, seen = negative((2, 6)), []
    data = streaming.ChunkedData([X], 2, plan)

    def run(arrays, begin, steps):
        rows = np.zeros((begin + 2 * steps, 6), np.float32)
        plan.run(_core.StepState(0), arrays, None, begin, steps, [rows])
        seen.append(-rows[begin:])
        return steps

    for step, count in ((0, 1), (1, 1), (2, 3), (5, 6)):
        assert data.run(run, None, 2 * step, count, 2) == count
    np.testing.assert_array_equal(np.concatenate(seen), X[:22])
    assert loads.begun == [(0, 6), (6, 12), (12, 18), (18, 23)]


@pytest.mark.parametrize("end", ["interrupted", "given up"])
def test_nothing_is_loading_after_an_early_end(end, monkeypatch):
    loads = Loads(monkeypatch, chunk_bytes=6 * 24)
    data = streaming.ChunkedData([X], 2, negative((2, 6)))
    computing = threading.Event()
    load = streaming._load

    def slow(*arguments):
        if arguments[-2] > 0:
            computing.wait(60)
            time.sleep(0.1)
        load(*arguments)

    monkeypatch.setattr(streaming, "_load", slow)

    def run(arrays, begin, steps):
        computing.set()
        if end == "interrupted":
            raise KeyboardInterrupt
        return 1

    if end == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            data.run(run, None, 0, 11, 2)
    else:
        assert data.run(run, None, 0, 11, 2) == 1
    assert loads.ended == [(0, 6), (6, 12)]


def test_what_is_loading_outlives_its_data_set(monkeypatch):
    """As after a fit that a callback has ended: the places are released when it is there."""
    loads = Loads(monkeypatch, chunk_bytes=6 * 24)
    load = streaming._load

    def slow(*arguments):
        time.sleep(0.1)
        load(*arguments)

    monkeypatch.setattr(streaming, "_load", slow)
    data = streaming.ChunkedData([X], 2, negative((2, 6)))
    data.run(lambda arrays, begin, steps: steps, None, 0, 1, 2)
    assert loads.ended == [(0, 6)]
    del data
    assert loads.ended == [(0, 6), (6, 12)]


def test_what_a_load_raises_ends_the_fit(device, monkeypatch):
    expected = fitted()
    Loads(monkeypatch)
    load = streaming._load

    def broken(held, arrays, order, begin, end):
        if begin == 12:
            raise RuntimeError("no such rows")
        load(held, arrays, order, begin, end)

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "_load", broken)
        with pytest.raises(RuntimeError, match="no such rows"):
            fitted()
    assert_same(fitted(), expected)


def test_a_loss_that_is_not_finite_in_a_later_chunk(device, monkeypatch):
    y = TARGETS.copy()
    y[15] = 3e38  # its square is beyond float32
    results = []
    for resident in (True, False):
        if not resident:
            Loads(monkeypatch)
        model = network("mse")
        with pytest.raises(FloatingPointError, match="at epoch 1, step 8: first in the loss"):
            model.fit(X, y, batch_size=2, shuffle=False, verbose=0)
        results.append(model.get_weights())
    assert_same(*results)


def leave_free(monkeypatch, plan, free):
    """Lets the emulated device have so many bytes beside those in use."""
    gc.collect()

    def has_more(total):
        monkeypatch.setenv("CUDA_ON_CPU_MEMORY", str(total))
        try:
            _core.DeviceArray(np.zeros(1, np.uint8), plan)
        except MemoryError:
            return False
        return True

    used = bisect.bisect_left(range(1 << 40), True, key=has_more) - 1
    monkeypatch.setenv("CUDA_ON_CPU_MEMORY", str(used + free))


@pytest.mark.parametrize(("free", "steps"), [(5952, 16), (5951, 8), (1500, 4), (400, 1)])
def test_chunks_are_as_large_as_two_fit(emulated, free, steps, monkeypatch):
    """A batch is 2 rows of 93 bytes."""
    plan = negative((2, 93))
    rows = np.zeros((100, 93), np.uint8)
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 16 * 186 + 5)
    leave_free(monkeypatch, plan, free)
    data = streaming.ChunkedData([rows], 2, plan)
    assert data.rows == 2 * steps


def test_chunks_of_which_not_two_fit_are_no_use(emulated, monkeypatch):
    plan = negative((2, 93))
    leave_free(monkeypatch, plan, 371)
    with pytest.raises(MemoryError, match="186 bytes were asked for"):
        streaming.ChunkedData([np.zeros((100, 93), np.uint8)], 2, plan)


def test_data_that_do_not_fit_leave_their_memory_to_the_chunks(emulated, monkeypatch):
    """x takes 552 bytes and fits, y takes 184 more; two chunks take 384."""
    expected = fitted()
    keep, chunks = Runner.keep_data_on_device, []

    def limited(self):
        leave_free(monkeypatch, self._any.plan, 640)
        keep(self)
        monkeypatch.delenv("CUDA_ON_CPU_MEMORY")
        chunks.append(self._chunks and self._chunks.rows)

    monkeypatch.setattr(Runner, "keep_data_on_device", limited)
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 200)
    assert_same(fitted(), expected)
    assert chunks == [6, None]  # the validation data fit


class EveryTestBatch(weft.callbacks.Callback):
    """Who looks at every batch keeps `evaluate` from taking several at once."""

    def on_test_batch_end(self, batch, logs=None):
        pass


def test_data_that_do_not_fit_are_evaluated_in_chunks(device, monkeypatch):
    model = network("labels")
    options = {"batch_size": 2, "verbose": 0, "callbacks": [EveryTestBatch()]}
    expected = model.evaluate(X, LABELS, **options)
    loads = Loads(monkeypatch)
    assert model.evaluate(X, LABELS, **options) == expected
    assert loads.begun == [(0, 6), (6, 12), (12, 18), (18, 23)]


def test_predict_takes_in_and_gives_a_part_at_a_time(emulated, monkeypatch):
    """Outputs take half as many bytes as x."""
    x = RNG.random((40 * rows_at_once() + 7, 6), dtype=np.float32)
    few = x[-rows_at_once() - 7 :]
    expected = network("labels").predict(x, verbose=0)
    at_once, model = network("labels"), network("labels")
    for each in (at_once, model):
        each.predict(few, verbose=0)  # which makes the plans
    leave_free(monkeypatch, negative((2, 93)), x.nbytes * 6 // 5)
    with pytest.raises(MemoryError):
        at_once.predict(x, verbose=0)
    del at_once  # and what it has on the device
    gc.collect()
    monkeypatch.setattr(streaming, "CHUNK_BYTES", x.nbytes // 4)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
