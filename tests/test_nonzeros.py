"""Dense layers leave out the zeros of their input: which ones, and that no bit depends on it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from case import Case, Input
from elsewhere import values_by_isa
from native import OpPlan

import weft
from weft import layers

pytestmark = pytest.mark.cpu  # GPUs multiply with every zero


def matrix(m, k, density, seed=0):
    """Normal numbers, of which a share of `density` is not 0; one row and one column are all 0."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((m, k)) < density, rng.standard_normal((m, k)), 0).astype(np.float32)
    x[m // 2] = 0
    x[:, k // 3] = 0
    return x


def kernels(stack, shape, batch_size, capsys, **options):
    model = weft.Sequential([weft.Input(shape), *stack, layers.Dense(2)])
    model.compile("sgd", "mse", **options)
    model.describe_plan(batch_size=batch_size)
    return [line.split()[2] for line in capsys.readouterr().out.splitlines()[2:]]


@pytest.mark.parametrize(
    ("stack", "shape", "finders"),
    [
        ([layers.Dense(49)], (64,), 1),
        ([layers.Dense(48)], (64,), 0),  # too few units
        ([layers.Dense(49)], (63,), 0),  # too few features
        ([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(64)], (8, 9), 1),
        ([layers.Dense(64, "relu"), layers.Dense(64)], (64,), 2),
        ([layers.Dense(64, "tanh"), layers.Dense(64)], (64,), 1),
        ([layers.Dense(64, "tanh"), layers.Dropout(0.5), layers.Dense(64)], (64,), 2),
        ([layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(32)], (32,), 0),
        ([layers.Conv2D(9, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
          layers.Dense(49)], (14, 14, 1), 1),
        ([layers.Conv2D(9, 3), layers.Flatten(), layers.Dense(49)], (14, 14, 1), 0),
    ],
)  # fmt: skip
def test_which_layers(stack, shape, finders, capsys):
    assert kernels(stack, shape, 8, capsys).count("find_nonzeros") == finders
    assert kernels(stack, shape, 8, capsys, fuse=False).count("find_nonzeros") == 0


@pytest.mark.parametrize(
    ("batch_size", "units", "transposed"), [(64, 400, 1), (63, 400, 0), (64, 399, 0)]
)
def test_which_kernel_gradients_get_columns(batch_size, units, transposed, capsys):
    names = kernels([layers.Dense(units)], (64,), batch_size, capsys)
    # That of the layer behind it is of the gradient that comes back.
    assert names.count("transpose_rows") == 1 + transposed


SIZES = [(1, 64, 49), (2, 65, 64), (31, 100, 50), (32, 784, 113), (33, 80, 112), (50, 784, 200),
         (64, 127, 97), (65, 128, 260), (130, 191, 81), (257, 70, 49), (64, 80, 400),
         (97, 130, 650), (200, 66, 460)]  # fmt: skip


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
@pytest.mark.parametrize("density", [0.0, 0.2, 0.35])
def test_products_equal_those_of_fewer_units(m, k, n, density):
    """Up to 48 units nothing is left out: the same columns have to come out, to the bit."""
    x, rng = matrix(m, k, density), np.random.default_rng(1)
    w = rng.standard_normal((k, n)).astype(np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    dy = rng.standard_normal((m, n)).astype(np.float32)

    def products(first, last):
        arrays = [x, np.ascontiguousarray(w[:, first:last]), bias[first:last]]
        case = Case("dense", tuple(Input(a.shape) for a in arrays), differentiable=(1, 2))
        return [
            OpPlan(case, arrays).run()[0],
            OpPlan(case, arrays, cotangent=np.ascontiguousarray(dy[:, first:last])).run()[0],
        ]

    y, grad = products(0, n)
    np.testing.assert_allclose(y, x.astype(float) @ w + bias, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(grad, x.astype(float).T @ dy, rtol=1e-4, atol=1e-4)
    for first in range(0, n, 48):
        narrow = products(first, min(n, first + 48))
        np.testing.assert_array_equal(y[:, first : first + 48], narrow[0])
        np.testing.assert_array_equal(grad[:, first : first + 48], narrow[1])


OPTIMIZERS = {
    "sgd": {}, "momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True},
    "clipped": {"clipvalue": 1e-3}, "scaled": {"global_clipnorm": 0.1},
    "decayed": {"weight_decay": 0.1},
    "adam": {}, "adamw": {}, "rmsprop": {}, "adagrad": {},
}  # fmt: skip


def optimizer(name):
    kind = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
    return getattr(weft.optimizers, kind.get(name, "SGD"))(0.01, **OPTIMIZERS[name])


def train(name, fuse=True, threads=0, batch_size=32, density=0.3):
    x = matrix(150, 130, density)
    y = np.random.default_rng(3).integers(0, 10, len(x))
    weft.config.set_num_threads(threads)
    weft.utils.set_random_seed(4)
    few = weft.initializers.Constant(-0.4)  # relu leaves a quarter, and lets as little back
    model = weft.Sequential(
        [
            weft.Input((130,)),
            layers.Dense(121, "relu", kernel_regularizer="l2", bias_initializer=few),
            layers.Dropout(0.4),
            layers.Dense(70, "gelu"),
            layers.Dropout(0.7),
            layers.Dense(65, "relu", use_bias=False),
            layers.Dense(80, "relu", bias_initializer=weft.initializers.Constant(-0.05)),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(optimizer(name), "sparse_categorical_crossentropy", fuse=fuse)
    model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0)
    weft.config.set_num_threads(0)
    return model, x


@pytest.mark.parametrize("batch_size", [32, 150])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_training_is_that_of_the_plain_plan(name, batch_size):
    sparse, x = train(name, batch_size=batch_size)
    plain, _ = train(name, fuse=False, batch_size=batch_size)
    for a, b in zip(sparse.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(
        sparse.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=1e-3, atol=1e-5
    )


def train_wide(name, batch_size=75, fuse=True, threads=0):
    """Layers whose kernels' gradients read the input by columns (64 rows, 400 units)."""
    x = matrix(150, 70, 0.3)
    y = np.random.default_rng(3).integers(0, 10, len(x))
    weft.config.set_num_threads(threads)
    weft.utils.set_random_seed(4)
    few = weft.initializers.Constant(-0.2)
    stack = [layers.Dense(410, "relu", bias_initializer=few), layers.Dense(650, "relu")]
    model = weft.Sequential([weft.Input((70,)), *stack, layers.Dense(10, "softmax")])
    model.compile(optimizer(name), "sparse_categorical_crossentropy", fuse=fuse)
    model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0)
    weft.config.set_num_threads(0)
    return model.get_weights()


@pytest.mark.parametrize(
    ("name", "batch_size"), [("sgd", 64), ("sgd", 140), *((name, 75) for name in OPTIMIZERS)]
)
def test_training_wide_layers_is_that_of_the_plain_plan(name, batch_size):
    plain = train_wide(name, batch_size, fuse=False)
    for a, b in zip(train_wide(name, batch_size), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def digest_wide(threads=0):
    weights = train_wide("nesterov", threads=threads)
    return hashlib.sha256(b"".join(a.tobytes() for a in weights)).hexdigest()


def digest(name="nesterov", threads=0):
    model, x = train(name, threads=threads)
    arrays = [*model.get_weights(), model.predict(x, verbose=0)]
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


@pytest.mark.parametrize("name", ["nesterov", "adam", "clipped"])
def test_threads_do_not_change_a_bit(name):
    assert digest(name, 1) == digest(name, 2) == digest(name, 3)


def test_threads_do_not_change_a_bit_of_wide_layers():
    assert digest_wide(1) == digest_wide(2) == digest_wide(5)


def test_instruction_sets_agree():
    assert len(values_by_isa("test_nonzeros.digest()")) == 1
    assert len(values_by_isa("test_nonzeros.digest('adam')")) == 1
    assert len(values_by_isa("test_nonzeros.digest_wide()")) == 1


def test_a_row_gives_the_same_bits_in_any_batch():
    model = weft.Sequential([weft.Input((100,)), layers.Dense(90, "tanh"), layers.Dense(60)])
    x = matrix(70, 100, 0.3)
    x[35:] = np.random.default_rng(5).standard_normal(
        (35, 100)
    )  # a batch of these leaves nothing out
    whole = model.predict(x, batch_size=70, verbose=0)
    for size in (1, 7, 35):
        np.testing.assert_array_equal(model.predict(x, batch_size=size, verbose=0), whole)


def test_nan_in_a_weight_reaches_what_multiplies_with_it():
    x = matrix(40, 100, 0.1)
    model = weft.Sequential([weft.Input((100,)), layers.Dense(64)])
    clean = model.predict(x, verbose=0)
    kernel, bias = model.get_weights()
    kernel[7, 3] = np.nan
    model.set_weights([kernel, bias])
    y = model.predict(x, verbose=0)
    reached = np.zeros(y.shape, bool)
    reached[:, 3] = x[:, 7] != 0
    assert 0 < reached.sum() < len(x)
    np.testing.assert_array_equal(np.isnan(y), reached)
    np.testing.assert_array_equal(y[~reached], clean[~reached])


def test_nan_in_a_row_is_not_a_zero():
    x, w = matrix(40, 100, 0.1), np.ones((100, 64), np.float32)
    x[3, 5] = np.nan
    y = OpPlan(Case("dense", (Input(x.shape), Input(w.shape))), [x, w]).run()[0]
    np.testing.assert_array_equal(np.isnan(y).all(axis=1), np.arange(40) == 3)
    np.testing.assert_array_equal(np.isnan(y).any(axis=1), np.arange(40) == 3)
