"""First values of weights, with Keras 3's definitions.

Random values come from a NumPy Generator with a seed of its own for each initializer: the one it
is given, or the next of the global stream (`weft.utils.set_random_seed`). As in Keras 3, one object
called twice with one shape gives the same values twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weft import _names, config
from weft.graph import Array

# The deviation of a standard normal that is cut off at 2 on both sides.
_TRUNCATED_DEVIATION = 0.87962566103423978


class Initializer:
    """Makes an array of a shape. Subclasses define `__call__(shape, dtype)`."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        return cls(**config)

    def clone(self) -> Initializer:
        return self.from_config(self.get_config())


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        return np.zeros(tuple(shape), np.float32)


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        return np.ones(tuple(shape), np.float32)


class Constant(Initializer):
    """All `value`, which may be an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        value = np.asarray(self.value, np.float32)
        try:
            return np.array(np.broadcast_to(value, tuple(shape)))
        except ValueError:
            raise ValueError(
                f"Constant expects a value that broadcasts to the weight's shape {tuple(shape)}, "
                f"got an array of shape {value.shape}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value.tolist() if isinstance(value, np.ndarray) else value}


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity expects the shape of a matrix, got {tuple(shape)}.")
        return self.gain * np.eye(*shape, dtype=np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """An initializer with a seed: an int, or None for the next of the global stream."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ValueError(f"An initializer expects a seed of at least 0, got {seed!r}.")
        self._given_seed = None if seed is None else int(seed)
        self.seed = config._next_seed() if seed is None else int(seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._given_seed}

    def _normal(self, shape: Sequence[int], mean: float, stddev: float) -> Array:
        rng = np.random.default_rng(self.seed)
        return (mean + stddev * rng.standard_normal(tuple(shape))).astype(np.float32)

    def _truncated_normal(self, shape: Sequence[int], mean: float, stddev: float) -> Array:
        rng = np.random.default_rng(self.seed)
        values = rng.standard_normal(math.prod(shape))
        while True:
            outside = np.flatnonzero(np.abs(values) > 2.0)
            if not outside.size:
                break
            values[outside] = rng.standard_normal(outside.size)
        return (mean + stddev * values.reshape(tuple(shape))).astype(np.float32)

    def _uniform(self, shape: Sequence[int], low: float, high: float) -> Array:
        rng = np.random.default_rng(self.seed)
        return (low + (high - low) * rng.random(tuple(shape))).astype(np.float32)


class RandomNormal(RandomInitializer):
    """Normal values."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        return self._normal(shape, self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normal values, drawn again where they lie more than two deviations from the mean."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        return self._truncated_normal(shape, self.mean, self.stddev)


class RandomUniform(RandomInitializer):
    """Values from `minval` to `maxval`."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        return self._uniform(shape, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class VarianceScaling(RandomInitializer):
    """Values whose variance is `scale` / n, n being the fan-in, the fan-out or their mean.

    Args:
        scale: A positive factor.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        seed: See `RandomInitializer`.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"VarianceScaling expects a positive scale, got {scale!r}.")
        _names.lookup("mode", mode, dict.fromkeys(("fan_in", "fan_out", "fan_avg")))
        distribution = distribution.lower()
        self.distribution = _names.lookup("distribution", distribution, _DISTRIBUTIONS)
        self.scale, self.mode = scale, mode
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        fan_in, fan_out = compute_fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._uniform(shape, -limit, limit)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, 0.0, math.sqrt(variance))
        return self._truncated_normal(shape, 0.0, math.sqrt(variance) / _TRUNCATED_DEVIATION)

    def get_config(self) -> dict[str, Any]:
        own = {"scale": self.scale, "mode": self.mode, "distribution": self.distribution}
        return {**own, **super().get_config()}


_DISTRIBUTIONS = {
    "normal": "truncated_normal",
    "truncated_normal": "truncated_normal",
    "untruncated_normal": "untruncated_normal",
    "uniform": "uniform",
}


class _Named(VarianceScaling):
    """VarianceScaling with fixed settings."""

    _settings: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._settings, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return RandomInitializer.get_config(self)


class GlorotUniform(_Named):
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""

    _settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""

    _settings = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform with variance 2 / fan_in (He et al., 2015)."""

    _settings = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal with variance 2 / fan_in (He et al., 2015)."""

    _settings = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform with variance 1 / fan_in (LeCun et al., 1998)."""

    _settings = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal with variance 1 / fan_in (LeCun et al., 1998)."""

    _settings = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A matrix with orthonormal rows or columns times `gain` (Saxe et al., 2013).

    Axes before the last one count as rows.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal expects at least two axes, got shape {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        rng = np.random.default_rng(self.seed)
        square = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(square)
        q *= np.sign(np.diag(r))  # makes the distribution uniform (Haar)
        matrix = q.T if rows < columns else q
        return (self.gain * matrix.reshape(tuple(shape))).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, **super().get_config()}


def compute_fans(shape: Sequence[int]) -> tuple[float, float]:
    """(fan_in, fan_out) of a weight: for kernels of convolutions times the receptive field."""
    if len(shape) < 1:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    receptive_field = math.prod(shape[:-2])
    return float(shape[-2] * receptive_field), float(shape[-1] * receptive_field)


constant, glorot_normal, glorot_uniform = Constant, GlorotNormal, GlorotUniform
he_normal, he_uniform, identity = HeNormal, HeUniform, Identity
lecun_normal, lecun_uniform, ones, orthogonal = LecunNormal, LecunUniform, Ones, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, zeros = VarianceScaling, Zeros

_CLASSES: tuple[type[Initializer], ...] = (
    Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal,
    LecunUniform, Ones, Orthogonal, RandomNormal, RandomUniform, TruncatedNormal,
    VarianceScaling, Zeros,
)  # fmt: skip
_TABLE: dict[str, Callable[..., Any]] = {
    name: cls for cls in _CLASSES for name in (_names.snake_case(cls.__name__), cls.__name__)
}
_TABLE.update(zero=Zeros, one=Ones, normal=RandomNormal, uniform=RandomUniform)


def get(identifier: Any) -> Callable[..., Any]:
    """The initializer for a name, a class, a config, an array, or a callable `(shape, dtype)`.

    Raises:
        ValueError: The name is unknown, or `identifier` is none of these.
    """
    if isinstance(identifier, str):
        made: Callable[..., Any] = _names.lookup("initializer", identifier, _TABLE)()
        return made
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, (np.ndarray, int, float)) and not isinstance(identifier, bool):
        return Constant(identifier)
    if callable(identifier):
        result: Callable[..., Any] = identifier() if isinstance(identifier, type) else identifier
        return result
    raise ValueError(f"An initializer is a name, a config or a callable, got {identifier!r}.")


def serialize(initializer: Any) -> Any:
    """The config of an Initializer; other callables as they are."""
    return _names.serialize(initializer) if isinstance(initializer, Initializer) else initializer


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """The initializer of a config that `serialize` gave."""
    made: Callable[..., Any] = _names.deserialize("initializer", config, _TABLE, custom_objects)
    return made


_names.explain_missing(__name__)
