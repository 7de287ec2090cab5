"""Metrics against numbers from Keras 3.15: on arrays, over batches, and recorded into plans."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_losses import DATA, WEIGHTS

from weft import _core, metrics, ops
from weft.graph import Trace

PREDICTED = np.array([[0, 1], [0, 1], [1, 0], [1, 0]], np.float32)
ARRAYS = {**DATA, "yb2": PREDICTED}

# Metric, targets, predictions, Keras's result without and with WEIGHTS.
GOLDEN = [
    ("Accuracy()", "yb", "yb2", 0.75, 0.6428571),
    ("BinaryAccuracy()", "yb", "pb", 0.75, 0.6428571),
    ("BinaryAccuracy(threshold=0.25)", "yb", "pb", 0.75, 0.4285714),
    ("CategoricalAccuracy()", "y1", "p", 0.75, 0.4285714),
    ("SparseCategoricalAccuracy()", "lab", "p", 0.75, 0.4285714),
    ("TopKCategoricalAccuracy(k=2)", "y1", "z", 0.5, 0.1428571),
    ("SparseTopKCategoricalAccuracy(k=2)", "lab", "z", 0.5, 0.1428571),
    ("MeanSquaredError()", "yr", "pr", 3.334375, 1.638036),
    ("RootMeanSquaredError()", "yr", "pr", 1.826027, 1.279858),
    ("MeanAbsoluteError()", "yr", "pr", 1.225, 0.8964285),
    ("MeanAbsolutePercentageError()", "yb", "pb", 1.8125e08, 3.428572e08),
    ("MeanSquaredLogarithmicError()", "yr", "pr", 0.3704303, 0.2306907),
    ("LogCoshError()", "yr", "pr", 0.8315741, 0.5317458),
    ("Hinge()", "yb", "pr", 1.5375, 1.628571),
    ("SquaredHinge()", "yb", "pr", 3.23125, 2.972857),
    ("CategoricalHinge()", "y1", "p", 0.7625, 1.042857),
    ("KLDivergence()", "y1", "p", 0.7033498, 1.063182),
    ("Poisson()", "yb", "pb", 0.7616627, 0.6757917),
    ("CosineSimilarity()", "yr", "pr", 0.2550831, 0.7664968),
    ("BinaryCrossentropy()", "yb", "pb", 0.5217021, 0.6842176),
    ("CategoricalCrossentropy()", "y1", "p", 0.7033527, 1.063185),
    ("SparseCategoricalCrossentropy()", "lab", "p", 0.7033527, 1.063185),
    (
        "CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)",
        "y1",
        "z",
        2.888908,
        4.650326,
    ),
    ("Precision()", "yb", "pb", 0.75, 0.4285714),
    ("Recall()", "yb", "pb", 0.75, 0.75),
    ("Precision(thresholds=0.25)", "yb", "pb", 0.6666667, 0.3333333),
    ("Recall(class_id=1)", "yb", "pb", 0.5, 0.6666667),
    ("Precision(top_k=1)", "y1", "z", 0, 0),
    ("Recall(top_k=2, class_id=1)", "y1", "z", 0.5, 0),
    ("TruePositives()", "yb", "pb", 3, 1.5),
    ("FalsePositives()", "yb", "pb", 1, 2),
    ("TrueNegatives()", "yb", "pb", 3, 3),
    ("FalseNegatives()", "yb", "pb", 1, 0.5),
]


def make(text):
    return eval(text, vars(metrics).copy())


def run_recorded(metric, *arrays, batch=2):
    """The result over all batches of a plan, as in an epoch of `fit`."""
    with Trace() as trace:
        tensors = [trace.input((batch, *a.shape[1:]), str(a.dtype)) for a in arrays]
        pairs = metric.record(*tensors)
        for slot, (values, weights) in enumerate(pairs):
            assert weights is None or weights.shape == values.shape
            inputs = [values] if weights is None else [values, weights]
            trace.effect("accumulate", inputs, {"slot": 2 * slot})
        trace.record_assigns()
    state = _core.StepState(0)
    metric.reset_state()
    steps = len(arrays[0]) // batch
    assert _core.Plan(trace.graph).run(state, list(arrays), None, 0, steps) == steps
    sums = state.sums
    return metric.result_from([(sums[2 * i], sums[2 * i + 1]) for i in range(len(pairs))])


@pytest.mark.parametrize(("text", "true", "pred", "plain", "weighted"), GOLDEN)
def test_golden(text, true, pred, plain, weighted):
    metric, y_true, y_pred = make(text), ARRAYS[true], ARRAYS[pred]
    metric.update_state(y_true[:3], y_pred[:3])
    metric.update_state(y_true[3:], y_pred[3:])
    assert metric.result() == pytest.approx(plain, rel=2e-6)
    metric.reset_state()
    assert metric.result() == 0
    metric.update_state(y_true, y_pred, sample_weight=WEIGHTS)
    assert metric.result() == pytest.approx(weighted, rel=2e-6)
    assert run_recorded(metric, y_true, y_pred) == pytest.approx(plain, rel=2e-6)
    result = run_recorded(metric, y_true, y_pred, WEIGHTS)
    assert result == pytest.approx(weighted, rel=2e-6)


def test_every_metric_is_tested():
    tested = {type(make(text)) for text, *_ in GOLDEN}
    assert tested | {metrics.Mean, metrics.Sum} == set(metrics._CLASSES)


def test_mean_and_sum():
    mean = metrics.Mean()
    mean.update_state([1.0, 2, 3, 4], sample_weight=[1, 0, 1, 0])
    mean.update_state([10.0])
    assert mean.result() == pytest.approx(14 / 3)
    assert metrics.Mean()([[1.0, 2], [3, 4]]) == 2.5
    total = metrics.Sum()
    total.update_state([1.0, 2, 3], sample_weight=[1, 0, 2])
    assert total.result() == 7


def test_several_thresholds():
    metric = metrics.Recall(thresholds=[0.25, 0.5, 0.95])
    metric.update_state(DATA["yb"], DATA["pb"])
    np.testing.assert_allclose(metric.result(), [1, 0.75, 0])
    result = run_recorded(metric, DATA["yb"], DATA["pb"])
    np.testing.assert_allclose(result, [1, 0.75, 0])


def test_labels_in_a_column_and_more_axes():
    metric = metrics.SparseCategoricalAccuracy()
    assert metric(DATA["lab"][:, None], DATA["p"]) == 0.75
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((4, 3, 5)), rng.integers(0, 5, (4, 3))
    hits = (scores.argmax(-1) == labels).astype(float)
    metric = metrics.SparseCategoricalAccuracy()
    assert metric(labels, scores, sample_weight=WEIGHTS) == pytest.approx(
        (hits.mean(1) * WEIGHTS).sum() / WEIGHTS.sum()
    )
    top = metrics.SparseTopKCategoricalAccuracy(k=2)
    order = np.argsort(-scores, axis=-1)[..., :2]
    assert top(labels, scores) == pytest.approx((order == labels[..., None]).any(-1).mean())


@pytest.mark.parametrize(
    ("name", "true", "pred", "kind"),
    [
        ("accuracy", (None,), (None, 1), metrics.BinaryAccuracy),
        ("accuracy", (None, 1), (None, 1), metrics.BinaryAccuracy),
        ("accuracy", (None,), (None, 10), metrics.SparseCategoricalAccuracy),
        ("accuracy", (None, 1), (None, 10), metrics.SparseCategoricalAccuracy),
        ("accuracy", (None, 10), (None, 10), metrics.CategoricalAccuracy),
        ("crossentropy", (None,), (None, 10), metrics.SparseCategoricalCrossentropy),
        ("ce", (None, 10), (None, 10), metrics.CategoricalCrossentropy),
        ("ce", (None, 1), (None, 1), metrics.BinaryCrossentropy),
        ("mse", (None, 1), (None, 1), metrics.MeanSquaredError),
    ],
)
def test_names_that_depend_on_shapes(name, true, pred, kind):
    metric = metrics.resolve(name, true, pred)
    assert type(metric) is kind
    assert metric.name == name


def test_acc_is_deprecated():
    with pytest.warns(DeprecationWarning, match="accuracy"):
        assert metrics.resolve_accuracy("acc", (None,), (None, 3)).name == "acc"


@pytest.mark.parametrize("name", sorted(metrics._TABLE))
def test_names_and_configurations(name):
    metric = metrics.get(name)
    assert metric.name == name
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_functions_of_users():
    def worst(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred), axis=-1)

    metric = metrics.get(worst)
    expected = np.abs(DATA["yr"] - DATA["pr"]).max(1)
    assert metric.name == "worst"
    assert metric(DATA["yr"], DATA["pr"]) == pytest.approx(expected.mean())
    recorded = run_recorded(metric, DATA["yr"], DATA["pr"], WEIGHTS)
    assert recorded == pytest.approx((expected * WEIGHTS).sum() / WEIGHTS.sum())
    scalar = metrics.get(lambda a, b: ops.mean(a - b))
    assert run_recorded(scalar, DATA["yr"], DATA["pr"]) == pytest.approx(
        (DATA["yr"] - DATA["pr"]).mean(), abs=1e-6
    )


class LargestError(metrics.Metric):
    """Written the way Keras's guides do it."""

    def __init__(self, name="largest_error"):
        super().__init__(name=name)
        self.largest = self.add_weight(name="largest", initializer="zeros")
        self.count = self.add_weight(shape=(), name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = ops.max(ops.abs(ops.cast(y_true, self.dtype) - y_pred))
        self.largest.assign(ops.maximum(self.largest, error))
        self.count.assign_add(1.0)

    def result(self):
        return self.largest


def test_metrics_with_variables():
    metric = LargestError()
    errors = np.abs(DATA["yr"] - DATA["pr"])
    metric.update_state(DATA["yr"][:2], DATA["pr"][:2])
    assert float(metric.result()) == errors[:2].max()
    metric.reset_state()
    assert float(metric.result()) == 0
    assert run_recorded(metric, DATA["yr"], DATA["pr"]) == errors.max()
    assert metric.count.numpy() == 2


ERRORS = [
    (lambda: metrics.get("acuracy"), ValueError, "did you mean 'accuracy'?"),
    (lambda: metrics.get(1), ValueError, "got 1"),
    (lambda: metrics.Precision(thresholds=2.0), ValueError, "thresholds in 0..1, got 2.0"),
    (lambda: metrics.Recall(top_k=0), ValueError, "positive top_k, got 0"),
    (lambda: metrics.Recall(class_id=1)([1, 0], [0.5, 0.2]), ValueError, "(N, classes)"),
    (lambda: metrics.Mean().record(1, 2), TypeError, "MeanMetricWrapper"),
    (
        lambda: metrics.BinaryAccuracy()(DATA["yr"], DATA["p"]),
        ValueError,
        "Metric 'binary_accuracy': Targets of the predictions' shape (None, 3)",
    ),
]


@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index):
    function, kind, text = ERRORS[index]
    with pytest.raises(kind, match=re.escape(text)):
        function()


def test_metrics_that_cannot_be_recorded():
    class WithNumPy(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.last = float(np.max(np.asarray(y_pred)))

    with Trace() as trace:
        y = trace.input((2, 3))
        with pytest.raises(TypeError, match="'with_num_py' cannot be recorded"):
            WithNumPy().record(y, y)
