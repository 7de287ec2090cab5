"""What does not depend on the device: weights after training steps, errors, its choice."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import _core, devices, layers

RNG = np.random.default_rng(3)


def w2():
    return [layers.Dense(50, "relu"), layers.Dense(10)], (784,), 50, "sgd"


def w6():
    hidden = [layer for _ in range(3) for layer in (layers.Dense(512, "relu"), layers.Dropout(0.2))]
    return [*hidden, layers.Dense(10)], (784,), 32, "rmsprop"


def w9():
    return (
        [
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(128, "relu"),
            layers.Dense(10),
        ],
        (28, 28, 1),
        4,
        "adam",
    )


def small_network():
    stack = [
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(20, "tanh", kernel_regularizer="l2"),
        layers.Dropout(0.3),
        layers.Dense(10),
    ]
    return stack, (6, 6, 1), 4, "adam"


def lstm():
    return [layers.LSTM(128), layers.Dense(10)], (28, 28), 16, "adam"


def trained(name, make, steps):
    """The weights after some steps on a device, from the same start and with the same masks."""
    _core.set_device(name)
    # Devices may differ in the sign of a sum that is 0 but for rounding, and a relu with RMSprop
    # makes much of it; so does Adam of a gradient that is next to nothing. With this seed there is
    # none.
    weft.utils.set_random_seed(2)
    stack, shape, batch, optimizer = make()
    model = weft.Sequential([layers.Input(shape), *stack])
    model.compile(optimizer, weft.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(7)
    x = rng.random((steps * batch, *shape), dtype=np.float32)
    y = rng.integers(0, 10, steps * batch)
    history = model.fit(x, y, batch_size=batch, epochs=1, shuffle=True, verbose=0)
    assert all(weight.core.device == name for weight in model.weights)
    return history.history["loss"][-1], model.get_weights()


@pytest.mark.parametrize("make", [w2, w6, w9, lstm], ids=lambda make: make.__name__)
def test_twenty_steps_give_the_weights_of_the_cpu(device, make):
    loss, weights = trained(device, make, 20)
    expected_loss, expected = trained("cpu", make, 20)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    for ours, theirs in zip(weights, expected, strict=True):
        scale = np.max(np.abs(theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * scale)


def test_two_runs_give_the_same_bits(device):
    _, first = trained(device, w2, 7)
    _, second = trained(device, w2, 7)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_order_of_a_steps_kernels_does_not_change_the_bits(device, monkeypatch):
    weights = []
    for order in ("serial", "branches", "overlaps", "branches+overlaps"):
        monkeypatch.setenv("WEFT_CUDA_STEPS", order)
        weights.append(trained(device, small_network, 34)[1])
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_unknown_order_of_a_steps_kernels_is_refused(device, monkeypatch):
    monkeypatch.setenv("WEFT_CUDA_STEPS", "sideways")
    with pytest.raises(RuntimeError, match=r"WEFT_CUDA_STEPS must be .*, got 'sideways'"):
        trained(device, small_network, 2)


def test_many_steps_are_one_after_the_other(device):
    """40 steps are one graph of 32 and 8 of one; batch by batch they are 40 graphs of one.

    The learning rate is another one in each of them.
    """
    _core.set_device(device)
    x, y = RNG.random((40, 6), dtype=np.float32), RNG.integers(0, 3, 40)
    results = []
    for at_once in (True, False):
        weft.utils.set_random_seed(1)
        model = weft.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(3)])
        rate = weft.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
        loss = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(weft.optimizers.Adam(rate), loss)
        if at_once:
            model.fit(x, y, batch_size=1, epochs=1, shuffle=False, verbose=0)
        else:
            for i in range(40):
                model.train_on_batch(x[i : i + 1], y[i : i + 1])
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_in_a_graph_are_those_launched_one_by_one(device):
    """`profile` starts each kernel by itself; its steps all have the same batch and draws."""
    _core.set_device(device)
    x = RNG.random((4, 6), dtype=np.float32)
    results = []
    for in_graphs in (True, False):
        graph = _core.Graph()
        w = _core.Variable(np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5), "w")
        v = _core.Variable(np.linspace(-1, 1, 18, dtype=np.float32).reshape(6, 3), "v")
        kernels = [graph.variable(v), graph.variable(w)]
        hidden = graph.op(
            "unary",
            [graph.op("dense", [graph.input([4, 6], "float32"), kernels[0]])],
            {"fn": "tanh"},
        )
        y = graph.op("dense", [graph.op("dropout", [hidden], {"rate": 0.3, "salt": 1}), kernels[1]])
        loss = graph.op(
            "reduce",
            [graph.op("unary", [y], {"fn": "square"})],
            {"fn": "sum", "axes": [], "keepdims": False},
        )
        for kernel, gradient in zip(kernels, graph.gradients(loss, kernels), strict=True):
            graph.op("update", [kernel, gradient], {"rule": "sgd"})
        plan, state = _core.Plan(graph), _core.StepState(3)
        state.learning_rate = 0.1
        if in_graphs:
            for _ in range(3):
                assert plan.run(state, [x], None, 0, 1) == 1
                state.draw = state.iteration = 0
        else:
            plan.profile(state, [x], None, 3)
        results.append([w.numpy(), v.numpy()])
    assert not np.array_equal(results[0][0], np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5))
    for graph, direct in zip(*results, strict=True):
        np.testing.assert_array_equal(graph, direct)


def test_a_device_without_memory_says_how_much_was_asked_for(emulated, monkeypatch):
    _core.set_device(emulated)
    monkeypatch.setenv("CUDA_ON_CPU_MEMORY", "1000")
    with pytest.raises(
        MemoryError, match=r"cuda:0 is out of memory: 4\d{6} bytes were asked for, \d+ are free"
    ):
        _core.Variable(np.zeros((1000, 1000), np.float32))
    monkeypatch.delenv("CUDA_ON_CPU_MEMORY")
    np.testing.assert_array_equal(_core.Variable(np.ones(3, np.float32)).numpy(), 1)


def test_a_lost_device_leaves_the_cpu(emulated, monkeypatch):
    def fitted():
        model = weft.Sequential([layers.Input((6,)), layers.Dense(3)])
        model.compile("sgd", "mse")
        model.fit(RNG.random((8, 6)), RNG.random((8, 3)), batch_size=2, verbose=0)
        return model

    _core.set_device(emulated)
    model = fitted()
    monkeypatch.setenv("CUDA_ON_CPU_LOST", "1")
    with pytest.raises(RuntimeError, match=r"CUDA: unspecified launch failure .* in cuda.*, .*:"):
        model.fit(RNG.random((8, 6)), RNG.random((8, 3)), batch_size=2, verbose=0)
    _core.set_device("cpu")
    assert np.all(np.isfinite(fitted().predict(RNG.random((2, 6)), verbose=0)))


def test_data_on_the_device_are_checked_like_others(device):
    _core.set_device(device)
    graph = _core.Graph()
    x = graph.input([4, 3], "float32")
    plan = _core.Plan(graph, [graph.op("unary", [x], {"fn": "negative"})])
    rows = RNG.random((9, 3), dtype=np.float32)
    data, results = _core.DeviceArray(rows, plan), np.zeros((8, 3), np.float32)
    assert plan.run(_core.StepState(0), [data], None, 0, 2, [results]) == 2
    np.testing.assert_array_equal(results, -rows[:8])
    order = np.array([8, 7, 6, 5], np.int32)
    plan.run(_core.StepState(0), [data], order, 0, 1, [results])
    np.testing.assert_array_equal(results[:4], -rows[order])
    with pytest.raises(ValueError, match="the steps need 12 rows, input 0 has 9"):
        plan.run(_core.StepState(0), [data], None, 0, 3, [np.zeros((12, 3), np.float32)])
    with pytest.raises(ValueError, match="order names row 9 of 9"):
        plan.run(_core.StepState(0), [data], order + 1, 0, 1, [results])
    wide = _core.DeviceArray(np.zeros((8, 5), np.float32), plan)
    with pytest.raises(ValueError, match=r"input 0 must have rows like \(4, 3\)"):
        plan.run(_core.StepState(0), [wide], None, 0, 1, [results])
    _core.set_device("cpu")
    graph = _core.Graph()
    x = graph.input([4, 3], "float32")
    on_cpu = _core.Plan(graph, [graph.op("unary", [x], {"fn": "negative"})])
    with pytest.raises(ValueError, match=r"input 0 is on .*, the plan on cpu"):
        on_cpu.run(_core.StepState(0), [data], None, 0, 1, [results])


def test_a_loss_that_is_not_finite_leaves_the_weights_of_the_step_before(device):
    _core.set_device(device)
    weft.utils.set_random_seed(1)
    model = weft.Sequential([layers.Input((4,)), layers.Dense(3)])
    model.compile(weft.optimizers.SGD(0.1, momentum=0.9), "mse")
    x, y = RNG.random((8, 4), dtype=np.float32), RNG.random((8, 3), dtype=np.float32)
    model.fit(x[:4], y[:4], batch_size=1, shuffle=False, verbose=0)
    before = model.get_weights()
    y[4] = 3e38  # its square is beyond float32
    with pytest.raises(FloatingPointError):
        model.fit(x[4:], y[4:], batch_size=1, shuffle=False, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_variables_of_two_devices_do_not_mix(device):
    _core.set_device("cpu")
    model = weft.Sequential([layers.Input((4,)), layers.Dense(3)])
    _core.set_device(device)
    model.add(layers.Dense(2))
    with pytest.raises(ValueError, match="other variables are on "):
        model.predict(np.zeros((2, 4)), verbose=0)


@pytest.mark.parametrize("wrong", ["gpu", "cuda:", "cuda:x", "", 0, None])
def test_a_device_that_is_none(wrong):
    with pytest.raises(ValueError, match="set_device expects 'auto', 'cpu', 'cuda'"):
        weft.config.set_device(wrong)


@pytest.mark.parametrize(
    ("found", "name", "message"),
    [
        ((None, 0, "not built (nvcc was not found)"), "cuda", "not available here: not built"),
        ((None, 0, "no driver"), "cuda:1", "'cuda:1' is not available here: no driver"),
        ((object(), 1, ""), "cuda:3", "'cuda:3' is not available here: this machine has 1 GPU"),
    ],
)
def test_a_gpu_that_is_not_there(monkeypatch, found, name, message):
    monkeypatch.setattr(devices, "_cuda", lambda: found)
    before = _core.get_device()
    with pytest.raises(ValueError, match=message):
        weft.config.set_device(name)
    assert _core.get_device() == before


def test_auto_is_the_cpu():
    before = _core.get_device()
    try:
        weft.config.set_device("auto")
        assert weft.config.get_device() == "cpu"
    finally:
        _core.set_device(before)


def test_without_a_gpu_there_is_the_cpu(monkeypatch):
    monkeypatch.setattr(devices, "_cuda", lambda: (None, 0, "no driver"))
    assert weft.config.list_devices() == ["cpu"]
    assert devices.cuda_reason() == "no driver"
    with pytest.raises(ValueError, match="cuda:0 is not available here: no driver"):
        devices.describe("cuda:0")


def rounded(x, bits):
    """x without that many bits of its mantissa: 13 for tf32, 16 for bfloat16, 0 for tf32x3."""
    raw = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    if bits == 0:
        return x.astype(np.float64)
    if bits == 13:  # ties away from zero
        raw = (raw + (1 << 12)) >> 13 << 13
    else:  # ties to even
        raw = (raw + (1 << 15) - 1 + (raw >> 16 & 1)) >> 16 << 16
    return raw.astype(np.uint32).view(np.float32).astype(np.float64)


@pytest.fixture
def tensor_cores(device, request):
    """Skips where the GPU multiplies in float32 whatever it is told."""
    on_gpu = request.config.getoption("--device") == "cuda"
    if on_gpu and "compute capability 7." in devices.describe(device):
        pytest.skip("no tensor cores for TF32 before compute capability 8.0")


def product_and_gradients(precision, x, w, dy):
    """x w, and the gradients by x and w of sum(x w * dy)."""
    x, w, dy = (np.ascontiguousarray(a) for a in (x, w, dy))
    graph = _core.Graph()
    inputs = [graph.input(list(a.shape), "float32") for a in (x, dy)]
    variable = graph.variable(_core.Variable(w, "w"))
    y = graph.op("dense", [inputs[0], variable])
    product = graph.op("binary", [y, inputs[1]], {"fn": "multiply"})
    loss = graph.op("reduce", [product], {"fn": "sum", "axes": [], "keepdims": False})
    outputs = [y, *graph.gradients(loss, [inputs[0], variable])]
    results = [np.zeros(graph.shape(i), np.float32) for i in outputs]
    plan = _core.Plan(graph, outputs)
    weft.config.set_matmul_precision(precision)
    try:
        plan.run(_core.StepState(0), [x, dy], None, 0, 1, results)
    finally:
        weft.config.set_matmul_precision("float32")
    return results


@pytest.mark.usefixtures("tensor_cores")
@pytest.mark.parametrize(("precision", "bits"), [("tf32", 13), ("bfloat16", 16), ("tf32x3", 0)])
@pytest.mark.parametrize("shape", [(16, 8, 16), (1, 1, 1), (33, 47, 65), (128, 784, 512)])
def test_products_round_their_operands_alone(device, precision, bits, shape):
    """Against float64 products of rounded operands: their sums are as exact as float32's."""
    m, k, n = shape
    x, dy = RNG.standard_normal((m, k)), RNG.standard_normal((m, n))
    w = RNG.standard_normal((k, n))
    x, w, dy = (a.astype(np.float32) for a in (x, w, dy))
    results = product_and_gradients(precision, x, w, dy)
    x, w, dy = (rounded(a, bits) for a in (x, w, dy))
    for result, a, b in zip(results, (x, dy, x.T), (w, w.T, dy), strict=True):
        expected, magnitude = a @ b, np.max(np.abs(a) @ np.abs(b))
        np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6 * magnitude)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "tf32x3"])
@pytest.mark.parametrize(
    "shape", [(2048, 21, 2000), (1300, 23, 1290), (790, 40, 520), (4200, 70, 20)]
)
def test_parts_of_a_product_have_the_bits_of_smaller_products(device, precision, shape):
    """GPUs cut products into tiles by their size; that must not be seen in the results."""
    m, k, n = shape
    x, w, dy = (RNG.random(s, dtype=np.float32) - 0.5 for s in ((m, k), (k, n), (m, n)))
    y, dx, dw = product_and_gradients(precision, x, w, dy)
    y_part, dx_part, _ = product_and_gradients(precision, x[-5:], w, dy[-5:])
    np.testing.assert_array_equal(y[-5:], y_part)
    np.testing.assert_array_equal(dx[-5:], dx_part)
    _, _, dw_part = product_and_gradients(precision, x[:, -3:], w[-3:, -6:], dy[:, -6:])
    np.testing.assert_array_equal(dw[-3:, -6:], dw_part)


def test_a_change_of_precision_reaches_plans_that_have_run(device):
    _core.set_device(device)
    weft.utils.set_random_seed(2)
    model = weft.Sequential([layers.Input((64,)), layers.Dense(32)])
    x = RNG.random((16, 64), dtype=np.float32)
    exact = model.predict(x, verbose=0)
    weft.config.set_matmul_precision("bfloat16")
    try:
        coarse = model.predict(x, verbose=0)
    finally:
        weft.config.set_matmul_precision("float32")
    assert 1e-4 < np.max(np.abs(exact - coarse)) < 3e-2
    np.testing.assert_array_equal(model.predict(x, verbose=0), exact)


@pytest.mark.parametrize("wrong", ["fp16", "TF32", None, 32])
def test_an_unknown_precision_is_refused(wrong):
    with pytest.raises(ValueError, match="set_matmul_precision expects 'float32', 'tf32', "):
        weft.config.set_matmul_precision(wrong)
