"""fit, evaluate, predict and the single-batch methods, against float64 NumPy where they count.

What forms their data may have: test_fit_data.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from classifier import LABELS, ONE_HOT, TARGETS, X, classifier, cross_entropy, probabilities

import weft
from weft import layers, ops
from weft.models.compilable import rows_at_once

RNG = np.random.default_rng(6)


def test_history_has_the_names_and_order_of_keras():
    model = classifier()
    history = model.fit(X, LABELS, epochs=3, batch_size=16, validation_split=0.2, verbose=0)
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert [len(values) for values in history.history.values()] == [3] * 4
    assert history.epoch == [0, 1, 2]
    assert all(isinstance(value, float) for value in history.history["loss"])
    assert model.history is history
    assert history.params["epochs"] == 3
    assert history.params["steps"] == 3
    assert model.last_fit_mode == "epoch"


def test_training_learns():
    model = classifier(weft.optimizers.Adam(0.05))
    history = model.fit(X, LABELS, epochs=200, batch_size=10, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["accuracy"][-1] > 0.9


def test_epoch_loss_is_the_mean_over_samples_before_each_update():
    model = classifier(weft.optimizers.SGD(0.5))
    other = classifier(weft.optimizers.SGD(0.5))
    losses, hits = [], 0.0
    for begin in range(0, 50, 16):  # the last batch has 2 samples
        rows = slice(begin, begin + 16)
        losses.extend(cross_entropy(other, rows))
        hits += (probabilities(other)[rows].argmax(axis=1) == LABELS[rows]).sum()
        other.train_on_batch(X[rows], LABELS[rows])
    logs = model.fit(X, LABELS, batch_size=16, shuffle=False, verbose=0).history
    assert logs["loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    assert logs["accuracy"][0] == pytest.approx(hits / 50)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluate_and_predict_match_numpy():
    model = classifier(metrics=["accuracy", "sparse_categorical_crossentropy"])
    wanted = cross_entropy(model).mean()
    right = (probabilities(model).argmax(axis=1) == LABELS).mean()
    result = model.evaluate(X, LABELS, batch_size=7, verbose=0)
    np.testing.assert_allclose(result, [wanted, right, wanted], rtol=1e-5)
    assert model.metrics_names == ["loss", "accuracy", "sparse_categorical_crossentropy"]
    named = model.evaluate(X, LABELS, verbose=0, return_dict=True)
    assert named["loss"] == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), probabilities(model), rtol=1e-4, atol=1e-6
    )
    lone = classifier(metrics=[])
    assert lone.evaluate(X, LABELS, verbose=0) == pytest.approx(wanted, rel=1e-5)


def test_predictions_do_not_depend_on_the_batch():
    model = classifier()
    x = RNG.normal(size=(1300, 6)).astype(np.float32)
    whole = model.predict(x, verbose=0)
    for size in (1, 7, 256, 1000, 5000):
        np.testing.assert_array_equal(model.predict(x, batch_size=size, verbose=0), whole)
    np.testing.assert_array_equal(
        np.concatenate([model(x[i : i + 1]) for i in range(9)]), whole[:9]
    )
    assert len(model.predict(x, batch_size=100, steps=3, verbose=0)) == 300


def test_initial_epoch_and_steps_per_epoch():
    model = classifier()
    history = model.fit(X, LABELS, initial_epoch=3, epochs=5, verbose=0)
    assert history.epoch == [3, 4]
    before = model.optimizer.iterations
    history = model.fit(X, LABELS, batch_size=10, steps_per_epoch=2, epochs=4, verbose=0)
    assert model.optimizer.iterations - before == 2 + 2 + 1 + 2  # the third ends the pass
    with pytest.warns(UserWarning, match="only 5"):
        model.fit(X, LABELS, batch_size=10, steps_per_epoch=9, verbose=0)
    nothing = model.fit(X, LABELS, epochs=0, verbose=0)
    assert nothing.history == {}


def test_regularizers_count_in_the_reported_loss():
    model = weft.Sequential(
        [weft.Input((6,)), layers.Dense(1, kernel_regularizer=weft.regularizers.L1L2(0.1, 0.2))]
    )
    model.compile(weft.optimizers.SGD(0.1), "mse")
    kernel, bias = [w.astype(np.float64) for w in model.get_weights()]
    error = X @ kernel + bias - TARGETS
    penalty = 0.1 * abs(kernel).sum() + 0.2 * (kernel**2).sum()
    wanted = np.mean(error**2) + penalty
    assert model.evaluate(X, TARGETS, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert model.train_on_batch(X, TARGETS) == pytest.approx(wanted, rel=1e-5)
    gradient = X.T @ (2 * error / 50) + 0.1 * np.sign(kernel) + 0.4 * kernel
    np.testing.assert_allclose(
        model.get_weights()[0], kernel - 0.1 * gradient, rtol=1e-4, atol=1e-6
    )


def test_losses_and_metrics_of_ones_own():
    def fourth_power(y_true, y_pred):
        return ops.mean((y_true - y_pred) ** 4, axis=-1)

    class Largest(weft.metrics.Metric):
        def __init__(self, name="hits", **kwargs):
            super().__init__(name=name, **kwargs)
            self.count = self.add_variable((), name="count")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.count.assign_add(ops.sum(ops.cast(abs(y_true - y_pred) > 1, "float32")))

        def result(self):
            return self.count.value

    model = weft.Sequential([weft.Input((6,)), layers.Dense(1)])
    model.compile("sgd", fourth_power, metrics=[fourth_power, Largest()])
    error = (model(X) - TARGETS).astype(np.float64)
    result = model.evaluate(X, TARGETS, batch_size=16, verbose=0)
    wanted = [np.mean(error**4), np.mean(error**4), (abs(error) > 1).sum()]
    np.testing.assert_allclose(result, wanted, rtol=1e-4)
    again = model.evaluate(X, TARGETS, batch_size=16, verbose=0, return_dict=True)
    assert list(again) == ["fourth_power", "hits", "loss"]
    assert again["hits"] == wanted[2]
    history = model.fit(X, TARGETS, epochs=2, verbose=0, validation_split=0.5).history
    assert history["loss"][1] < history["loss"][0]


def test_a_users_sparse_loss_gets_class_indices():
    def loss(y_true, y_pred):
        return weft.losses.sparse_categorical_crossentropy(y_true, y_pred)

    wanted = classifier().fit(X, LABELS, verbose=0).history["loss"]
    got = classifier(loss=loss).fit(X, LABELS, verbose=0).history["loss"]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_train_and_test_on_batch():
    model = classifier(weft.optimizers.SGD(0.1))
    wanted = cross_entropy(model).mean()
    loss, accuracy = model.test_on_batch(X, LABELS)
    assert loss == pytest.approx(wanted, rel=1e-5)
    trained = model.train_on_batch(X, LABELS, return_dict=True)
    assert trained == {"accuracy": accuracy, "loss": pytest.approx(wanted, rel=1e-5)}
    assert model.test_on_batch(X, LABELS)[0] < loss
    assert model.optimizer.iterations == 1
    heavy = model.test_on_batch(X, LABELS, sample_weight=np.full(50, 2.0))[0]
    assert heavy == pytest.approx(2 * model.test_on_batch(X, LABELS)[0], rel=1e-5)
    model.train_on_batch(X, LABELS, class_weight={0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0})


def test_what_is_trained_is_fixed_by_compile():
    """The way GANs were written for Keras 2."""
    judge = classifier()
    maker = weft.Sequential([weft.Input((6,)), layers.Dense(6)])
    judge.trainable = False
    both = weft.Sequential([maker, judge])
    both.compile("adam", "sparse_categorical_crossentropy")
    kept, moved = judge.get_weights(), maker.get_weights()
    both.train_on_batch(X, LABELS)
    np.testing.assert_array_equal(judge.get_weights()[0], kept[0])
    assert not np.array_equal(maker.get_weights()[0], moved[0])
    moved = maker.get_weights()
    judge.train_on_batch(X, LABELS)
    assert not np.array_equal(judge.get_weights()[0], kept[0])
    np.testing.assert_array_equal(maker.get_weights()[0], moved[0])


def test_deferred_model_is_built_by_fit():
    model = weft.Sequential([layers.Dense(4, activation="softmax")])
    with pytest.warns(DeprecationWarning, match="'accuracy'") as warned:
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"])
    assert warned[0].filename == __file__
    history = model.fit(X, LABELS, verbose=0).history
    assert list(history) == ["acc", "loss"]
    assert model.input_shape == (None, 6)


def test_changes_between_fits_take_effect():
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    model.pop()
    model.add(layers.Dense(4, activation="softmax", name="head"))
    history = model.fit(X, LABELS, verbose=0, epochs=20).history
    assert history["loss"][-1] < history["loss"][0]
    model.fuse = False
    model.fit(X, LABELS, verbose=0)
    model.compile("adam", "categorical_crossentropy")
    model.fit(X, ONE_HOT, verbose=0)


def test_a_schedule_without_an_argument_may_look_at_the_iterations():
    optimizer = weft.optimizers.SGD(lambda: 0.1 if optimizer.iterations < 2 else 0.0)
    model, other = classifier(optimizer), classifier(weft.optimizers.SGD(0.1))
    model.fit(X, LABELS, batch_size=10, shuffle=False, verbose=0)
    other.fit(X[:20], LABELS[:20], batch_size=10, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_schedules_are_followed_step_by_step():
    rates = weft.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.0])
    model = classifier(weft.optimizers.SGD(rates))
    other = classifier(weft.optimizers.SGD(0.1))
    model.fit(X, LABELS, batch_size=10, epochs=2, shuffle=False, verbose=0)
    other.fit(X[:20], LABELS[:20], batch_size=10, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_verbose(capsys):
    model = classifier()
    model.fit(X, LABELS, epochs=2, verbose=0, validation_split=0.2)
    model.evaluate(X, LABELS, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""
    model.fit(X, LABELS, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0::2] == ["Epoch 1/2", "Epoch 2/2"]
    assert lines[1].startswith("2/2 - ")
    assert "accuracy: " in lines[1]
    assert "val_loss: " in lines[1]
    model.fit(X, LABELS, verbose="auto")
    model.evaluate(X, LABELS)
    model.predict(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("2/2 " in line for line in lines)
    assert "loss: " in lines[0]
    assert "accuracy: " in lines[1]
    assert "loss" not in lines[2]


def test_spellings_of_keras_2():
    model = classifier()
    with pytest.warns(DeprecationWarning, match="argmax"):
        classes = model.predict_classes(X)
    np.testing.assert_array_equal(classes, probabilities(model).argmax(axis=1))
    with pytest.warns(DeprecationWarning, match="predict"):
        np.testing.assert_array_equal(model.predict_proba(X), model.predict(X, verbose=0))


class Centered(layers.Layer):
    def call(self, inputs):
        return inputs - ops.mean(inputs, 0, keepdims=True)


def centered(x):
    return x - ops.mean(x, 0, keepdims=True)


@pytest.mark.parametrize(
    "make",
    [
        Centered,
        lambda: layers.Activation(centered),
        lambda: layers.Softmax(axis=0),
        lambda: layers.UnitNormalization(axis=-2),
        lambda: weft.Sequential([layers.TimeDistributed(layers.Dense(2, centered))]),
    ],
)
def test_layers_that_mix_rows_get_the_batches_that_were_asked_for(make):
    layer = make()
    x = RNG.normal(size=(300, 3, 2) if isinstance(layer, weft.Sequential) else (300, 6))
    model = weft.Sequential([weft.Input(x.shape[1:]), layer, layers.Flatten()])
    model.compile("sgd", "mse")
    parts = [model.predict_on_batch(x[i : i + 20]) for i in range(0, 300, 20)]
    expected = np.concatenate(parts)
    np.testing.assert_allclose(model.predict(x, 20, verbose=0), expected, atol=1e-6)
    whole = model(x)
    np.testing.assert_allclose(model.predict(x, 300, verbose=0), whole, atol=1e-6)
    assert not np.allclose(whole, expected, atol=1e-4)
    loss = model.evaluate(x, np.zeros_like(expected), 20, verbose=0)
    np.testing.assert_allclose(loss, np.mean(np.square(expected)), rtol=1e-4)


def test_layers_of_weft_run_many_rows_at_once():
    model = classifier()
    assert model._keeps_rows_apart()
    rows = rows_at_once()
    model.predict(np.zeros((2 * rows + 88, 6)), batch_size=1, verbose=0)
    assert sorted(plan.batch for plan in model._plans._plans.values()) == sorted([88, rows])


@pytest.mark.parametrize("make", [weft.Sequential, None])
def test_a_refused_fit_leaves_a_deferred_model_unbuilt(make):
    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(4)

        def call(self, inputs):
            return self.inner(inputs)

    model = Own() if make is None else make([layers.Dense(4)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="labels from 0 to 3"):
        model.fit(X[:, :3], LABELS + 1, verbose=0)
    assert not model.built
    assert model.weights == []
    model.fit(X, LABELS, verbose=0)
    assert model.weights[0].shape == (6, 4)


@pytest.mark.parametrize("watched", [False, True])
def test_a_refused_tail_does_not_move_states(watched):
    model = weft.Sequential([weft.Input(batch_shape=(2, 3, 1)), layers.LSTM(2, stateful=True)])
    watcher = weft.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: None)
    with pytest.raises(ValueError, match="expects batches of 2, got 1"):
        model.predict(np.ones((5, 3, 1)), 2, verbose=0, callbacks=[watcher] if watched else None)
    for state in model.layers[0].states:
        np.testing.assert_array_equal(state.numpy(), 0)
