"""What each op means, in plain float64 NumPy. Slow and short: kernels are checked against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import reference_augmentation
import reference_conv2d
import reference_depthwise
import reference_normalization
import reference_pool2d
import reference_recurrent

Array = np.ndarray[Any, Any]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _relu_general(x: Array, slope: float, max_value: float, threshold: float) -> Array:
    above = np.where(x >= threshold, x, slope * (x - threshold))
    return np.where(x >= max_value, max_value, above)


def _log_cosh(x: Array) -> Array:
    return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - math.log(2)


UNARY: dict[str, Callable[[Array, float, float, float], Array]] = {
    "identity": lambda x, a, b, c: x,
    "relu": lambda x, a, b, c: np.where(x < 0, 0, x),
    "leaky_relu": lambda x, a, b, c: np.where(x < 0, a * x, x),
    "elu": lambda x, a, b, c: _elu(x, a),
    "selu": lambda x, a, b, c: _SELU_SCALE * _elu(x, _SELU_ALPHA),
    "sigmoid": lambda x, a, b, c: _sigmoid(x),
    "tanh": lambda x, a, b, c: np.tanh(x),
    "softplus": lambda x, a, b, c: _softplus(x),
    "softsign": lambda x, a, b, c: x / (1 + np.abs(x)),
    "exp": lambda x, a, b, c: np.exp(x),
    "hard_sigmoid": lambda x, a, b, c: np.clip(x / 6 + 0.5, 0, 1),
    "relu6": lambda x, a, b, c: np.clip(x, 0, 6),
    "step": lambda x, a, b, c: np.where(x > 0, 1.0, 0.0),
    "gelu": lambda x, a, b, c: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x, a, b, c: (
        0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "silu": lambda x, a, b, c: x * _sigmoid(x),
    "hard_silu": lambda x, a, b, c: x * np.clip(x / 6 + 0.5, 0, 1),
    "log_sigmoid": lambda x, a, b, c: -_softplus(-x),
    "mish": lambda x, a, b, c: x * np.tanh(_softplus(x)),
    "relu_general": lambda x, a, b, c: _relu_general(x, a, b, c),
    "negative": lambda x, a, b, c: -x,
    "abs": lambda x, a, b, c: np.abs(x),
    "sign": lambda x, a, b, c: np.sign(x),
    "square": lambda x, a, b, c: x * x,
    "sqrt": lambda x, a, b, c: np.sqrt(x),
    "rsqrt": lambda x, a, b, c: 1 / np.sqrt(x),
    "reciprocal": lambda x, a, b, c: 1 / x,
    "log": lambda x, a, b, c: np.log(x),
    "log1p": lambda x, a, b, c: np.log1p(x),
    "expm1": lambda x, a, b, c: np.expm1(x),
    "sin": lambda x, a, b, c: np.sin(x),
    "cos": lambda x, a, b, c: np.cos(x),
    "floor": lambda x, a, b, c: np.floor(x),
    "ceil": lambda x, a, b, c: np.ceil(x),
    "round": lambda x, a, b, c: np.round(x),
    "erf": lambda x, a, b, c: _erf(x),
    "log_cosh": lambda x, a, b, c: _log_cosh(x),
    "is_nan": lambda x, a, b, c: np.isnan(x) * 1.0,
    "is_finite": lambda x, a, b, c: np.isfinite(x) * 1.0,
    "logical_not": lambda x, a, b, c: (x == 0) * 1.0,
    "pow_scalar": lambda x, a, b, c: np.power(x, a),
    "clip": lambda x, a, b, c: np.clip(x, a, b),
    "affine": lambda x, a, b, c: a * x + b,
    "reverse_divide": lambda x, a, b, c: a / x,
}

BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "floor_divide": lambda a, b: np.floor(a / b),
    "mod": lambda a, b: a - np.floor(a / b) * b,
    "equal": lambda a, b: (a == b) * 1.0,
    "not_equal": lambda a, b: (a != b) * 1.0,
    "less": lambda a, b: (a < b) * 1.0,
    "less_equal": lambda a, b: (a <= b) * 1.0,
    "greater": lambda a, b: (a > b) * 1.0,
    "greater_equal": lambda a, b: (a >= b) * 1.0,
    "logical_and": lambda a, b: ((a != 0) & (b != 0)) * 1.0,
    "logical_or": lambda a, b: ((a != 0) | (b != 0)) * 1.0,
}

REDUCE: dict[str, Callable[..., Array]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


def log_softmax(x: Array) -> Array:
    shifted = x - np.max(x, axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def softmax_cross_entropy(x: Array, target: Array, smoothing: float) -> Array:
    classes = x.shape[-1]
    if target.ndim < x.ndim:
        target = np.eye(classes)[target]
    target = target * (1 - smoothing) + smoothing / classes
    return -np.sum(target * log_softmax(x), axis=-1)


def in_top_k(scores: Array, labels: Array, k: int) -> Array:
    inside = (labels >= 0) & (labels < scores.shape[1])
    own = scores[np.arange(len(labels)), np.where(inside, labels, 0)]
    greater = np.sum(scores > own[:, None], axis=1)
    return (inside & np.isfinite(own) & (greater < k)) * 1.0


def philox4x32(counter: Array, key: int) -> Array:
    """Philox4x32-10 (Salmon et al., 2011): counters (..., 4) of uint32 to words of that shape."""
    mask = np.uint64(0xFFFFFFFF)
    c = [counter[..., i].astype(np.uint64) for i in range(4)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(10):
        p0 = c[0] * np.uint64(0xD2511F53)
        p1 = c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & mask,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & mask,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=-1).astype(np.uint32)


def random_words(shape: tuple[int, ...], seed: int, stream: int, draw: int) -> Array:
    """The 32 random bits of each element; see csrc/ops/dropout.h for the counter."""
    rows = shape[0] if len(shape) > 1 else 1
    row_size = math.prod(shape) // rows
    index = np.arange(rows)[:, None] * (-(-row_size // 16) * 16) + np.arange(row_size)
    index = index.astype(np.uint64)
    counter = np.empty((*index.shape, 4), np.uint32)
    counter[..., 0] = index // np.uint64(4) & np.uint64(0xFFFFFFFF)
    counter[..., 1] = index // np.uint64(4) >> np.uint64(32)
    counter[..., 2] = stream
    counter[..., 3] = draw & 0xFFFFFFFF
    words = philox4x32(counter, seed)
    chosen = np.take_along_axis(words, (index % np.uint64(4)).astype(int)[..., None], -1)
    return chosen[..., 0].reshape(shape)


def dropout(x: Array, rate: float, words: Array) -> Array:
    return np.where(words >= np.uint32(rate * 2**32), x / (1 - rate), 0.0)


def _slice(x: Array, begin: list[int], size: list[int], strides: list[int]) -> Array:
    return x[
        tuple(
            slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(begin, size, strides, strict=True)
        )
    ]


# Op: a function of its inputs and attributes.
_FAMILIES: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    **reference_conv2d.OPS,
    **reference_depthwise.OPS,
    **reference_pool2d.OPS,
    **reference_normalization.OPS,
    **reference_recurrent.OPS,
    **reference_augmentation.OPS,
}


def forward(op: str, inputs: list[Array], attrs: dict[str, Any]) -> Array:
    """The value of an op on float64 (or integer) arrays."""
    x = inputs[0]
    match op:
        case "dense":
            return x @ inputs[1] + (inputs[2] if len(inputs) > 2 else 0.0)
        case "matmul":
            return x @ inputs[1]
        case "unary":
            with np.errstate(all="ignore"):
                parameters = [attrs.get(name, 0.0) for name in "abc"]
                return np.asarray(UNARY[attrs["fn"]](x, *parameters))
        case "binary":
            with np.errstate(all="ignore"):
                return np.asarray(BINARY[attrs["fn"]](x, inputs[1]))
        case "select":
            return np.where(x != 0, inputs[1], inputs[2])
        case "reduce":
            axes = tuple(attrs["axes"]) or None
            return np.asarray(REDUCE[attrs["fn"]](x, axis=axes, keepdims=attrs["keepdims"]))
        case "argmax":
            return np.asarray(np.argmin(x, -1) if attrs["smallest"] else np.argmax(x, -1))
        case "softmax":
            return log_softmax(x) if attrs["log"] else np.exp(log_softmax(x))
        case "softmax_cross_entropy":
            return softmax_cross_entropy(x, inputs[1], attrs["smoothing"])
        case "reshape":
            return x.reshape(attrs["shape"])
        case "transpose":
            return np.transpose(x, attrs["axes"])
        case "broadcast_to":
            return np.broadcast_to(x, attrs["shape"])
        case "concatenate":
            return np.concatenate(inputs, attrs["axis"])
        case "slice":
            return _slice(x, attrs["begin"], attrs["size"], attrs["strides"])
        case "cast":
            return x.astype(np.int32 if attrs["dtype"] == "int32" else np.float64)
        case "one_hot":
            return (x[:, None] == np.arange(attrs["depth"])) * 1.0
        case "in_top_k":
            return in_top_k(x, inputs[1], attrs["k"])
        case "stop_gradient":
            return x
    return _FAMILIES[op](inputs, attrs)


def gradients(
    op: str,
    inputs: list[Array],
    attrs: dict[str, Any],
    cotangent: Array,
    index: int,
    elements: Array,
) -> Array:
    """d sum(op(inputs) * cotangent) / d inputs[index] at the given flat elements.

    Central differences, which need no knowledge of the op; their error is about 1e-9.
    """
    x = inputs[index]
    step = 1e-6
    result = np.empty(len(elements))
    for i, element in enumerate(elements):
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved.flat[element] += sign * step
            changed = [*inputs[:index], moved, *inputs[index + 1 :]]
            values.append(np.sum(forward(op, changed, attrs) * cotangent))
        result[i] = (values[0] - values[1]) / (2 * step)
    return result
