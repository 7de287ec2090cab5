"""model.save, load_model, copies and pickles: what comes back goes on as the original would."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from kept_models import (
    LABELS,
    OPTIMIZERS,
    RANDOM,
    WAYS,
    Double,
    Halves,
    Net,
    Sized,
    Stack,
    X,
    check_all_ways,
    compiled,
    make_model,
    saved,
    squared,
    squash,
    train,
)

import weft
from weft import layers, ops
from weft.saving import load_file, read_header, save_file


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_with_the_same_bits(way, optimizer, tmp_path):
    model = make_model(optimizer)
    train(model)
    other = WAYS[way](model, tmp_path)
    assert other is not model
    assert other.optimizer.iterations == model.optimizer.iterations == 8
    assert other.evaluate(X, LABELS, verbose=0) == model.evaluate(X, LABELS, verbose=0)
    before = model.get_weights()
    history = train(other)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # nothing is shared
    assert history == train(model)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [layer.trainable for layer in other.layers] == [True, True, True, True, False]


def test_without_the_optimizers_state(tmp_path):
    model = make_model()
    train(model)
    model.save(tmp_path / "m", include_optimizer=False)
    assert not any(name.startswith("optimizer/") for name in load_file(tmp_path / "m"))
    other = weft.models.load_model(tmp_path / "m")
    assert other.optimizer.iterations == 0
    assert type(other.optimizer) is weft.optimizers.AdamW
    np.testing.assert_array_equal(model(X), other(X))


def test_uncompiled(tmp_path):
    model = make_model()
    model.save(tmp_path / "m")
    other = weft.saving.load_model(tmp_path / "m", compile=False)
    assert not other.compiled
    weft.models.save_model(other, tmp_path / "n")
    again = weft.models.load_model(tmp_path / "n")
    assert not again.compiled
    np.testing.assert_array_equal(model(X), again(X))


def test_a_model_saved_before_training_trains_the_same(tmp_path):
    model = make_model("momentum")
    other = saved(model, tmp_path / "m")
    assert train(model) == train(other)


def test_copies_of_what_is_not_built():
    model = weft.Sequential([layers.Dense(2)])
    other = copy.deepcopy(model)
    assert not other.built
    assert other.layers[0].units == 2
    assert other.layers[0] is not model.layers[0]


def test_things_of_ones_own(tmp_path):
    def make():
        model = weft.Sequential(
            [
                weft.Input((8,)),
                layers.Dense(3, activation=squash, kernel_initializer=Halves()),
                Double(),
            ]
        )
        model.compile("adam", squared, metrics=[squared, "mae"])
        return model

    model, y = make(), X[:, :3]
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "m")
    own = {"squash": squash, "squared": squared, "Double": Double, "Halves": Halves}
    other = weft.models.load_model(tmp_path / "m", custom_objects=own)
    copies = [other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    history = model.fit(X, y, epochs=2, verbose=0).history
    assert sorted(history) == ["loss", "mae", "squared"]
    for each in copies:
        assert each.fit(X, y, epochs=2, verbose=0).history == history
    for name, message in {
        "squash": "needs your function 'squash'; pass custom_objects",
        "squared": "needs your function 'squared'; pass custom_objects",
        "Double": "Unknown layer 'Double'",
        "Halves": "Unknown initializer 'Halves'.*pass classes of your own as custom_objects",
    }.items():
        some = {key: value for key, value in own.items() if key != name}
        with pytest.raises(ValueError, match=message):
            weft.models.load_model(tmp_path / "m", custom_objects=some)


def test_a_class_derived_from_sequential(tmp_path):
    model = Stack([weft.Input((8,)), layers.Dense(2)])
    model.save(tmp_path / "m")
    other = weft.models.load_model(tmp_path / "m", custom_objects={"Stack": Stack})
    assert type(other) is type(copy.deepcopy(model)) is Stack
    np.testing.assert_array_equal(model(X), other(X))


def test_a_class_that_makes_its_own_layers(tmp_path):
    check_all_ways(compiled(Net(4)), tmp_path, {"Net": Net})
    with pytest.raises(ValueError, match=r"Unknown model 'Net'.*pass classes of your own"):
        weft.models.load_model(tmp_path / "m")


def test_layers_as_activations_and_other_kinds_of_metrics(tmp_path):
    stack = [weft.Input((8,)), layers.Dense(4, activation=layers.LeakyReLU(0.3)), Sized((2, 2))]
    model = weft.Sequential([*stack, layers.Dense(3, activation="softmax")])
    metrics = [weft.metrics.SparseCategoricalAccuracy, "accuracy"]
    metrics += [weft.losses.SparseCategoricalCrossentropy()]
    for other in check_all_ways(compiled(model, metrics=metrics), tmp_path, {"Sized": Sized}):
        assert other.layers[1].size == (2, 2)
        np.testing.assert_array_equal(other(X), model(X))


def test_what_was_changed_after_compile(tmp_path):
    model = weft.Sequential([weft.Input((8,)), layers.Dense(4), layers.Dense(3)])
    optimizer = weft.optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    compiled(model, optimizer)
    model.layers[0].trainable = False  # which only the next compile will heed
    before = model.layers[0].get_weights()[0]
    for other in check_all_ways(model, tmp_path):
        assert not other.layers[0].trainable
        assert not np.array_equal(before, other.layers[0].get_weights()[0])


def test_flags_of_inner_layers(tmp_path):
    inner = layers.Bidirectional(layers.LSTM(3))
    model = weft.Sequential([weft.Input((2, 4)), inner, layers.Dense(3)])
    inner.backward_layer.trainable = False
    compiled(model)
    x = X.reshape(-1, 2, 4)
    model.fit(x, LABELS, verbose=0)
    other = saved(model, tmp_path / "m")
    assert not other.layers[0].backward_layer.trainable
    assert model.fit(x, LABELS, verbose=0).history == other.fit(x, LABELS, verbose=0).history


def test_copies_of_models_with_things_of_ones_own_that_are_not_built():
    model = compiled(weft.Sequential([layers.Dense(3), Double()]))
    other = copy.deepcopy(model)
    assert not other.built
    assert other.compiled
    assert type(other.layers[1]) is Double
    train(other)


def test_copies_draw_no_seeds():
    first = []
    for copies in (False, True):
        weft.utils.set_random_seed(5)
        model = weft.Sequential([weft.Input((8,)), layers.Dense(3)])
        if copies:
            copy.deepcopy(model)
        first.append(weft.Sequential([weft.Input((8,)), layers.Dense(3)]).get_weights()[0])
    np.testing.assert_array_equal(*first)


def test_an_optimizer_that_was_changed_after_training(tmp_path):
    model = weft.Sequential([weft.Input((8,)), layers.Dense(3)])
    compiled(model, weft.optimizers.SGD(0.1))
    train(model)
    model.optimizer.momentum = 0.9
    assert saved(model, tmp_path / "m").optimizer.momentum == 0.9


def test_custom_objects_that_were_not_needed_change_nothing(tmp_path):
    model = weft.Sequential([weft.Input((8,)), layers.Dense(3)])
    model.save(tmp_path / "m")
    other = weft.models.load_model(tmp_path / "m", custom_objects={"Dense": Double})
    assert type(other.layers[0]) is layers.Dense


def test_a_loss_and_a_metric_of_one_name(tmp_path):
    name = "SparseCategoricalCrossentropy"
    model = weft.Sequential([weft.Input((8,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", getattr(weft.losses, name)(), metrics=[getattr(weft.metrics, name)()])
    check_all_ways(model, tmp_path)


def test_functions_of_weft(tmp_path):
    model = weft.Sequential([weft.Input((8,)), layers.Dense(3, activation=ops.tanh)])
    model.compile("sgd", weft.losses.mean_squared_error, metrics=[weft.losses.mean_absolute_error])
    other = saved(model, tmp_path / "m")
    runs = [each.fit(X, X[:, :3], verbose=0).history for each in (model, other)]
    assert runs[0] == runs[1]
    assert sorted(runs[0]) == ["loss", "mean_absolute_error"]
    texts = read_header(tmp_path / "m").metadata
    texts["compile"] = texts["compile"].replace("mean_squared_error", "system")
    save_file(load_file(tmp_path / "m"), tmp_path / "m", texts)
    with pytest.raises(ValueError, match="needs weft's function 'system', which is not there"):
        weft.models.load_model(tmp_path / "m")


def test_recurrent_and_convolutional_layers(tmp_path):
    model = weft.Sequential(
        [
            weft.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Reshape((2, 6)),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    images = RANDOM.normal(size=(5, 6, 6, 1))
    model.fit(images, images[:, 0, 0], verbose=0)
    other = saved(model, tmp_path / "m")
    np.testing.assert_array_equal(model.predict(images), other.predict(images))


def test_load_weights_reads_whole_models(tmp_path):
    model, other = make_model(), weft.models.clone_model(make_model())
    train(model)
    model.save(tmp_path / "m")
    other.load_weights(tmp_path / "m")
    np.testing.assert_array_equal(model(X), other(X))


def test_checkpoints_hold_whole_models(tmp_path):
    model = make_model()
    path = tmp_path / "best.keras"
    checkpoint = weft.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    model.fit(X, LABELS, epochs=3, callbacks=[checkpoint], verbose=0)
    best = weft.models.load_model(path)
    model.load_weights(path)
    np.testing.assert_array_equal(model(X), best(X))
    assert best.compiled


def test_saving_does_not_fix_what_is_trained(tmp_path):
    model = compiled(weft.Sequential([layers.Dense(4), layers.Dense(3)]))
    model.build((None, 8))
    model.save(tmp_path / "m")
    model.layers[0].trainable = False  # before the first step, so that it counts
    before = model.layers[0].get_weights()[0]
    train(model)
    np.testing.assert_array_equal(before, model.layers[0].get_weights()[0])
