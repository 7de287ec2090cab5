"""Bad input gets one clear sentence and changes nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest

import weft
from weft import layers, losses

RNG = np.random.default_rng(9)
X = RNG.normal(size=(12, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, size=12)
ONE_HOT = np.eye(3)[LABELS]


def make_model(loss="sparse_categorical_crossentropy"):
    model = weft.Sequential(
        [
            weft.Input((5,)),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="head"),
        ],
        name="net",
    )
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def with_value(value):
    x = X.copy()
    x[7, 2] = value
    return x


def ragged():
    return [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0]]


BAD_DATA = {
    "features": ((X[:, :4], LABELS), "Sequential 'net' expects inputs of shape (None, 5)"),
    "rank of x": ((X.reshape(12, 5, 1), LABELS), "got shape (None, 5, 1)"),
    "one number": ((3.0, LABELS), "expects x to have a batch axis"),
    "NaN": ((with_value(np.nan), LABELS), "finite numbers in x, got NaN or infinity in sample 7"),
    "inf": ((with_value(np.inf), LABELS), "finite numbers in x, got NaN or infinity in sample 7"),
    "float64 NaN": ((with_value(np.nan).astype(float), LABELS), "NaN or infinity in sample 7"),
    "empty": ((X[:0], LABELS[:0]), "at least one sample, got x of shape (0, 5)"),
    "empty y": ((X, LABELS[:0]), "at least one sample, got y of shape (0,)"),
    "no features": ((X[:, :0], LABELS), "at least one sample, got x of shape (12, 0)"),
    "lengths": ((X, LABELS[:9]), "x and y of equal length, got 12 and 9 samples"),
    "object": ((X.astype(object), LABELS), "array of numbers, got an array of dtype object"),
    "object y": ((X, LABELS.astype(object)), "y to be an array of numbers"),
    "text": ((X.astype(str), LABELS), "array of numbers, got an array of dtype <U"),
    "complex": ((X.astype(complex), LABELS), "got an array of dtype complex128"),
    "dict": (({"x": X}, LABELS), "x to be one array, got a dict"),
    "ragged": ((ragged(), LABELS[:2]), "got a ragged list"),
    "generator": (((row for row in X), LABELS), "got an object of type generator"),
    "no x": ((None, LABELS), "expects x, got None"),
    "no y": ((X, None), "expects y, because the model has a loss"),
    "label above": ((X, LABELS + 1), "expects labels from 0 to 2, got labels from 1 to 3"),
    "label below": ((X, LABELS - 1), "expects labels from 0 to 2, got labels from -1 to 1"),
    "label large": ((X, LABELS + 2**40), "expects labels from 0 to 2"),
    "fractions": ((X, LABELS + 0.5), "expects class indices in y, got fractions"),
    "NaN label": ((X, np.where(LABELS == 1, np.nan, LABELS)), "finite numbers in y"),
    "one-hot rows": ((X, ONE_HOT), "for one-hot rows use categorical_crossentropy"),
    "rank of y": ((X, ONE_HOT.reshape(12, 3, 1)), "expects y of shape (None,)"),
}


def check_unchanged(model, action, message, error=ValueError):
    before = model.get_weights()
    iterations = model.optimizer.iterations if model.optimizer else None
    with pytest.raises(error, match=re.escape(message)) as caught:
        action(model)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 250
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    if iterations is not None:
        assert model.optimizer.iterations == iterations


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(method, name):
    (x, y), message = BAD_DATA[name]
    if name == "generator":
        x = (row for row in X)  # a new one each time
    options = {"verbose": 0} if method in ("fit", "evaluate") else {}
    check_unchanged(make_model(), lambda m: getattr(m, method)(x, y, **options), message)


@pytest.mark.parametrize("name", ["features", "rank of x", "empty", "object", "ragged", "no x"])
@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_bad_data_for_predict(method, name):
    (x, _), message = BAD_DATA[name]
    check_unchanged(make_model(), lambda m: getattr(m, method)(x), message)


def test_bad_validation_data_is_found_before_training():
    for val, message in (
        ((X[:, :3], LABELS), "expects inputs of shape"),
        ((X, LABELS + 5), "expects labels from 0 to 2"),
        ((with_value(np.nan), LABELS), "finite numbers in x"),
        (X, "validation_data to be (x, y)"),
        ((X,), "validation_data to be (x, y)"),
    ):
        check_unchanged(
            make_model(),
            lambda m, val=val: m.fit(X, LABELS, verbose=0, validation_data=val),
            message,
        )


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (
            "categorical_crossentropy",
            LABELS,
            "for class indices use sparse_categorical_crossentropy",
        ),
        (
            "categorical_crossentropy",
            np.eye(4)[LABELS],
            "expects y of shape (None, 3), got (None, 4)",
        ),
        ("mse", ONE_HOT[:, :2], "mean_squared_error expects y of shape (None, 3), got (None, 2)"),
        ("mse", ONE_HOT[..., None][..., [0, 0]], "expects y of shape (None, 3)"),
        ("mse", np.full((12, 3), np.inf), "finite numbers in y"),
        ("binary_crossentropy", 5 * ONE_HOT, "targets from 0 to 1, got targets from 0.0 to 5.0"),
        (
            weft.losses.BinaryCrossentropy(from_logits=True),
            2 * ONE_HOT - 1,
            "binary_crossentropy expects targets from 0 to 1, got targets from -1.0 to 1.0",
        ),
    ],
)
def test_bad_targets(loss, y, message):
    check_unchanged(make_model(loss), lambda m: m.fit(X, y, verbose=0), message)


def test_targets_that_rounding_put_beside_the_range_pass():
    make_model("binary_crossentropy").fit(X, ONE_HOT * np.float32(1.0000001), verbose=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size to be an integer of at least 1, got 0"),
        ({"batch_size": -5}, "batch_size to be an integer of at least 1, got -5"),
        ({"batch_size": 2.5}, "batch_size to be an integer of at least 1, got 2.5"),
        ({"epochs": -1}, "epochs to be an integer of at least 0, got -1"),
        ({"initial_epoch": -1}, "initial_epoch to be an integer"),
        ({"steps_per_epoch": 0}, "steps_per_epoch to be an integer of at least 1"),
        ({"validation_split": 1.5}, "validation_split from 0 to below 1, got 1.5"),
        ({"validation_split": 0.99}, "training data would be empty"),
        ({"validation_split": 0.01, "batch_size": 5}, None),
        ({"validation_freq": 0}, "validation_freq to be an integer of at least 1"),
        ({"validation_batch_size": 0}, "validation_batch_size"),
        ({"verbose": 7}, "verbose 0, 1, 2 or 'auto', got 7"),
        ({"sample_weight": np.ones(5)}, "x and sample_weight of equal length, got 12 and 5"),
        ({"sample_weight": np.ones((12, 2))}, "sample_weight of shape (None,), got (None, 2)"),
        ({"sample_weight": np.full(12, np.nan)}, "finite numbers in sample_weight"),
        ({"class_weight": [1, 2]}, "class_weight to be a dict"),
        ({"class_weight": {"a": 1}}, "class indices and weights of at least 0"),
        ({"class_weight": {0: -1}}, "class indices and weights of at least 0"),
        ({"class_weight": {0: 1}, "sample_weight": np.ones(12)}, "got both"),
    ],
)
def test_bad_arguments_of_fit(options, message):
    model = make_model()
    if message is None:
        model.fit(X, LABELS, **{"verbose": 0, **options})
        return
    check_unchanged(model, lambda m: m.fit(X, LABELS, **{"verbose": 0, **options}), message)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_before_compile(method):
    model = weft.Sequential([weft.Input((5,)), layers.Dense(3)])
    check_unchanged(
        model,
        lambda m: getattr(m, method)(X, LABELS),
        f"{method} needs a compiled model: call compile(...) first",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adam", "categorical_crosentropy"), "did you mean 'categorical_crossentropy'"),
        (("rmsprob", "mse"), "did you mean 'rmsprop'"),
        (("adam", "mse", None, ["acuracy"]), "Unknown metric 'acuracy'"),
        (("adam", ["mse", "mae"]), "expects one loss"),
        (("adam", "mse", [0.5]), "no loss_weights"),
        ((3, "mse"), "expects a name or an optimizer"),
        (("adam", losses.MeanSquaredError(reduction="none")), "expects a loss with a reduction"),
    ],
)
def test_bad_compile_keeps_the_old_one(arguments, message):
    model = make_model()
    optimizer = model.optimizer
    check_unchanged(model, lambda m: m.compile(*arguments), message)
    assert model.optimizer is optimizer
    model.fit(X, LABELS, verbose=0)


def test_without_a_loss_there_is_nothing_to_train():
    model = weft.Sequential([weft.Input((5,)), layers.Dense(3)])
    model.compile("sgd")
    check_unchanged(model, lambda m: m.fit(X, verbose=0), "nothing to minimize")
    frozen = make_model()
    frozen.trainable = False
    frozen.compile("sgd", "sparse_categorical_crossentropy")
    check_unchanged(frozen, lambda m: m.fit(X, LABELS, verbose=0), "no trainable weight")


def test_a_layer_deep_inside_is_named():
    model = weft.Sequential([layers.Dense(4, name="first"), layers.Dense(3, name="second")])
    model.build((None, 5))
    with pytest.raises(ValueError, match=r"Dense 'second' expects inputs with 4 features"):
        model.layers[1](X)


def test_negative_sizes():
    for make in (
        lambda: layers.Dense(-3),
        lambda: layers.Dense(0),
        lambda: weft.Input((-5,)),
        lambda: layers.Reshape((-2, 3)),
        lambda: weft.config.set_num_threads(-1),
    ):
        with pytest.raises(ValueError, match=r"-|0"):
            make()


def test_a_user_loss_that_is_no_scalar_is_refused():
    class PerSample(losses.Loss):
        def __call__(self, y_true, y_pred, sample_weight=None):
            return y_pred

    model = make_model(PerSample())
    check_unchanged(model, lambda m: m.fit(X, ONE_HOT, verbose=0), "must be a scalar tensor")


def overflowing(learning_rate=1e25):
    model = weft.Sequential(
        [
            weft.Input((5,)),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(3, name="head"),
        ]
    )
    model.set_weights([np.ones(w.shape) for w in model.get_weights()])
    model.compile(weft.optimizers.SGD(learning_rate), "mse")
    return model


@pytest.mark.parametrize("batchwise", [False, True])
def test_a_loss_that_turns_nan_names_step_and_layer(batchwise):
    y = np.ones((12, 3), np.float32)
    x = np.abs(X)
    twin = overflowing()
    twin.train_on_batch(x[:4], y[:4])  # the first step still has a finite loss
    model = overflowing()
    calls = (
        [weft.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]
        if batchwise
        else []
    )
    with pytest.raises(FloatingPointError) as caught:
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=calls)
    text = str(caught.value)
    assert "at epoch 1, step 2" in text
    assert re.search(r"layer '(hidden|head)'|the loss itself", text)
    assert model.optimizer.iterations == 1
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()
    # The model can be trained on with a smaller step.
    model.set_weights([np.ones(w.shape) for w in model.get_weights()])
    model.optimizer.learning_rate = 1e-3
    model.fit(x, y, verbose=0)


def test_nan_inside_of_a_layer_is_named():
    model = weft.Sequential(
        [
            weft.Input((5,)),
            layers.Dense(4, name="fine"),
            layers.Activation(lambda x: weft.ops.log(-weft.ops.abs(x) - 1.0), name="culprit"),
            layers.Dense(3, name="after"),
        ]
    )
    model.compile("sgd", "mse")
    check_unchanged(
        model,
        lambda m: m.fit(X, ONE_HOT, verbose=0),
        "at epoch 1, step 1: first in layer 'culprit'",
        FloatingPointError,
    )
    check_unchanged(model, lambda m: m.train_on_batch(X, ONE_HOT), "'culprit'", FloatingPointError)


def test_nan_passes_through_predict():
    outputs = make_model().predict(with_value(np.nan), verbose=0)
    assert np.isnan(outputs[7]).all()
    assert np.isfinite(np.delete(outputs, 7, axis=0)).all()
