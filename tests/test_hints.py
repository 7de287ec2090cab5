"""What weft says of things that Keras has and weft has not, and of names that are misspelt."""

from __future__ import annotations

import importlib
import re
import warnings

import numpy as np
import pytest

import weft
from weft import callbacks, layers

X = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32)
Y = X[:, :2]


def make_model(shape=(4,)):
    model = weft.Sequential([weft.Input(shape), layers.Flatten(), layers.Dense(2)], name="net")
    model.compile("sgd", "mse")
    return model


def raises(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.mark.parametrize("base", [weft.Sequential, weft.Model])
@pytest.mark.parametrize(
    ("method", "fix"),
    [
        ("train_step", "call train_on_batch in a loop of your own"),
        ("test_step", "call test_on_batch in a loop of your own"),
        ("predict_step", "call predict_on_batch in a loop of your own"),
        ("compute_loss", "compile with a loss function of your own"),
        ("compute_metrics", "compile with metrics of your own"),
    ],
)
def test_steps_of_ones_own_are_refused(base, method, fix):
    model = type("Custom", (base,), {method: lambda self, data: {}})()
    with raises(NotImplementedError, f"Custom defines {method}(), which weft does not call; {fix}"):
        model.compile("sgd", "mse")
    assert not model.compiled


def test_a_predict_step_of_ones_own_is_refused_without_compile():
    class Custom(weft.Sequential):
        def predict_step(self, data):
            return data

    with raises(NotImplementedError, "Custom defines predict_step(), which weft does not call"):
        Custom([layers.Dense(2)]).predict(X, verbose=0)


def test_checkpoints_warn_where_they_hold_weights_alone(tmp_path):
    class Own(weft.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.inner = layers.Dense(3)

        def call(self, inputs):
            return self.inner(inputs)

    model = Own()
    model.compile("sgd", "mse")
    path = tmp_path / "x"
    with pytest.warns(UserWarning, match=r"weights of Own 'mine' alone, which model\.load_weights"):
        model.fit(X, X[:, :3], callbacks=[callbacks.ModelCheckpoint(path)], verbose=0)
    model.load_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = callbacks.ModelCheckpoint(path, save_weights_only=True)
        model.fit(X, X[:, :3], callbacks=[checkpoint], verbose=0)


def test_models_are_not_exported():
    model = make_model()
    assert not hasattr(model, "export")
    with raises(
        AttributeError, "Sequential 'net' has no 'export': weft trains and predicts; model.save"
    ):
        model.export("x")


def test_there_are_no_tensors_between_layers():
    model = make_model()
    with raises(AttributeError, "Sequential 'net' has no 'inputs': weft keeps no tensors"):
        _ = model.inputs
    with raises(AttributeError, "'outputs': weft keeps no tensors"):
        _ = model.outputs
    for name in ("input", "output"):
        assert not hasattr(model.layers[1], name)
        with raises(AttributeError, "weft.Sequential(model.layers[:n])"):
            getattr(model.layers[1], name)
    first = weft.Sequential(model.layers[:1])  # as the message says
    np.testing.assert_array_equal(first(X), X)


def test_models_of_ones_own_may_use_these_names():
    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.input = layers.Dense(3)
            self.outputs = [layers.Dense(2)]

        def call(self, inputs):
            return self.outputs[0](self.input(inputs))

        def save(self):
            return "saved"

    model = Own()
    assert model(X).shape == (12, 2)
    assert len(model.layers) == 2
    assert model.save() == "saved"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("optimizers.Nadam", "Adam"),
        ("layers.conv2d", "Conv2D"),
        ("ops.rellu", "relu"),
        ("random.set_sed", "set_seed"),
        ("config.set_devices", "set_device"),
        ("activations.Relu", "relu"),
        ("regularizers.L1_L22", "l1_l2"),
        ("initializers.HeUnifrm", "HeUniform"),
        ("backend.clear_sesion", "clear_session"),
        ("optimizers.schedules.CosinDecay", "CosineDecay"),
    ],
)
def test_similar_names_are_suggested(name, meant):
    module, _, name = f"weft.{name}".rpartition(".")
    with raises(AttributeError, f"{module} has no {name!r}; did you mean {meant!r}?"):
        getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("weft.layers", "Masking"),
        ("weft.layers", "Cores"),
        ("weft.layers", "Conv3D"),
        ("weft.metrics", "f1_score"),
        ("weft.metrics", "AUC"),
        ("weft", "applications"),
        ("weft.ops", "fft"),
    ],
)
def test_other_names_are_not(module, name):
    with raises(AttributeError, f"{module} has no {name!r}: weft does not have all of Keras."):
        getattr(importlib.import_module(module), name)


def test_names_that_nothing_resembles():
    model = make_model()
    for metric in ("auc", "f1_score"):
        with pytest.raises(ValueError, match=f"Unknown metric '{metric}'\\.$"):
            model.compile("sgd", "mse", metrics=[metric])
    with raises(ValueError, "Unknown optimizer 'ftrl'; there are: sgd, rmsprop, adam"):
        model.compile("ftrl", "mse")
    with raises(ValueError, "Unknown optimizer 'Nadam'; did you mean 'adam'?"):
        model.compile("Nadam", "mse")


def test_dir_lists_what_a_module_offers():
    for module in (weft, weft.layers, weft.ops, weft.losses, weft.random, weft.models):
        assert dir(module) == sorted(module.__all__)
    for module in (weft.regularizers, weft.initializers, weft.optimizers.schedules):
        assert {"get_config", "Any", "Mapping", "annotations"}.isdisjoint(dir(module))
    assert {"L1", "l1_l2", "get"} <= set(dir(weft.regularizers))
    assert {"HeNormal", "he_normal"} <= set(dir(weft.initializers))


class Batches:
    """Data as Keras's `PyDataset` gives them."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[:6], Y[:6]


@pytest.mark.parametrize("make", [lambda: iter([(X, Y)]), Batches], ids=["iterator", "batches"])
@pytest.mark.parametrize(
    ("method", "single"),
    [("fit", "train_on_batch"), ("evaluate", "test_on_batch"), ("predict", "predict_on_batch")],
)
def test_data_that_come_in_batches(method, single, make):
    message = f"collect what it gives into arrays, or call {single} for each batch."
    with raises(ValueError, message):
        getattr(make_model(), method)(make(), verbose=0)


def test_arguments_of_compile():
    model = make_model()
    with raises(ValueError, "loss_weights (the third argument), because there is one output"):
        model.compile("adam", "mse", ["mae"])
    with raises(ValueError, "write metrics as metrics=[...]."):
        model.compile("adam", "mse", ["mae"])
    with raises(TypeError, "compile got an unknown argument: 'metric'; did you mean 'metrics'?"):
        model.compile(metric=["mae"])
    with raises(TypeError, "compile got an unknown argument: 'foo'."):
        model.compile(foo=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv2D(3, 3, stride=2), "'stride'; did you mean 'strides'?"),
        (lambda: layers.Conv2D(3, 3, bias_initialiser="ones"), "mean 'bias_initializer'?"),
        (
            lambda: layers.LSTM(3, return_sequence=True),
            "argument: 'return_sequence'; did you mean 'return_sequences'?",
        ),
        (lambda: layers.Dense(3, input_shapes=(4,)), "did you mean 'input_shape'?"),
        (lambda: layers.Dense(3, foo=1), "unknown argument: 'foo'."),
        (lambda: layers.Dense(3, foo=1, unit=2), "unknown argument: 'foo', 'unit'."),
    ],
)
def test_arguments_of_layers(make, message):
    with raises(TypeError, message):
        make()


@pytest.mark.parametrize(
    ("shape", "x", "hint"),
    [
        ((784,), np.ones(784), "got shape (None,); for one sample write x[None]."),
        ((28, 28, 1), np.ones((3, 28, 28)), "got shape (None, 28, 28); write x[..., None]."),
        ((28, 28, 1), np.ones((28, 28)), "; for one sample write x[None, ..., None]."),
        ((28, 28, 1), np.ones((28, 28, 1)), "; for one sample write x[None]."),
        ((28, 28, 1), np.ones((3, 27, 28)), "got shape (None, 27, 28)."),
    ],
)
def test_axes_that_are_missing(shape, x, hint):
    model = make_model(shape)
    with raises(ValueError, hint):
        model.predict(x, verbose=0)
    written = re.search(r"write (x\[.*\])\.", hint)
    if written is not None:
        assert model.predict(eval(written[1], {"x": x}), verbose=0).shape[1] == 2


def test_several_targets():
    with raises(ValueError, "fit expects y to be one array, because there is one output, got a"):
        make_model().fit(X, [Y, Y[:, 0]], verbose=0)
    make_model().fit(X, list(Y), verbose=0)  # an array for each sample


def test_misspelt_monitors():
    message = "one of: loss, val_loss; did you mean 'val_loss'?"
    with raises(ValueError, message):
        make_model().fit(X, Y, verbose=0, callbacks=callbacks.EarlyStopping("val_los"))
    with pytest.warns(UserWarning, match=r"watches 'val_los', .* there are: loss, val_loss\."):
        make_model().fit(
            *(X, Y),
            validation_data=(X, Y),
            verbose=0,
            callbacks=callbacks.EarlyStopping("val_los", mode="min"),
        )


def test_files_that_cannot_be_written_have_the_users_name(tmp_path):
    path = tmp_path / "nowhere" / "x.weights.h5"
    with pytest.raises(FileNotFoundError) as caught:
        make_model().save_weights(path)
    assert caught.value.filename == str(path)
    assert str(caught.value).endswith(f"{str(path)!r}")
    with pytest.raises(OSError, match=re.escape(repr(str(tmp_path)))):
        make_model().save_weights(tmp_path)
    assert list(tmp_path.iterdir()) == []
