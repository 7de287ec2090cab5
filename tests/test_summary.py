"""The table of summary() and that of describe_plan()."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import layers
from weft.models.summary import _column_widths

COURSE_NET = """Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ flatten (Flatten)               │ (None, 784)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 512)            │       401,920 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dropout (Dropout)               │ (None, 512)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │         5,130 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 407,050 (1.55 MB)
 Trainable params: 407,050 (1.55 MB)
 Non-trainable params: 0 (0.00 B)
"""


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    weft.backend.clear_session()
    return weft.Sequential(
        [
            weft.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def test_is_the_table_of_keras(model, capsys):
    model.summary()
    assert capsys.readouterr().out == COURSE_NET


def test_counts_weights_only_also_after_fit(model, capsys):
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 28, 28)), np.zeros(4, int), verbose=0)
    model.summary()
    assert capsys.readouterr().out == COURSE_NET


def test_print_fn_takes_the_text(model):
    texts = []
    model.summary(print_fn=texts.append)
    assert "\n".join(texts) + "\n" == COURSE_NET


# Widths that the rich library gives Keras's columns in tables of these widths.
@pytest.mark.parametrize(
    ("width", "widths"), [(76, [33, 24, 15]), (88, [38, 29, 17]), (60, [26, 19, 11])]
)
def test_columns_are_as_wide_as_in_keras(width, widths):
    assert _column_widths(width, [0.45, 0.80, 1.0]) == widths
    assert sum(widths) + 4 == width


def test_unbuilt_layers_and_frozen_ones(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    texts = []
    deferred = weft.Sequential([layers.Dense(3, name="later")])
    deferred.summary(print_fn=texts.append)
    line = next(line for line in texts[-1].splitlines() if "later" in line)
    assert "? " in line
    assert "0 (unbuilt)" in line
    frozen = weft.Sequential([weft.Input((2,)), layers.Dense(3, name="ice"), layers.Dense(1)])
    frozen.layers[0].trainable = False
    frozen.summary(print_fn=texts.append, show_trainable=True)
    line = next(line for line in texts[-1].splitlines() if "ice" in line)
    assert line.split("│")[4].strip() == "N"
    assert " Trainable params: 4 (16.00 B)" in texts[-1]
    assert " Non-trainable params: 9 (36.00 B)" in texts[-1]


def test_nested_layers_and_long_names(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    inner = weft.Sequential([weft.Input((2,)), layers.Dense(3, name="within")], name="inner")
    name = "a_layer_with_a_rather_long_name"
    model = weft.Sequential([weft.Input((2,)), inner, layers.Dense(1, name=name)])
    texts = []
    model.summary(print_fn=texts.append, expand_nested=True)
    lines = texts[0].splitlines()
    assert len({len(line) for line in lines[1:-3]}) == 1  # the box is straight
    assert any("   └ within" in line for line in lines)
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert cells[-2:] == ["a_layer_with_a_rather…", "(Dense)"]  # as Keras cuts it
    with pytest.raises(ValueError, match="did you mean 'inner'"):
        model.summary(layer_range=("iner", "inner"))


def test_describe_plan_lists_kernel_calls(model):
    texts = []
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.describe_plan(batch_size=50, print_fn=texts.append)
    model.describe_plan(batch_size=50, fuse=False, print_fn=texts.append)
    model.describe_plan(batch_size=50, mode="predict", print_fn=texts.append)
    fused, unfused, predict = [text.splitlines() for text in texts]
    assert len(predict) < len(fused) < len(unfused)
    assert any("dense+relu" in line and "(50, 512)" in line for line in fused)
    assert not any("grad" in line for line in predict)
    assert model.fuse is True


def test_describe_plan_says_what_is_missing(model):
    with pytest.raises(ValueError, match="needs a compiled model"):
        model.describe_plan()
    with pytest.raises(ValueError, match="expects mode 'train', 'test' or 'predict'"):
        model.describe_plan(mode="fit")
    with pytest.raises(ValueError, match="batch_size to be an integer of at least 1"):
        model.describe_plan(batch_size=0)
    with pytest.raises(ValueError, match="has no plan yet"):
        weft.Sequential([layers.Dense(3)]).describe_plan()
