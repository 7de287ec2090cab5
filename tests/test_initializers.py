"""First values of weights: their distributions, seeds and configurations."""

from __future__ import annotations

import numpy as np
import pytest

from weft import config, initializers

# Name, deviation and limits of a (300, 200) matrix, from Keras 3's definitions.
DISTRIBUTIONS = [
    ("glorot_uniform", np.sqrt(6 / 500) / np.sqrt(3), np.sqrt(6 / 500)),
    ("glorot_normal", np.sqrt(2 / 500), 2 * np.sqrt(2 / 500) / 0.8796256610342398),
    ("he_uniform", np.sqrt(6 / 300) / np.sqrt(3), np.sqrt(6 / 300)),
    ("he_normal", np.sqrt(2 / 300), 2 * np.sqrt(2 / 300) / 0.8796256610342398),
    ("lecun_uniform", np.sqrt(3 / 300) / np.sqrt(3), np.sqrt(3 / 300)),
    ("lecun_normal", np.sqrt(1 / 300), 2 * np.sqrt(1 / 300) / 0.8796256610342398),
    ("variance_scaling", np.sqrt(1 / 300), 2 * np.sqrt(1 / 300) / 0.8796256610342398),
    ("random_normal", 0.05, 1.0),
    ("truncated_normal", 0.05 * 0.8796256610342398, 0.1),
    ("random_uniform", 0.05 / np.sqrt(3), 0.05),
]


@pytest.mark.parametrize(("name", "deviation", "limit"), DISTRIBUTIONS)
def test_distributions(name, deviation, limit):
    value = initializers.get(name)((300, 200))
    assert value.shape == (300, 200)
    assert value.dtype == np.float32
    assert value.std() == pytest.approx(deviation, rel=0.02)
    assert abs(value.mean()) < 4 * deviation / np.sqrt(value.size)
    assert np.abs(value).max() <= limit * (1 + 1e-6)
    if limit < 1:
        assert np.abs(value).max() > 0.99 * limit


def test_constants():
    np.testing.assert_array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.Ones()((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(2.5)((2,)), [2.5, 2.5])
    np.testing.assert_array_equal(initializers.Constant([1, 2])((3, 2)), [[1, 2]] * 3)
    np.testing.assert_array_equal(initializers.Identity(3)((2, 3)), 3 * np.eye(2, 3))


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (2, 3, 4), (16, 16)])
def test_orthogonal(shape):
    value = initializers.Orthogonal(gain=2.0, seed=1)(shape).reshape(-1, shape[-1])
    small = value if value.shape[0] < value.shape[1] else value.T
    np.testing.assert_allclose(small @ small.T, 4 * np.eye(len(small)), atol=1e-5)


def test_fans_of_convolution_kernels():
    assert initializers.compute_fans((3, 3, 16, 32)) == (144, 288)
    assert initializers.compute_fans((5,)) == (5, 5)
    assert initializers.compute_fans(()) == (1, 1)


def test_seeds():
    config._set_seed(3)
    first, second = initializers.GlorotUniform(), initializers.GlorotUniform()
    config._set_seed(3)
    again = initializers.GlorotUniform()
    shape = (4, 5)
    np.testing.assert_array_equal(first(shape), first(shape))  # as in Keras 3
    np.testing.assert_array_equal(first(shape), again(shape))
    assert not np.array_equal(first(shape), second(shape))
    given = initializers.HeNormal(seed=7)
    np.testing.assert_array_equal(given(shape), initializers.HeNormal(7)(shape))


def test_golden_values():
    """Weights of a seed must not change from one version to the next."""
    value = initializers.GlorotUniform(seed=1)((2, 2))
    np.testing.assert_allclose(value, [[0.02895695, 1.1034062], [-0.8716274, 1.0989622]], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(initializers._TABLE))
def test_configurations(name):
    made = initializers.get(name)
    config = initializers.serialize(made)
    again = initializers.deserialize(config)
    assert type(again) is type(made)
    assert initializers.serialize(again) == config
    if "seed" in config["config"]:
        seeded = initializers.deserialize({**config, "config": {**config["config"], "seed": 11}})
        np.testing.assert_array_equal(seeded((3, 4)), seeded.clone()((3, 4)))


def test_callables_and_errors():
    def mine(shape, dtype=None):
        return np.full(shape, 7.0)

    assert initializers.get(mine) is mine
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    np.testing.assert_array_equal(initializers.get(0.5)((2,)), [0.5, 0.5])
    with pytest.raises(ValueError, match="'glorot_uniformm'; did you mean 'glorot_uniform'"):
        initializers.get("glorot_uniformm")
    with pytest.raises(ValueError, match="got None"):
        initializers.get(None)
    with pytest.raises(ValueError, match="scale"):
        initializers.VarianceScaling(scale=0.0)
    with pytest.raises(ValueError, match="mode 'fan'"):
        initializers.VarianceScaling(mode="fan")
    message = r"Constant expects a value .* shape \(3, 2\), got an array of shape \(4,\)"
    with pytest.raises(ValueError, match=message):
        initializers.Constant(np.ones(4))((3, 2))
    with pytest.raises(ValueError, match="seed"):
        initializers.RandomNormal(seed="x")
