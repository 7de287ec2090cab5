"""save_weights and load_weights: round trips, names, and files that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import layers
from weft.saving import load_file, save_file

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def make_model(units=5):
    return weft.Sequential(
        [
            weft.Input((4,)),
            layers.Dense(units, activation="relu"),
            weft.Sequential([layers.Dense(3), layers.Dense(3)]),
            layers.Dense(2),
        ]
    )


def test_round_trip(tmp_path):
    model, other = make_model(), make_model()
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    assert not np.array_equal(model(X), other(X))
    other.load_weights(path)  # though its layers have other names
    np.testing.assert_array_equal(model(X), other(X))
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_are_classes_and_positions(tmp_path):
    make_model().save_weights(str(tmp_path / "w.safetensors"))
    tensors = load_file(tmp_path / "w.safetensors")
    assert sorted(tensors) == [
        "dense/bias",
        "dense/kernel",
        "dense_1/bias",
        "dense_1/kernel",
        "sequential/dense/bias",
        "sequential/dense/kernel",
        "sequential/dense_1/bias",
        "sequential/dense_1/kernel",
    ]
    assert tensors["dense/kernel"].shape == (4, 5)
    assert tensors["dense/kernel"].dtype == np.float32


def test_files_of_other_programs(tmp_path):
    model = make_model()
    tensors = {}
    model.save_weights(tmp_path / "w")
    for name, array in load_file(tmp_path / "w").items():
        tensors[name] = (array * 0 + 0.5).astype(np.float64)
    save_file(tensors, tmp_path / "other")
    model.load_weights(tmp_path / "other")
    assert all((weights == 0.5).all() for weights in model.get_weights())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("dense_1/kernel"), "expects 'dense_1/kernel' of shape (3, 2), which"),
        (
            lambda t: t.update({"dense/kernel": np.zeros((4, 6))}),
            "of shape (4, 5), got shape (4, 6)",
        ),
        (lambda t: t.update({"more/kernel": np.zeros(3)}), "holds 'more/kernel', which Sequential"),
    ],
)
def test_files_that_do_not_fit_change_nothing(tmp_path, change, message):
    model = make_model()
    model.save_weights(tmp_path / "w")
    tensors = {name: array + 1 for name, array in load_file(tmp_path / "w").items()}
    change(tensors)
    save_file(tensors, tmp_path / "w")
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"expects|holds") as caught:
        model.load_weights(tmp_path / "w")
    assert message in str(caught.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.load_weights(tmp_path / "w", skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[1], before[1] + 1)


def test_damaged_and_missing_files(tmp_path):
    model = make_model()
    model.save_weights(tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(data[:-8])
    before = model(X)
    with pytest.raises(ValueError, match="no valid safetensors file"):
        model.load_weights(tmp_path / "w")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "nowhere")
    np.testing.assert_array_equal(model(X), before)


def test_overwriting_and_unbuilt_models(tmp_path):
    model = make_model()
    model.save_weights(tmp_path / "w")
    with pytest.raises(FileExistsError, match="exists already"):
        model.save_weights(tmp_path / "w", overwrite=False)
    unbuilt = weft.Sequential([layers.Dense(3)])
    with pytest.raises(ValueError, match="no weights to save"):
        unbuilt.save_weights(tmp_path / "v")
    with pytest.raises(ValueError, match="no weights to load into"):
        unbuilt.load_weights(tmp_path / "w")


def test_training_goes_on_from_loaded_weights(tmp_path):
    model, other = make_model(), make_model()
    y = X[:, :2]
    for each in (model, other):
        each.compile(weft.optimizers.SGD(0.1), "mse")
        each.predict(X, verbose=0)
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    for each in (model, other):
        each.fit(X, y, shuffle=False, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
