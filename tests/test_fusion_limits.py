"""Graphs in which a fusion rule would change the result, and must therefore stay away."""

import numpy as np
import pytest

import weft
from weft import _core, layers

RNG = np.random.default_rng(11)


def total(graph, value):
    return graph.op("reduce", [value], {"fn": "sum", "axes": []})


def run(plan, outputs=(), inputs=(), steps=1):
    state = _core.StepState()
    state.learning_rate = 0.1
    assert plan.run(state, list(inputs), None, 0, steps, list(outputs)) == steps


def x_is_a_trained_variable(fuse):
    rng = np.random.default_rng(0)
    x = _core.Variable(rng.normal(size=(5, 7)).astype("f"))
    w = _core.Variable(rng.normal(size=(7, 9)).astype("f"))
    graph = _core.Graph()
    ids = [graph.variable(x), graph.variable(w)]
    loss = total(graph, graph.op("unary", [graph.op("dense", ids)], {"fn": "square"}))
    for v, gradient in zip(ids, graph.gradients(loss, ids), strict=True):
        graph.op("update", [v, gradient], {"rule": "sgd"})
    run(_core.Plan(graph, [], fuse))
    return [x.numpy(), w.numpy()]


def bias_changes_before_it_is_added(fuse):
    w, b = _core.Variable(np.ones((3, 3))), _core.Variable(np.zeros(3))
    graph = _core.Graph()
    x = graph.input((2, 3))
    h = graph.op("dense", [x, graph.variable(w)])
    graph.op("assign", [graph.variable(b), graph.constant(np.full(3, 5, "f"))])
    y = graph.op("binary", [h, graph.variable(b)], {"fn": "add"})
    out = np.zeros((2, 3), "f")
    run(_core.Plan(graph, [y], fuse), [out], [np.zeros((2, 3), "f")])
    return [out]


def smoothed_and_plain_loss(fuse):
    v = _core.Variable(np.array([[1, 2, 3]], "f"))
    graph = _core.Graph()
    x, y = graph.variable(v), graph.constant(np.array([1], np.int32))
    plain = graph.op("softmax_cross_entropy", [x, y], {"smoothing": 0.0})
    smoothed = graph.op("softmax_cross_entropy", [x, y], {"smoothing": 0.5})
    (gradient,) = graph.gradients(total(graph, smoothed), [x])
    outputs = [np.zeros(1, "f"), np.zeros(1, "f"), np.zeros((1, 3), "f")]
    run(_core.Plan(graph, [plain, smoothed, gradient], fuse), outputs)
    return outputs


def penalty_on_a_variable_that_changes(fuse):
    w = _core.Variable(np.full((4, 4), 0.5, "f"))
    graph = _core.Graph()
    x, v = graph.input((3, 4)), graph.variable(w)
    h = graph.op("dense", [x, v])
    square = graph.op("unary", [v], {"fn": "square"})
    loss = graph.op("binary", [total(graph, h), total(graph, square)], {"fn": "add"})
    (gradient,) = graph.gradients(loss, [v])
    graph.op("assign", [v, graph.constant(np.ones((4, 4), "f"))])
    graph.op("update", [v, gradient], {"rule": "sgd"})
    run(_core.Plan(graph, [], fuse), inputs=[np.ones((3, 4), "f")])
    return [w.numpy()]


def penalty_that_is_also_an_output(fuse):
    w = _core.Variable(np.full((4, 4), 0.5, "f"))
    graph = _core.Graph()
    x, v = graph.input((3, 4)), graph.variable(w)
    h = graph.op("dense", [x, v])
    (plain,) = graph.gradients(total(graph, h), [v])
    (penalty,) = graph.gradients(total(graph, graph.op("unary", [v], {"fn": "square"})), [v])
    gradient = graph.op("binary", [plain, penalty], {"fn": "add"})
    graph.op("update", [v, gradient], {"rule": "sgd"})
    out = np.zeros((4, 4), "f")
    run(_core.Plan(graph, [penalty], fuse), [out], [np.ones((3, 4), "f")])
    return [w.numpy(), out]


def reshaped_value_before_dropout_is_an_output(fuse):
    rng = np.random.default_rng(0)
    w, v = (_core.Variable(rng.normal(size=(4, 4)).astype("f")) for _ in range(2))
    graph = _core.Graph()
    x = graph.input((3, 4))
    ids = [graph.variable(w), graph.variable(v)]
    y = graph.op("unary", [graph.op("dense", [x, ids[0]])], {"fn": "relu"})
    shown = graph.op("reshape", [y], {"shape": [3, 2, 2]})
    dropped = graph.op("dropout", [y], {"rate": 0.5, "stream": 1})
    gradients = graph.gradients(total(graph, graph.op("dense", [dropped, ids[1]])), ids)
    out = [np.zeros((3, 2, 2), "f"), np.zeros((4, 4), "f")]
    run(_core.Plan(graph, [shown, gradients[0]], fuse), out, [np.ones((3, 4), "f")])
    return out


@pytest.mark.parametrize(
    "case",
    [
        penalty_that_is_also_an_output,
        reshaped_value_before_dropout_is_an_output,
        x_is_a_trained_variable,
        bias_changes_before_it_is_added,
        smoothed_and_plain_loss,
        penalty_on_a_variable_that_changes,
    ],
)
def test_fused_equals_unfused(case):
    for fused, unfused in zip(case(True), case(False), strict=True):
        np.testing.assert_allclose(fused, unfused, rtol=1e-6, atol=1e-6)


def test_stacked_dropouts():
    """Each has a mask of its own, forward and backward."""
    x = RNG.normal(size=(640, 12)).astype("f")
    y = RNG.normal(size=(640, 1)).astype("f")
    histories = []
    for fuse in (True, False):
        weft.utils.set_random_seed(4)
        model = weft.Sequential(
            [
                weft.Input((12,)),
                layers.Dense(40, "relu"),
                layers.Dropout(0.4),
                layers.Dropout(0.5),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse", fuse=fuse)
        history = model.fit(x, y, batch_size=32, epochs=3, verbose=0).history
        histories.append(history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(7,), (4, 5), (256,)])
def test_batches_of_every_type(dtype, shape):
    """Gathering, converting and prefetching do not change the results."""
    x = RNG.integers(0, 200, (90, *shape)).astype(dtype)
    y = RNG.normal(size=(90, 3)).astype("f")
    weights = []
    for fuse in (True, False):
        for threads in (1, 2):
            weft.config.set_num_threads(threads)
            weft.utils.set_random_seed(8)
            model = weft.Sequential(
                [weft.Input(shape), layers.Flatten(), layers.Dense(33, "tanh"), layers.Dense(3)]
            )
            model.compile(weft.optimizers.Adam(1e-3), "mse", fuse=fuse)
            model.fit(x, y, batch_size=40, epochs=4, verbose=0)
            weights.append([*model.get_weights(), model.predict(x, verbose=0)])
    weft.config.set_num_threads(0)
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)
