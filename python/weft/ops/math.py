"""Elementwise functions and comparisons, named and behaving as in NumPy.

Every function takes tensors, variables, arrays and numbers, broadcasts, and computes in float32.
On arrays, comparisons and logic give bool arrays; on tensors they give 1.0 and 0.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.graph import Tensor
from weft.ops.core import apply, is_scalar


def unary(fn: str, x: Any, a: float = 0.0, b: float = 0.0, c: float = 0.0) -> Any:
    """One of `_core.UNARY_FUNCTIONS`."""
    return apply("unary", [x], fn=fn, a=float(a), b=float(b), c=float(c))


def binary(fn: str, a: Any, b: Any) -> Any:
    """A function of two arguments (see the op "binary")."""
    return apply("binary", [a, b], fn=fn)


def truth(x: Any) -> Any:
    return x if isinstance(x, Tensor) else np.asarray(x) != 0


# With a number on one side these are functions of one argument, which the core fuses into the
# kernel before it.


def add(x1: Any, x2: Any) -> Any:
    if is_scalar(x2):
        return unary("affine", x1, 1.0, x2)
    if is_scalar(x1):
        return unary("affine", x2, 1.0, x1)
    return binary("add", x1, x2)


def subtract(x1: Any, x2: Any) -> Any:
    if is_scalar(x2):
        return unary("affine", x1, 1.0, -float(x2))
    if is_scalar(x1):
        return unary("affine", x2, -1.0, x1)
    return binary("subtract", x1, x2)


def multiply(x1: Any, x2: Any) -> Any:
    if is_scalar(x2):
        return unary("affine", x1, x2, 0.0)
    if is_scalar(x1):
        return unary("affine", x2, x1, 0.0)
    return binary("multiply", x1, x2)


def affine(x: Any, scale: float, offset: float) -> Any:
    """x * scale + offset, for numbers."""
    return unary("affine", x, scale, offset)


def divide(x1: Any, x2: Any) -> Any:
    if is_scalar(x1) and not is_scalar(x2):
        return unary("reverse_divide", x2, x1)
    return binary("divide", x1, x2)


true_divide = divide


def divide_no_nan(x1: Any, x2: Any) -> Any:
    """x1 / x2, and 0 where x2 is 0."""
    zero = equal(x2, 0.0)
    return where(zero, 0.0, divide(x1, where(zero, 1.0, x2)))


def power(x1: Any, x2: Any) -> Any:
    if is_scalar(x2):
        return square(x1) if float(x2) == 2 else unary("pow_scalar", x1, x2)
    return binary("power", x1, x2)


def floor_divide(x1: Any, x2: Any) -> Any:
    return binary("floor_divide", x1, x2)


def mod(x1: Any, x2: Any) -> Any:
    """The remainder, with the sign of x2."""
    return binary("mod", x1, x2)


remainder = mod


def maximum(x1: Any, x2: Any) -> Any:
    """The larger one, NaN if either is NaN."""
    return binary("maximum", x1, x2)


def minimum(x1: Any, x2: Any) -> Any:
    """The smaller one, NaN if either is NaN."""
    return binary("minimum", x1, x2)


def squared_difference(x1: Any, x2: Any) -> Any:
    return square(subtract(x1, x2))


def equal(x1: Any, x2: Any) -> Any:
    return truth(binary("equal", x1, x2))


def not_equal(x1: Any, x2: Any) -> Any:
    return truth(binary("not_equal", x1, x2))


def less(x1: Any, x2: Any) -> Any:
    return truth(binary("less", x1, x2))


def less_equal(x1: Any, x2: Any) -> Any:
    return truth(binary("less_equal", x1, x2))


def greater(x1: Any, x2: Any) -> Any:
    return truth(binary("greater", x1, x2))


def greater_equal(x1: Any, x2: Any) -> Any:
    return truth(binary("greater_equal", x1, x2))


def logical_and(x1: Any, x2: Any) -> Any:
    return truth(binary("logical_and", x1, x2))


def logical_or(x1: Any, x2: Any) -> Any:
    return truth(binary("logical_or", x1, x2))


def logical_not(x: Any) -> Any:
    return truth(unary("logical_not", x))


def isnan(x: Any) -> Any:
    return truth(unary("is_nan", x))


def isfinite(x: Any) -> Any:
    return truth(unary("is_finite", x))


def isinf(x: Any) -> Any:
    return truth(unary("logical_not", add(unary("is_nan", x), unary("is_finite", x))))


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition is not 0, else x2."""
    return apply("select", [condition, x1, x2])


def clip(x: Any, x_min: float, x_max: float) -> Any:
    """x limited to x_min <= x <= x_max, which are numbers."""
    return unary("clip", x, x_min, x_max)


def negative(x: Any) -> Any:
    return unary("negative", x)


def abs(x: Any) -> Any:
    return unary("abs", x)


absolute = abs


def sign(x: Any) -> Any:
    return unary("sign", x)


def square(x: Any) -> Any:
    return unary("square", x)


def sqrt(x: Any) -> Any:
    return unary("sqrt", x)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return unary("rsqrt", x)


def reciprocal(x: Any) -> Any:
    return unary("reciprocal", x)


def exp(x: Any) -> Any:
    return unary("exp", x)


def expm1(x: Any) -> Any:
    """exp(x) - 1, precise near 0."""
    return unary("expm1", x)


def log(x: Any) -> Any:
    return unary("log", x)


def log1p(x: Any) -> Any:
    """log(1 + x), precise near 0."""
    return unary("log1p", x)


def log2(x: Any) -> Any:
    return multiply(log(x), 1.0 / np.log(2.0))


def log10(x: Any) -> Any:
    return multiply(log(x), 1.0 / np.log(10.0))


def logaddexp(x1: Any, x2: Any) -> Any:
    """log(exp(x1) + exp(x2))."""
    return add(maximum(x1, x2), unary("softplus", negative(abs(subtract(x1, x2)))))


def sin(x: Any) -> Any:
    return unary("sin", x)


def cos(x: Any) -> Any:
    return unary("cos", x)


def tan(x: Any) -> Any:
    return divide(sin(x), cos(x))


def tanh(x: Any) -> Any:
    return unary("tanh", x)


def sinh(x: Any) -> Any:
    return multiply(subtract(expm1(x), expm1(negative(x))), 0.5)


def cosh(x: Any) -> Any:
    return multiply(add(exp(x), exp(negative(x))), 0.5)


def floor(x: Any) -> Any:
    return unary("floor", x)


def ceil(x: Any) -> Any:
    return unary("ceil", x)


def round(x: Any) -> Any:
    """The nearest integer, halves to the even one."""
    return unary("round", x)


def erf(x: Any) -> Any:
    """The error function."""
    return unary("erf", x)
