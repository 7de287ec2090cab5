"""Functions of neural networks: activations, softmax, cross-entropies, dropout, random values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.graph import Tensor, Trace
from weft.ops.core import EagerPlan, apply, convert, shape_of
from weft.ops.math import add, clip, divide, log, multiply, subtract, unary
from weft.ops.reductions import sum
from weft.ops.shaping import cast, moveaxis, reshape

_EPSILON = 1e-7  # Keras's epsilon(): probabilities are kept this far from 0 and 1


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """x above the threshold, at most `max_value`; below it `negative_slope * (x - threshold)`."""
    if max_value is None and threshold == 0:
        return leaky_relu(x, negative_slope) if negative_slope else unary("relu", x)
    limit = math.inf if max_value is None else max_value
    return unary("relu_general", x, negative_slope, limit, threshold)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    return unary("leaky_relu", x, negative_slope)


def relu6(x: Any) -> Any:
    return unary("relu6", x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    y = unary("sigmoid", x)
    if isinstance(y, Tensor):
        y.logits, y.logits_kind = y.trace.tensor(x), "sigmoid"
    return y


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return unary("softplus", x)


def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return unary("softsign", x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    return unary("elu", x, alpha)


def selu(x: Any) -> Any:
    return unary("selu", x)


def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function, or its tanh approximation."""
    return unary("gelu_tanh" if approximate else "gelu", x)


def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return unary("silu", x)


swish = silu


def hard_sigmoid(x: Any) -> Any:
    """x/6 + 1/2, limited to 0..1."""
    return unary("hard_sigmoid", x)


def hard_silu(x: Any) -> Any:
    return unary("hard_silu", x)


hard_swish = hard_silu


def log_sigmoid(x: Any) -> Any:
    return unary("log_sigmoid", x)


def mish(x: Any) -> Any:
    """x * tanh(softplus(x))."""
    return unary("mish", x)


def step(x: Any) -> Any:
    """1 where x > 0, else 0; its derivative is 0."""
    return unary("step", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis."""
    y = _softmax(x, axis, log=False)
    if isinstance(y, Tensor) and axis in (-1, y.ndim - 1):
        y.logits, y.logits_kind = y.trace.tensor(x), "softmax"
    return y


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - log(sum(exp(x))) along an axis."""
    return _softmax(x, axis, log=True)


def _softmax(x: Any, axis: int, log: bool) -> Any:
    rank = len(shape_of(x))
    if rank == 0:
        raise ValueError("softmax expects at least one axis, got a number.")
    if axis in (-1, rank - 1):
        return apply("softmax", [x], log=log)
    return moveaxis(apply("softmax", [moveaxis(x, axis, -1)], log=log), -1, axis)


def one_hot(x: Any, num_classes: int, axis: int = -1) -> Any:
    """A new axis with 1 at the index that x gives, else 0."""
    shape = shape_of(x)
    flat = apply("one_hot", [reshape(cast(x, "int32"), (-1,))], depth=int(num_classes))
    result = reshape(flat, (*shape, int(num_classes)))
    return result if axis in (-1, len(shape)) else moveaxis(result, -1, axis)


def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the score of the target is among the k largest of its row; ties count as such."""
    y = apply("in_top_k", [predictions, cast(targets, "int32")], k=int(k))
    return y if isinstance(y, Tensor) else y != 0


def dense(x: Any, kernel: Any, bias: Any = None) -> Any:
    """x @ kernel + bias for x (..., K), kernel (K, N) and bias (N,)."""
    shape, units = shape_of(x), shape_of(kernel)[-1]
    rows = x if len(shape) == 2 else reshape(x, (math.prod(shape[:-1]), shape[-1]))
    y = apply("dense", [rows, kernel] if bias is None else [rows, kernel, bias])
    return y if len(shape) == 2 else reshape(y, (*shape[:-1], units))


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1, smoothing: float = 0.0
) -> Any:
    """-sum(target * log p) over the classes; `smoothing` mixes the targets with 1/classes.

    Args:
        target: Probabilities of the classes, shape (..., C).
        output: Logits or probabilities of the same shape. Where probabilities are the result of a
            softmax, its logits are used; others are made to sum to 1 and kept off 0 and 1 by 1e-7.
        from_logits: Whether `output` holds logits.
        axis: The axis of the classes.

    Returns:
        A value for each sample, shape (...).
    """
    if shape_of(target) != shape_of(output):
        raise ValueError(
            f"Categorical cross-entropy expects targets of the predictions' shape "
            f"{shape_of(output)}, got {shape_of(target)}."
        )
    if axis not in (-1, len(shape_of(output)) - 1):
        target, output = moveaxis(target, axis, -1), moveaxis(output, axis, -1)
    logits = output if from_logits else _logits(output, "softmax")
    if logits is not None:
        return _crossentropy_rows(logits, cast(target, "float32"), smoothing)
    target = cast(target, "float32")
    if smoothing:
        target = add(multiply(target, 1.0 - smoothing), smoothing / shape_of(target)[-1])
    return multiply(sum(multiply(target, _log_probabilities(output)), axis=-1), -1.0)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """-log p of the class that `target` gives as an index, shape (...) or (..., 1).

    See `categorical_crossentropy` for the other arguments.
    """
    classes = len(shape_of(output)) - 1
    if len(shape_of(target)) == classes + 1 and shape_of(target)[-1] == 1:
        target = reshape(target, shape_of(target)[:-1])
    if axis not in (-1, classes):
        output = moveaxis(output, axis, -1)
    if shape_of(target) != shape_of(output)[:-1]:
        raise ValueError(
            f"Sparse categorical cross-entropy expects labels of shape {shape_of(output)[:-1]}, "
            f"got {shape_of(target)}."
        )
    target = cast(target, "int32")
    logits = output if from_logits else _logits(output, "softmax")
    if logits is not None:
        return _crossentropy_rows(logits, target, 0.0)
    chosen = multiply(one_hot(target, shape_of(output)[-1]), _log_probabilities(output))
    return multiply(sum(chosen, axis=-1), -1.0)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-(t*log p + (1-t)*log(1-p)) for each element; logits and clipping as above."""
    if shape_of(target) != shape_of(output):
        raise ValueError(
            f"Binary cross-entropy expects targets of the predictions' shape "
            f"{shape_of(output)}, got {shape_of(target)}."
        )
    target = cast(target, "float32")
    logits = output if from_logits else _logits(output, "sigmoid")
    if logits is not None:
        # Each term keeps its relative precision, where softplus(x) - t*x would cancel.
        yes = multiply(target, unary("softplus", unary("negative", logits)))
        no = multiply(subtract(1.0, target), unary("softplus", logits))
        return add(yes, no)
    p = clip(output, _EPSILON, 1.0 - _EPSILON)
    yes = multiply(target, log(p))
    no = multiply(subtract(1.0, target), log(subtract(1.0, p)))
    return multiply(add(yes, no), -1.0)


def _logits(output: Any, kind: str) -> Tensor | None:
    if isinstance(output, Tensor) and output.logits_kind == kind:
        return output.logits
    return None


def _crossentropy_rows(logits: Any, target: Any, smoothing: float) -> Any:
    shape = shape_of(logits)
    rows = math.prod(shape[:-1])
    classes = shape[-1:] if shape_of(target) == shape else ()
    x, t = reshape(logits, (rows, shape[-1])), reshape(target, (rows, *classes))
    return reshape(apply("softmax_cross_entropy", [x, t], smoothing=float(smoothing)), shape[:-1])


def _log_probabilities(output: Any) -> Any:
    p = divide(output, sum(output, axis=-1, keepdims=True))
    return log(clip(p, _EPSILON, 1.0 - _EPSILON))


def dropout(x: Any, rate: float, stream: int | None = None) -> Any:
    """Zeroes elements with probability `rate` and divides the others by 1 - rate.

    `stream` numbers the source of random values; each call has its own unless it is given.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout expects a rate from 0 to below 1, got {rate}.")
    if rate == 0:
        return convert(x)

    def record(trace: Trace, inputs: list[Tensor]) -> Tensor:
        number = trace.next_stream()
        attrs = {"rate": float(rate), "stream": number if stream is None else stream}
        return trace.op("dropout", inputs, attrs)

    if isinstance(x, Tensor):
        return record(x.trace, [x])
    array = np.asarray(convert(x), np.float32, order="C")
    return EagerPlan(record, [array]).run([array])


def random_uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, stream: int | None = None
) -> Any:
    """Values from `minval` to below `maxval`, drawn anew at each step; `stream` as of dropout."""
    return _random(shape, "uniform", minval, maxval, stream)


def random_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, stream: int | None = None
) -> Any:
    """Normally distributed values, drawn anew at each step; `stream` as of dropout."""
    return _random(shape, "normal", mean, stddev, stream)


def _random(shape: Sequence[int], fn: str, a: float, b: float, stream: int | None) -> Any:
    def record(trace: Trace, inputs: list[Tensor]) -> Tensor:
        attrs = {"shape": [int(n) for n in shape], "fn": fn, "a": float(a), "b": float(b)}
        number = trace.next_stream()
        return trace.op("random", inputs, {**attrs, "stream": number if stream is None else stream})

    trace = Trace.current()
    return EagerPlan(record, []).run([]) if trace is None else record(trace, [])
