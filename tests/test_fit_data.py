"""What fit is given: inputs and targets of any number type, validation data, and weights."""

from __future__ import annotations

import numpy as np
import pytest
from classifier import (
    LABELS,
    ONE_HOT,
    TARGETS,
    WEIGHTS,
    X,
    classifier,
    cross_entropy,
    probabilities,
)

import weft
from weft import layers

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(np.uint8),
        lambda a: a.astype(np.int64),
        lambda a: a.astype(np.float64),
        lambda a: a.astype(np.float16),
        lambda a: a.astype(">f4"),
        lambda a: a.astype(np.float32)[::1, ::-1][:, ::-1],
        lambda a: np.asfortranarray(a, dtype=np.float32),
        lambda a: a.tolist(),
        lambda a: [a.astype(np.float32)],
    ],
    ids=["uint8", "int64", "float64", "float16", ">f4", "strides", "fortran", "list", "[x]"],
)
def test_inputs_may_have_any_number_type(convert):
    pixels = RNG.integers(0, 9, size=(50, 6))
    reference, model = classifier(), classifier()
    wanted = reference.fit(pixels.astype(np.float32), LABELS, verbose=0).history["loss"]
    assert model.fit(convert(pixels), LABELS, verbose=0).history["loss"] == wanted
    np.testing.assert_array_equal(model.get_weights()[0], reference.get_weights()[0])
    np.testing.assert_array_equal(
        model.predict(convert(pixels), verbose=0), reference.predict(pixels, verbose=0)
    )


def test_bool_inputs():
    bits = RNG.integers(0, 2, size=(50, 6)).astype(bool)
    model = classifier()
    np.testing.assert_array_equal(model(bits), model(bits.astype(np.float32)))


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(np.uint8), LABELS[:, np.newaxis], LABELS.astype(float), LABELS.tolist()],
    ids=["uint8", "column", "float", "list"],
)
def test_labels_may_have_any_number_type(labels):
    wanted = classifier().fit(X, LABELS, verbose=0).history
    assert classifier().fit(X, labels, verbose=0).history == wanted


def test_sparse_and_one_hot_labels_give_the_same():
    sparse = classifier().fit(X, LABELS, epochs=3, verbose=0).history
    dense = classifier(loss="categorical_crossentropy").fit(X, ONE_HOT, epochs=3, verbose=0).history
    np.testing.assert_allclose(sparse["loss"], dense["loss"], rtol=1e-5)
    assert sparse["accuracy"] == dense["accuracy"]


@pytest.mark.parametrize("y", [TARGETS, TARGETS[:, 0]])
def test_regression_targets_may_be_flat_or_a_column(y):
    model = weft.Sequential([weft.Input((6,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    kernel, bias = model.get_weights()
    error = (X @ kernel + bias - TARGETS).astype(np.float64)
    wanted = [np.mean(error**2), np.mean(abs(error))]
    np.testing.assert_allclose(model.evaluate(X, y, verbose=0), wanted, rtol=1e-5)
    assert model.fit(X, y, verbose=0, batch_size=50).history["loss"][0] == pytest.approx(
        wanted[0], rel=1e-5
    )


def test_a_flat_x_fits_a_model_of_one_feature():
    model = weft.Sequential([weft.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X[:, 0], TARGETS[:, 0], verbose=0)
    assert model.predict(X[:, 0], verbose=0).shape == (50, 1)


def test_validation_split_takes_the_last_samples():
    model = classifier(weft.optimizers.SGD(0.0))
    logs = model.fit(X, LABELS, validation_split=0.3, verbose=0).history
    assert logs["loss"][0] == pytest.approx(cross_entropy(model, slice(0, 35)).mean(), rel=1e-5)
    assert logs["val_loss"][0] == pytest.approx(
        cross_entropy(model, slice(35, 50)).mean(), rel=1e-5
    )


def test_validation_data_and_frequency():
    model = classifier()
    val = (X[:20], LABELS[:20], WEIGHTS[:20])
    history = model.fit(X, LABELS, validation_data=val, epochs=5, validation_freq=2, verbose=0)
    assert len(history.history["loss"]) == 5
    assert len(history.history["val_loss"]) == 2
    history = model.fit(X, LABELS, validation_data=val, epochs=5, validation_freq=[1, 5], verbose=0)
    assert len(history.history["val_loss"]) == 2
    weighted = (cross_entropy(model, slice(0, 20)) * WEIGHTS[:20]).sum() / 20
    assert history.history["val_loss"][-1] == pytest.approx(weighted, rel=1e-5)
    frozen = classifier(weft.optimizers.SGD(0.0))
    logs = frozen.fit(
        X,
        LABELS,
        validation_data=(X, LABELS),
        validation_steps=2,
        validation_batch_size=5,
        verbose=0,
    ).history
    assert logs["val_loss"][0] == pytest.approx(
        cross_entropy(frozen, slice(0, 10)).mean(), rel=1e-5
    )


def test_validation_does_not_change_training():
    def train(**options):
        model = weft.Sequential([weft.Input((6,)), layers.Dropout(0.3), layers.Dense(4)])
        weft.utils.set_random_seed(4)
        model = weft.models.clone_model(model)
        model.compile("adam", weft.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(X[:40], LABELS[:40], epochs=3, verbose=0, **options)
        return model.get_weights()

    plain, validated = train(), train(validation_data=(X[40:], LABELS[40:]))
    np.testing.assert_array_equal(plain[0], validated[0])


def test_sample_weights_scale_the_loss_but_not_plain_metrics():
    model = classifier(weft.optimizers.SGD(0.0))
    model.compile(
        weft.optimizers.SGD(0.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy"],
    )
    losses = cross_entropy(model)
    right = probabilities(model).argmax(axis=1) == LABELS
    logs = model.fit(X, LABELS, sample_weight=WEIGHTS, batch_size=16, verbose=0).history
    assert logs["loss"][0] == pytest.approx((losses * WEIGHTS).sum() / 50, rel=1e-5)
    assert logs["accuracy"][0] == pytest.approx(right.mean())
    weighted = (right * WEIGHTS).sum() / WEIGHTS.sum()
    assert logs["accuracy_1"][0] == pytest.approx(weighted, rel=1e-5)
    result = model.test_on_batch(X, LABELS, sample_weight=WEIGHTS[:, np.newaxis])
    np.testing.assert_allclose(result, [logs["loss"][0], right.mean(), weighted], rtol=1e-5)


@pytest.mark.parametrize("one_hot", [False, True])
def test_class_weights(one_hot):
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    model = classifier(weft.optimizers.SGD(0.0), loss)
    factors = np.array([2.0, 1.0, 0.5, 1.0])[LABELS]
    y = ONE_HOT if one_hot else LABELS
    logs = model.fit(X, y, class_weight={0: 2.0, 2: 0.5}, validation_split=0.2, verbose=0).history
    losses = cross_entropy(model)
    assert logs["loss"][0] == pytest.approx((losses * factors)[:40].sum() / 40, rel=1e-5)
    assert logs["val_loss"][0] == pytest.approx(losses[40:].mean(), rel=1e-5)
