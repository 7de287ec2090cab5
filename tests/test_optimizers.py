"""Every update rule and option against a float64 reference over several steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

import weft
from weft import optimizers
from weft.optimizers import schedules

STEPS = 6
RNG = np.random.default_rng(3)
X = RNG.normal(size=(7, 5))
Y = RNG.normal(size=(7, 3))
KERNEL = RNG.normal(size=(5, 3)) * 0.5
BIAS = RNG.normal(size=3) * 0.5


def gradients(kernel, bias):
    """Of mean((X @ kernel + bias - Y)**2)."""
    error = 2 * (X @ kernel + bias - Y) / Y.size
    return [X.T @ error, error.sum(axis=0)]


class Reference:
    """Keras's optimizers, written out in float64."""

    def __init__(self, kind, **options):
        self.kind, self.o = kind, options
        self.state = [{}, {}]

    def clip(self, grads):
        o = self.o
        if o.get("clipnorm"):
            return [g * min(1, o["clipnorm"] / max(np.linalg.norm(g), 1e-30)) for g in grads]
        if o.get("global_clipnorm"):
            norm = math.sqrt(sum((g**2).sum() for g in grads))
            return [g * min(1, o["global_clipnorm"] / norm) for g in grads]
        if o.get("clipvalue"):
            return [np.clip(g, -o["clipvalue"], o["clipvalue"]) for g in grads]
        return grads

    def step(self, weights, t):
        o = self.o
        rate = o["learning_rate"]
        lr = rate(t) if callable(rate) else rate
        grads = self.clip(gradients(*weights))
        result = []
        for w, g, s in zip(weights, grads, self.state, strict=True):
            if o.get("weight_decay"):
                w = w - lr * o["weight_decay"] * w
            result.append(w + getattr(self, self.kind)(g, s, lr, t))
        return result

    def sgd(self, g, s, lr, t):
        mu = self.o.get("momentum", 0)
        if mu == 0:
            return -lr * g
        s["m"] = mu * s.get("m", 0) - lr * g
        return mu * s["m"] - lr * g if self.o.get("nesterov") else s["m"]

    def rmsprop(self, g, s, lr, t):
        rho, mu = self.o.get("rho", 0.9), self.o.get("momentum", 0)
        s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
        denominator = s["v"]
        if self.o.get("centered"):
            s["a"] = rho * s.get("a", 0) + (1 - rho) * g
            denominator = denominator - s["a"] ** 2
        step = lr * g / np.sqrt(denominator + self.o.get("epsilon", 1e-7))
        if mu:
            s["m"] = step = mu * s.get("m", 0) + step
        return -step

    def adam(self, g, s, lr, t):
        b1, b2 = self.o.get("beta_1", 0.9), self.o.get("beta_2", 0.999)
        s["m"] = s.get("m", 0) + (1 - b1) * (g - s.get("m", 0))
        s["v"] = s.get("v", 0) + (1 - b2) * (g**2 - s.get("v", 0))
        v = s["v"]
        if self.o.get("amsgrad"):
            s["h"] = v = np.maximum(s.get("h", 0), v)
        alpha = lr * math.sqrt(1 - b2 ** (t + 1)) / (1 - b1 ** (t + 1))
        return -alpha * s["m"] / (np.sqrt(v) + self.o.get("epsilon", 1e-7))

    def adagrad(self, g, s, lr, t):
        s["a"] = s.get("a", self.o.get("initial_accumulator_value", 0.1)) + g**2
        return -lr * g / np.sqrt(s["a"] + self.o.get("epsilon", 1e-7))


CLASSES = {
    "sgd": optimizers.SGD,
    "rmsprop": optimizers.RMSprop,
    "adam": optimizers.Adam,
    "adagrad": optimizers.Adagrad,
}
OWN_OPTIONS = {
    "sgd": [{}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}],
    "rmsprop": [
        {},
        {"rho": 0.7, "epsilon": 1e-3},
        {"momentum": 0.5},
        {"centered": True, "epsilon": 1e-3},
        {"centered": True, "momentum": 0.5, "epsilon": 1e-3},
    ],
    "adam": [{}, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}, {"amsgrad": True, "beta_2": 0.5}],
    "adagrad": [{}, {"initial_accumulator_value": 0.5, "epsilon": 1e-2}],
}
SHARED_OPTIONS = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.2},
    {"clipvalue": 0.05},
    {"global_clipnorm": 0.2},
    {"global_clipnorm": 100.0, "weight_decay": 0.01},
    {"learning_rate": schedules.ExponentialDecay(0.1, 2, 0.5)},
]
CASES = [(kind, own) for kind, several in OWN_OPTIONS.items() for own in several]
CASES += [
    (kind, {**several[-1], **shared})
    for kind, several in OWN_OPTIONS.items()
    for shared in SHARED_OPTIONS
]


def linear_model(optimizer, fuse=True):
    model = weft.Sequential([weft.Input((5,)), weft.layers.Dense(3)])
    model.set_weights([KERNEL, BIAS])
    model.compile(optimizer, "mse", fuse=fuse)
    return model


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(("kind", "options"), CASES, ids=lambda v: str(v))
def test_rule_matches_reference(kind, options, fuse):
    options = {"learning_rate": 0.05, **options}
    model = linear_model(CLASSES[kind](**options), fuse)
    reference = Reference(kind, **options)
    weights = [KERNEL, BIAS]
    for step in range(STEPS):
        weights = reference.step(weights, step)
        model.fit(X, Y, batch_size=len(X), epochs=1, shuffle=False, verbose=0)
        for got, wanted in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)
    assert model.optimizer.iterations == STEPS


def test_adamw_is_adam_with_decay_of_0_004():
    model = linear_model(optimizers.AdamW(0.05))
    reference = Reference("adam", learning_rate=0.05, weight_decay=0.004)
    weights = [KERNEL, BIAS]
    for step in range(STEPS):
        weights = reference.step(weights, step)
    model.fit(X, Y, batch_size=len(X), epochs=STEPS, verbose=0, shuffle=False)
    np.testing.assert_allclose(model.get_weights()[0], weights[0], rtol=2e-5, atol=2e-6)


def test_defaults_are_those_of_keras():
    assert float(optimizers.SGD().learning_rate) == 0.01
    for cls in (optimizers.RMSprop, optimizers.Adam, optimizers.AdamW, optimizers.Adagrad):
        assert float(cls().learning_rate) == 0.001
    assert optimizers.AdamW().weight_decay == 0.004
    assert optimizers.RMSprop().get_config()["rho"] == 0.9
    assert optimizers.Adam().get_config()["epsilon"] == 1e-7


def test_weight_decay_spares_excluded_variables():
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = linear_model(optimizer)
    model.train_on_batch(X, Y)
    grad_kernel, grad_bias = gradients(KERNEL, BIAS)
    np.testing.assert_allclose(
        model.get_weights()[0], KERNEL * (1 - 0.05) - 0.1 * grad_kernel, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(model.get_weights()[1], BIAS - 0.1 * grad_bias, rtol=1e-5, atol=1e-6)


def test_zero_gradient_survives_clipping_by_norm():
    model = linear_model(optimizers.SGD(0.1, clipnorm=1.0))
    model.train_on_batch(X, model.predict(X, verbose=0))
    np.testing.assert_allclose(model.get_weights()[0], KERNEL, atol=1e-6)


def test_learning_rate_can_be_set_at_any_time():
    model = linear_model(optimizers.SGD(0.1))
    model.train_on_batch(X, Y)
    before = model.get_weights()
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(X, Y)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    model.optimizer.learning_rate.assign(0.25)
    assert float(model.optimizer.lr) == 0.25
    weft.backend.set_value(model.optimizer.lr, 0.5)
    assert weft.backend.get_value(model.optimizer.learning_rate) == np.float32(0.5)
    model.optimizer.learning_rate = schedules.InverseTimeDecay(1.0, 1, 1.0)
    assert float(model.optimizer.learning_rate) == pytest.approx(1 / 3)  # after two updates


def test_one_optimizer_keeps_its_count_when_compiled_again():
    optimizer = optimizers.Adam(0.05)
    model = linear_model(optimizer)
    model.train_on_batch(X, Y)
    model.compile(optimizer, "mse")
    model.train_on_batch(X, Y)
    reference = Reference("adam", learning_rate=0.05)
    weights = [KERNEL, BIAS]
    for step in range(2):
        weights = reference.step(weights, step)
    np.testing.assert_allclose(model.get_weights()[0], weights[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (schedules.ExponentialDecay(1.0, 2, 0.25), {0: 1, 1: 0.5, 2: 0.25, 4: 0.0625}),
        (schedules.ExponentialDecay(1.0, 2, 0.25, staircase=True), {0: 1, 1: 1, 2: 0.25, 3: 0.25}),
        (schedules.InverseTimeDecay(1.0, 2, 1.0), {0: 1, 2: 0.5, 6: 0.25}),
        (schedules.PiecewiseConstantDecay([2, 5], [3, 2, 1]), {0: 3, 2: 3, 3: 2, 5: 2, 6: 1}),
        (schedules.PolynomialDecay(1.0, 10, 0.0), {0: 1, 5: 0.5, 10: 0, 20: 0}),
        (schedules.PolynomialDecay(1.0, 10, 0.0, cycle=True), {5: 0.5, 15: 0.25}),
        (schedules.CosineDecay(1.0, 10), {0: 1, 5: 0.5, 10: 0, 99: 0}),
        (schedules.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4), {0: 0, 2: 0.5, 4: 1}),
    ],
)
def test_schedules(schedule, values):
    for step, value in values.items():
        assert schedule(step) == pytest.approx(value, abs=1e-12)
    again = schedules.deserialize(schedules.serialize(schedule))
    assert [again(step) for step in range(9)] == [schedule(step) for step in range(9)]


def test_configs_make_equal_optimizers():
    for optimizer in (
        optimizers.SGD(schedules.CosineDecay(0.1, 5), momentum=0.9, nesterov=True, clipnorm=1.0),
        optimizers.RMSprop(0.01, rho=0.8, centered=True),
        optimizers.AdamW(0.01, weight_decay=0.1),
        optimizers.Adagrad(0.1, 0.2),
    ):
        again = optimizers.deserialize(optimizers.serialize(optimizer))
        assert type(again) is type(optimizer)
        assert again.get_config() == optimizer.get_config()
    assert isinstance(optimizers.get("ADAM"), optimizers.Adam)
    assert isinstance(optimizers.get(optimizers.SGD), optimizers.SGD)


def test_spellings_of_keras_2():
    with pytest.warns(DeprecationWarning, match="learning_rate"):
        assert float(optimizers.SGD(lr=0.3).learning_rate) == 0.3
    with pytest.warns(DeprecationWarning, match="InverseTimeDecay"):
        optimizer = optimizers.SGD(0.1, decay=0.5)
    optimizer._iterations = 2
    assert float(optimizer.learning_rate) == 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.SGD(-1), "SGD expects learning_rate"),
        (lambda: optimizers.SGD("fast"), "SGD expects learning_rate"),
        (lambda: optimizers.SGD(0.1, momentum=1.5), "SGD expects momentum to be a number from 0"),
        (lambda: optimizers.Adam(beta_1=1.0), "Adam expects beta_1"),
        (lambda: optimizers.AdamW(weight_decay=None), "AdamW expects weight_decay"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), "at most one kind of clipping"),
        (lambda: optimizers.Adam(use_ema=True), "does not support use_ema"),
        (lambda: optimizers.Adam(beta1=0.9), "Adam has no argument 'beta1'"),
        (lambda: optimizers.get("adm"), "did you mean 'adam'"),
        (lambda: optimizers.get(3), "expects a name or an optimizer"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps above 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1]), "expects 2 values for 1"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
