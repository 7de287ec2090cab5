"""Models that cannot be saved or copied, and files that cannot be loaded: one clear sentence."""

from __future__ import annotations

import copy
import pickle

import pytest
from kept_models import LABELS, Scale, X, compiled, make_model, train

import weft
from weft import layers
from weft.saving import load_file, read_header, save_file


def test_what_copies_cannot_tell(tmp_path):
    class Dense(layers.Dense):
        pass

    shared = layers.Dense(8)
    pair = [weft.Sequential([shared]), weft.Sequential([shared, layers.Dense(3)])]
    for stack, message in (
        (pair, "Dense 'dense.*' occurs twice in the model"),
        ([Dense(4), layers.Dense(3)], "two things are called 'Dense'; rename yours"),
        ([Scale(2.0)], "Scale has the argument 'factor', of which its get_config does not tell"),
    ):
        model = weft.Sequential([weft.Input((8,)), *stack])
        for action in (lambda m: m.save(tmp_path / "m"), copy.deepcopy, pickle.dumps):
            with pytest.raises(ValueError, match=message):
                action(model)


def test_checkpoints_of_what_cannot_be_saved_whole(tmp_path):
    model = weft.Sequential([weft.Input((8,)), layers.Dense(3, activation=lambda x: x)])
    checkpoint = weft.callbacks.ModelCheckpoint(tmp_path / "m")
    with pytest.warns(UserWarning, match="weights of .* alone.*function without a name"):
        compiled(model).fit(X, LABELS, callbacks=[checkpoint], verbose=0)
    model.load_weights(tmp_path / "m")


def test_what_cannot_be_saved(tmp_path):
    class Own(weft.Model):
        def call(self, inputs):
            return inputs

    for action in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="Own 'mine' is no Sequential and cannot be copied"):
            action(Own(name="mine"))
    path = tmp_path / "m"
    cases = [
        (weft.Sequential([layers.Dense(1)]), "has no weights to save: build it"),
        (Own(name="mine"), "save describes Sequential models; of Own 'mine' call save_weights"),
        (
            weft.Sequential([weft.Input((8,)), layers.Dense(1, activation=lambda x: x)]),
            "uses a function without a name of its own",
        ),
    ]
    scheduled = weft.Sequential([weft.Input((8,)), layers.Dense(1)])
    scheduled.compile(weft.optimizers.SGD(lambda: 0.1), "mse")
    cases.append((scheduled, "learning rate is a function"))
    for model, message in cases:
        with pytest.raises(ValueError, match=message):
            model.save(path)
        assert not path.exists()
    make_model().save(path)
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        make_model().save(path, overwrite=False)


def test_files_of_other_kinds(tmp_path):
    path = tmp_path / "m"
    model = make_model()
    model.save_weights(path)
    with pytest.raises(ValueError, match="holds tensors but no model"):
        weft.models.load_model(path)
    for begin, message in ((b"PK\x03\x04", "a zip archive, as Keras"), (b"\x89HDF", "an HDF5")):
        path.write_bytes(begin + b"\0" * 100)
        for load in (weft.models.load_model, model.load_weights):
            with pytest.raises(ValueError, match=message):
                load(path)
    with pytest.raises(FileNotFoundError):
        weft.models.load_model(tmp_path / "none")


def test_damaged_files(tmp_path):
    model = make_model("momentum")
    train(model)
    whole, broken = tmp_path / "m", tmp_path / "b"
    model.save(whole)
    tensors, texts = load_file(whole), read_header(whole).metadata

    def check(tensors, texts, message):
        save_file(tensors, broken, texts)
        with pytest.raises(ValueError, match=message):
            weft.models.load_model(broken)

    check(tensors, {**texts, "model": "{"}, "damaged: its header is no JSON")
    check(tensors, {**texts, "compile": "no"}, "damaged: its header is no JSON")
    check(tensors, {**texts, "model": "[" * 100_000}, "no model that weft can make: Recursion")
    check(tensors, {key: texts[key] for key in ("format",)}, "no model that weft can make: KeyErr")
    for good, bad in (
        ('"iterations": 8', '"iterations": Infinity'),
        ('"iterations": 8', '"iterations": -1'),
        ('"random": [', '"random": [-1, '),
        ('"random": [', '"random": [1, '),
    ):
        assert good in texts["compile"]
        check(
            tensors, {**texts, "compile": texts["compile"].replace(good, bad)}, "cannot be loaded"
        )
    check(
        tensors, {**texts, "model": '{"class_name": "Sequential"}'}, "no model that weft can make"
    )
    check(tensors, {**texts, "compile": "[]"}, "no model that weft can make")
    for name, message in (
        ("weights/dense/kernel", "'dense/kernel' of shape .8, 16., which .* does not hold"),
        ("optimizer/dense/kernel/momentum", "b lacks slots of the optimizer"),
    ):
        check({key: value for key, value in tensors.items() if key != name}, texts, message)
        check({**tensors, name: tensors[name][:1]}, texts, r"kernel.*shape .8, 16., got")
    whole.write_bytes(whole.read_bytes()[:-10])
    with pytest.raises(ValueError, match="m"):
        weft.models.load_model(whole)
