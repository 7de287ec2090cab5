"""The order of an epoch: the same on every device, and as random as one drawn by lot."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from elsewhere import values_by_isa

import weft
from weft import _core, layers

SIZES = (1, 2, 3, 31, 256, 257, 1000, 1024, 3000, 65537)
ROUNDS = 8


def philox(counter, seed):
    """Four words of Philox4x32-10; counters and seeds may be arrays."""
    keys, low = [seed & np.uint64(0xFFFFFFFF), seed >> np.uint64(32)], np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = (np.uint64(m) * counter[i] for m, i in ((0xD2511F53, 0), (0xCD9E8D57, 2)))
        high_a, high_b = a >> np.uint64(32), b >> np.uint64(32)
        counter = [high_b ^ counter[1] ^ keys[0], b & low, high_a ^ counter[3] ^ keys[1], a & low]
        keys = [(keys[0] + np.uint64(0x9E3779B9)) & low, (keys[1] + np.uint64(0xBB67AE85)) & low]
    return counter


def reference(n, seed, epoch, rounds=ROUNDS):
    """csrc/ops/shuffle.h in NumPy, with any number of rounds: (keys, n).

    A key is a seed and an epoch.
    """
    seed, epoch = np.broadcast_arrays(np.array(seed, np.uint64), np.array(epoch, np.uint64))
    bits = max(5, (n - 1).bit_length())
    shift, mask = np.uint64((bits - 1) // 2), np.uint64(2**bits - 1)
    words = []
    for i in range(0, rounds, 2):
        counter = [np.uint64(i // 2), epoch >> np.uint64(32), epoch & np.uint64(0xFFFFFFFF)]
        words += philox([*counter, np.uint64(0x5AFF1E00)], seed)
    x = np.tile(np.arange(n, dtype=np.uint64), len(seed))
    outside = np.arange(x.size)
    while outside.size:
        values, key = x[outside], outside // n
        values ^= values >> shift
        for add, factor in zip(words[0 : 2 * rounds : 2], words[1 : 2 * rounds : 2], strict=True):
            values = (values + add[key]) * (factor[key] | np.uint64(1)) & mask
            values ^= values >> shift
        x[outside] = values
        outside = outside[values >= n]
    return x.astype(np.int32).reshape(-1, n)


@pytest.mark.parametrize("n", SIZES)
def test_an_order_is_a_permutation_and_the_reference(n):
    for seed, epoch in ((0, 0), (7, 1), (2**64 - 3, 2**40 + 5)):
        order = _core.shuffled(n, seed, epoch)
        np.testing.assert_array_equal(order, reference(n, [seed], [epoch])[0])
        np.testing.assert_array_equal(np.sort(order), np.arange(n))


def digest():
    orders = [_core.shuffled(n, 5, epoch).tobytes() for n in SIZES for epoch in range(3)]
    return hashlib.sha256(b"".join(orders)).hexdigest()


@pytest.mark.cpu
def test_instruction_sets_draw_the_same():
    assert len(values_by_isa("test_shuffle.digest()")) == 1


def copying_plan(batch):
    """A plan that gives the rows it reads, (batch, 1)."""
    graph = _core.Graph()
    return _core.Plan(graph, [graph.op("unary", [graph.input((batch, 1))], {"fn": "identity"})])


@pytest.mark.parametrize("n", SIZES)
def test_a_device_draws_the_order_of_the_host(n):
    """All steps at once, and in runs of one to three steps."""
    batch = max(1, n // 7)
    steps = n // batch
    plan, state = copying_plan(batch), _core.StepState()
    rows = np.arange(n, dtype=np.float32)[:, None]
    whole, parts = np.zeros_like(rows), np.zeros_like(rows)
    plan.run(state, [rows], _core.Shuffle(3, 2**33 + 1), 0, steps, [whole])
    done = 0
    for count in (1, 3, 2, 1):
        count = min(count, steps - done)
        plan.run(state, [rows], _core.Shuffle(3, 2**33 + 1), done * batch, count, [parts])
        done += count
    assert done == steps
    expected = _core.shuffled(n, 3, 2**33 + 1)[: steps * batch]
    np.testing.assert_array_equal(whole[: steps * batch, 0], expected)
    np.testing.assert_array_equal(parts, whole)


def test_orders_that_are_drawn_and_given_may_alternate():
    plan, state = copying_plan(5), _core.StepState()
    rows, given = np.arange(40, dtype=np.float32)[:, None], np.arange(39, 9, -1, dtype=np.int32)
    result = np.zeros_like(rows)
    shuffle = _core.Shuffle(1, 2)
    assert (shuffle.seed, shuffle.epoch) == (1, 2)
    drawn = _core.shuffled(40, 1, 2)
    for order, expected in ((given, given), (shuffle, drawn), (given, given), (None, range(40))):
        plan.run(state, [rows], order, 10, 4, [result])
        np.testing.assert_array_equal(result[10:30, 0], expected[10:30])


def test_what_cannot_be_shuffled_is_refused():
    plan, state = copying_plan(4), _core.StepState()
    rows, shuffle = np.zeros((9, 1), np.float32), _core.Shuffle(0, 0)
    with pytest.raises(ValueError, match="the steps need 12 rows, the inputs have 9"):
        plan.run(state, [rows], shuffle, 0, 3, [np.zeros((12, 1), np.float32)])
    graph = _core.Graph()
    plan = _core.Plan(graph, [graph.constant(np.ones(3, np.float32))])
    with pytest.raises(ValueError, match="there are no inputs whose rows could be shuffled"):
        plan.run(state, [], shuffle, 0, 1, [np.zeros(3, np.float32)])
    for n in (-1, 2**31):
        with pytest.raises(ValueError, match=rf"0 to 2\^31 - 1 rows can be shuffled, got {n}"):
            _core.shuffled(n, 0, 0)


@pytest.mark.parametrize("steps_per_epoch", [None, 3])
def test_fit_takes_the_rows_in_that_order(steps_per_epoch, monkeypatch):
    """A pass of 6 steps, or parts of it in several epochs; the last batch has 3 rows.

    The host draws no order: the device does.
    """
    rng = np.random.default_rng(4)
    x, y = rng.random((43, 6), dtype=np.float32), rng.integers(0, 3, 43)

    def model():
        weft.utils.set_random_seed(9)
        made = weft.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(3)])
        made.compile("adam", weft.losses.SparseCategoricalCrossentropy(from_logits=True))
        return made

    fitted, stepped = model(), model()
    epochs = 2 if steps_per_epoch is None else 4
    with monkeypatch.context() as patched:
        patched.setattr(_core, "shuffled", None)
        fitted.fit(x, y, batch_size=8, epochs=epochs, steps_per_epoch=steps_per_epoch, verbose=0)
    for number in range(2):
        order = _core.shuffled(43, stepped._seed, number)
        for begin in range(0, 43, 8):
            rows = order[begin : begin + 8]
            stepped.train_on_batch(x[rows], y[rows])
    for a, b in zip(fitted.get_weights(), stepped.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# How random the orders are. Each statistic is given orders (keys, n) of independent keys and gives
# how many of its standard deviations it lies off that of orders drawn by lot; of a chi-square,
# only the large side counts.


def drawn(n, keys):
    return np.stack([_core.shuffled(n, 1000 + key % 17, key) for key in range(keys)])


def chi_square(counts, expected):
    """Of counts that have one degree of freedom less than there are of them."""
    free = np.size(counts) - 1
    return (np.sum((counts - expected) ** 2 / expected) - free) / math.sqrt(2 * free)


def mean_deviation(values, mean, variance):
    return abs(np.mean(values) - mean) / math.sqrt(variance / len(values))


def whole_orders(orders):
    """Each of the n! orders comes as often as any other."""
    keys, n = orders.shape
    later = np.arange(n) > np.arange(n)[:, None]
    smaller = np.sum((orders[:, None, :] < orders[:, :, None]) & later, axis=2)
    number = smaller @ np.array([math.factorial(n - 1 - i) for i in range(n)])
    counts = np.bincount(number, minlength=math.factorial(n))
    return chi_square(counts, keys / math.factorial(n))


def places(orders):
    """Each element is in each place equally often; at most 50 ranges of places and elements."""
    keys, n = orders.shape
    ranges = min(n, 50)
    place = np.broadcast_to(np.arange(n) * ranges // n, orders.shape)
    counts = np.zeros((ranges, ranges))
    np.add.at(counts, (place, orders * ranges // n), 1)
    size = np.bincount(np.arange(n) * ranges // n)
    expected = keys * np.outer(size, size) / n
    free = (ranges - 1) ** 2
    chi = np.sum((counts - expected) ** 2 / expected) * (n - 1) / n
    return (chi - free) / math.sqrt(2 * free)


def differences(orders, lag):
    """That of two elements `lag` places apart, modulo n, takes each value but 0 equally often."""
    keys, n = orders.shape
    difference = (orders[:, lag] - orders[:, 0]) % n
    return chi_square(np.bincount(difference, minlength=n)[1:], keys / (n - 1))


def differences_of_neighbours(orders):
    return differences(orders, 1)


def differences_of_halves(orders):
    return differences(orders, orders.shape[1] // 2)


def fixed_points(orders):
    """Poisson(1), to 1/n!."""
    counts = np.bincount(np.sum(orders == np.arange(orders.shape[1]), axis=1), minlength=5)
    counts = np.append(counts[:4], counts[4:].sum())
    shares = [math.exp(-1) / math.factorial(i) for i in range(4)]
    return chi_square(counts, len(orders) * np.array([*shares, 1 - sum(shares)]))


def cycles(orders):
    n = orders.shape[1]
    found = []
    for order in orders.tolist():
        seen, count = bytearray(n), 0
        for start in range(n):
            count += not seen[start]
            while not seen[start]:
                seen[start], start = 1, order[start]
        found.append(count)
    harmonic = 1 / np.arange(1, n + 1)
    return mean_deviation(found, harmonic.sum(), (harmonic - harmonic**2).sum())


def descents(orders):
    n = orders.shape[1]
    return mean_deviation(np.sum(orders[:, 1:] < orders[:, :-1], axis=1), (n - 1) / 2, (n + 1) / 12)


def against_numpy(found, statistic, orders):
    """Off the mean of as many orders that NumPy draws."""
    rng = np.random.default_rng(0)
    expected = statistic(np.stack([rng.permutation(orders.shape[1]) for _ in orders]))
    return mean_deviation(found, np.mean(expected), 2 * np.var(expected))


def longest_increasing_runs(orders):
    def longest(orders):
        rises = orders[:, 1:] > orders[:, :-1]
        going_on, length = rises, np.ones(len(orders))
        while going_on.any():
            length += going_on.any(axis=1)
            going_on = going_on[:, 1:] & rises[:, : going_on.shape[1] - 1]
        return length

    return against_numpy(longest(orders), longest, orders)


def repeated_differences(orders):
    """Pairs of neighbours with the same difference modulo n: many, if the map is nearly linear."""

    def pairs(orders):
        counts = [np.bincount(np.diff(order) % len(order)) for order in orders]
        return [np.sum(count * (count - 1)) / 2 for count in counts]

    return against_numpy(pairs(orders), pairs, orders)


# With the number of rows, the number of keys, and a number of rounds that is found to be too low.
STATISTICS = [
    (whole_orders, 2, 4000, 0),
    (whole_orders, 3, 6000, 1),
    (whole_orders, 4, 8000, 1),
    (whole_orders, 5, 24000, 1),
    (places, 7, 4000, 1),
    (places, 10, 4000, 1),
    (places, 100, 4000, 1),
    (places, 1000, 1000, 0),
    (places, 60000, 20, 0),
    (differences_of_neighbours, 10, 4000, 1),
    (differences_of_neighbours, 100, 10000, 1),
    (differences_of_halves, 128, 10000, 2),
    (differences_of_halves, 1024, 8000, 2),
    (fixed_points, 10, 4000, 1),
    (fixed_points, 256, 4000, 1),
    (cycles, 100, 2000, 1),
    (cycles, 1000, 300, 1),
    (descents, 100, 4000, 0),
    (descents, 1000, 1000, 0),
    (longest_increasing_runs, 100, 4000, 1),
    (longest_increasing_runs, 1000, 1000, 1),
    (repeated_differences, 256, 500, 2),
    (repeated_differences, 1000, 300, 2),
]


@pytest.mark.cpu
@pytest.mark.parametrize(("statistic", "n", "keys", "too_few"), STATISTICS)
def test_orders_are_random(statistic, n, keys, too_few):
    assert statistic(drawn(n, keys)) < 6


@pytest.mark.cpu
@pytest.mark.parametrize(("statistic", "n", "keys", "too_few"), STATISTICS)
def test_too_few_rounds_are_found_out(statistic, n, keys, too_few):
    key = np.arange(keys)
    assert statistic(reference(n, 1000 + key % 17, key, too_few)) > 12
