"""The one table of op cases: it drives the checks of values and gradients, and op benchmarks.

The larger families have rows in `cases_*.py` beside it, and references in `reference_*.py`.

Sizes are odd on purpose: 1, 7, 33, and one less and one more than vectors and tiles.
"""

from __future__ import annotations

import math
from typing import Any

import cases_augmentation
import cases_conv2d
import cases_depthwise
import cases_normalization
import cases_pool2d
import cases_recurrent
from case import Case, Input


def _dense() -> list[Case]:
    sizes = [(1, 1, 1), (1, 784, 10), (2, 3, 5), (7, 33, 1), (13, 17, 33), (14, 32, 32)]
    sizes += [(15, 31, 47), (16, 48, 65), (17, 64, 15), (33, 7, 129), (50, 100, 10), (128, 65, 200)]
    cases = []
    for m, k, n in sizes:
        x, w, bias = Input((m, k)), Input((k, n)), Input((n,))
        shared = {"tolerance": 2e-6, "flops": 2 * m * k * n}
        cases.append(Case("dense", (x, w, bias), differentiable=(0, 1, 2), **shared))
        cases.append(Case("dense", (x, w), differentiable=(0, 1), **shared))
        cases.append(Case("matmul", (x, w), differentiable=(0, 1), **shared))
    return cases


_ZERO = (0.0,)
_POSITIVE = {"kind": "uniform", "low": 0.1, "high": 4.0}
_WIDE = {"kind": "uniform", "low": -8.0, "high": 8.0}

# Function: parameters a, b, c, and what the inputs are like.
UNARY: dict[str, tuple[tuple[float, ...], dict[str, Any]]] = {
    "identity": ((), {}),
    "relu": ((), {"kinks": _ZERO}),
    "leaky_relu": ((0.2,), {"kinks": _ZERO}),
    "elu": ((0.7,), {"kinks": _ZERO}),
    "selu": ((), {"kinks": _ZERO}),
    "sigmoid": ((), _WIDE),
    "tanh": ((), _WIDE),
    "softplus": ((), _WIDE),
    "softsign": ((), {}),
    "exp": ((), {}),
    "hard_sigmoid": ((), {**_WIDE, "kinks": (-3.0, 3.0)}),
    "relu6": ((), {**_WIDE, "kinks": (0.0, 6.0)}),
    "step": ((), {"kinks": _ZERO}),
    "gelu": ((), {}),
    "gelu_tanh": ((), {}),
    "silu": ((), _WIDE),
    "hard_silu": ((), {**_WIDE, "kinks": (-3.0, 3.0)}),
    "log_sigmoid": ((), _WIDE),
    "mish": ((), {}),
    "relu_general": ((0.1, 3.0, 0.5), {**_WIDE, "kinks": (0.5, 3.0)}),
    "negative": ((), {}),
    "abs": ((), {"kinks": _ZERO}),
    "sign": ((), {"kinks": _ZERO}),
    "square": ((), {}),
    "sqrt": ((), _POSITIVE),
    "rsqrt": ((), _POSITIVE),
    "reciprocal": ((), _POSITIVE),
    "log": ((), _POSITIVE),
    "log1p": ((), _POSITIVE),
    "expm1": ((), {}),
    "sin": ((), _WIDE),
    "cos": ((), _WIDE),
    "floor": ((), {**_WIDE, "kinks": tuple(map(float, range(-8, 9)))}),
    "ceil": ((), {**_WIDE, "kinks": tuple(map(float, range(-8, 9)))}),
    "round": ((), {**_WIDE, "kinks": tuple(n + 0.5 for n in range(-9, 9))}),
    "erf": ((), {}),
    "log_cosh": ((), _WIDE),
    "is_nan": ((), {}),
    "is_finite": ((), {}),
    "logical_not": ((), {"kind": "whole", "high": 2.0}),
    "pow_scalar": ((2.5,), _POSITIVE),
    "clip": ((-1.0, 0.5), {"kinks": (-1.0, 0.5)}),
    "affine": ((1.5, -0.25), {}),
    "reverse_divide": ((2.0,), _POSITIVE),
}
_STEPS = ("step", "sign", "floor", "ceil", "round", "is_nan", "is_finite", "logical_not")


def _unary() -> list[Case]:
    cases = []
    shapes: list[tuple[int, ...]] = [(), (1,), (7, 33), (2, 3, 5), (16, 17)]
    for fn, (parameters, inputs) in UNARY.items():
        attrs = {"fn": fn, **dict(zip("abc", parameters, strict=False))}
        differentiable = () if fn == "logical_not" else (0,)  # of 0 and 1 there is nothing between
        for shape in shapes:
            input = Input(shape, **inputs)
            cases.append(Case("unary", (input,), attrs, 2e-6, differentiable))
    return cases


_BROADCASTS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((), ()),
    ((1,), (1,)),
    ((33,), ()),
    ((7, 33), (7, 33)),
    ((7, 33), (33,)),
    ((7, 33), (7, 1)),
    ((1, 17), (15, 1)),
    ((2, 1, 5), (4, 1)),
]


def _binary() -> list[Case]:
    cases = []
    for a, b in _BROADCASTS:
        for fn in ("add", "subtract", "multiply", "maximum", "minimum"):
            cases.append(Case("binary", (Input(a), Input(b)), {"fn": fn}, differentiable=(0, 1)))
        right = Input(b, **_POSITIVE)
        cases.append(Case("binary", (Input(a), right), {"fn": "divide"}, differentiable=(0, 1)))
        left = Input(a, **_POSITIVE)
        power = {"tolerance": 4e-6, "differentiable": (0, 1)}
        cases.append(Case("binary", (left, Input(b)), {"fn": "power"}, **power))
        for fn in ("floor_divide", "mod"):
            cases.append(Case("binary", (Input(a), right), {"fn": fn}, 4e-6, ()))
        for fn in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
            few = (Input(a, "whole", 0, 3), Input(b, "whole", 0, 3))  # so that some are equal
            cases.append(Case("binary", few, {"fn": fn}, 0.0, ()))
        for fn in ("logical_and", "logical_or"):
            truths = (Input(a, "whole", 0, 2), Input(b, "whole", 0, 2))
            cases.append(Case("binary", truths, {"fn": fn}, 0.0, ()))
        select = (Input(a, "whole", 0, 2), Input(b), Input(a))
        cases.append(Case("select", select, differentiable=(1, 2)))
    return cases


def _reduce() -> list[Case]:
    cases = []
    shapes: list[tuple[tuple[int, ...], list[int]]] = [
        ((1,), [0]),
        ((33,), []),
        ((7, 33), []),
        ((7, 33), [0]),
        ((7, 33), [1]),
        ((129, 15), [0]),
        ((15, 257), [1]),
        ((3, 5, 7), [1]),
        ((3, 5, 7), [0, 2]),
        ((3, 5, 7), [1, 2]),
        ((1, 1, 17), [0, 1]),
    ]
    for shape, axes in shapes:
        for fn in ("sum", "mean", "max", "min"):
            for keepdims in (False, True):
                attrs = {"fn": fn, "axes": axes, "keepdims": keepdims}
                cases.append(Case("reduce", (Input(shape),), attrs, 2e-6))
        product = Input(shape, "uniform", 0.8, 1.25)
        attrs = {"fn": "prod", "axes": axes, "keepdims": False}
        cases.append(Case("reduce", (product,), attrs, 1e-5))
    for shape in [(1, 1), (7, 33), (16, 16), (3, 5, 17)]:
        for smallest in (False, True):
            cases.append(Case("argmax", (Input(shape),), {"smallest": smallest}, 0.0, ()))
    return cases


def _softmax() -> list[Case]:
    cases = []
    for shape in [(1, 1), (7, 10), (33, 15), (16, 17), (5, 129), (2, 3, 7)]:
        for log in (False, True):
            cases.append(Case("softmax", (Input(shape, **_WIDE),), {"log": log}, 2e-6))
    for m, c in [(1, 2), (7, 10), (33, 15), (16, 17), (5, 129)]:
        x = Input((m, c), **_WIDE)
        labels = Input((m,), "labels", 0, c)
        none, some = {"smoothing": 0.0}, {"smoothing": 0.1}
        cases.append(Case("softmax_cross_entropy", (x, labels), none, 2e-6))
        for target in (Input((m, c), "one_hot"), Input((m, c), "uniform")):
            for attrs in (none, some):
                cases.append(Case("softmax_cross_entropy", (x, target), attrs, 2e-6))
        for k in (1, 5):
            cases.append(Case("in_top_k", (x, labels), {"k": k}, 0.0, ()))
        cases.append(Case("one_hot", (Input((m,), "labels", -1, c + 1),), {"depth": c}, 0.0, ()))
    return cases


_INNER = {"begin": [0, 1, 1, 0, 2], "size": [2, 2, 2, 1, 3], "strides": [1, 2, 1, 1, 1]}


def _moves() -> list[Case]:
    x = Input((7, 33))
    cube = Input((3, 5, 7))
    cases = [
        Case("reshape", (x,), {"shape": [33, 7]}, 0.0),
        Case("reshape", (x,), {"shape": [231]}, 0.0),
        Case("reshape", (cube,), {"shape": [5, 3, 7]}, 0.0),
        Case("reshape", (Input(()),), {"shape": [1, 1]}, 0.0),
        Case("transpose", (x,), {"axes": [1, 0]}, 0.0),
        Case("transpose", (cube,), {"axes": [2, 0, 1]}, 0.0),
        Case("transpose", (cube,), {"axes": [0, 2, 1]}, 0.0),
        Case("broadcast_to", (Input((33,)),), {"shape": [7, 33]}, 0.0),
        Case("broadcast_to", (Input((7, 1)),), {"shape": [3, 7, 15]}, 0.0),
        Case("broadcast_to", (Input(()),), {"shape": [17]}, 0.0),
        Case("concatenate", (x, x), {"axis": 0}, 0.0, (0, 1)),
        Case("concatenate", (x, Input((7, 1)), Input((7, 15))), {"axis": 1}, 0.0, (0, 1, 2)),
        Case("slice", (x,), {"begin": [2, 1], "size": [3, 31], "strides": [1, 1]}, 0.0),
        Case("slice", (x,), {"begin": [0, 0], "size": [4, 11], "strides": [2, 3]}, 0.0),
        Case("slice", (cube,), {"begin": [1, 0, 6], "size": [1, 5, 1], "strides": [1, 1, 1]}, 0.0),
        Case("slice", (x,), {"begin": [1, 0], "size": [3, 33], "strides": [2, 1]}, 0.0),
        Case("slice", (Input((33,)),), {"begin": [3], "size": [10], "strides": [2]}, 0.0),
        Case("slice", (Input((2, 4, 3, 2, 5)),), _INNER, 0.0),
        Case("stop_gradient", (x,), {}, 0.0, ()),
        Case("cast", (Input((7, 33), "labels", -50, 50),), {"dtype": "float32"}, 0.0, ()),
        Case("cast", (Input((7, 33), **_WIDE),), {"dtype": "int32"}, 0.0, ()),
    ]
    labels = Input((7, 33), "labels", -50, 50)
    cases += [
        Case("reshape", (labels,), {"shape": [33, 7]}, 0.0, ()),
        Case("transpose", (labels,), {"axes": [1, 0]}, 0.0, ()),
        Case("concatenate", (labels, labels), {"axis": 1}, 0.0, ()),
        Case("slice", (labels,), {"begin": [2, 1], "size": [3, 31], "strides": [1, 1]}, 0.0, ()),
    ]
    return cases


CASES: list[Case] = [
    *_dense(),
    *_unary(),
    *_binary(),
    *_reduce(),
    *_softmax(),
    *_moves(),
    *cases_conv2d.CASES,
    *cases_depthwise.CASES,
    *cases_pool2d.CASES,
    *cases_normalization.CASES,
    *cases_recurrent.CASES,
    *cases_augmentation.CASES,
]

# What the FLOPs of a case are for: the dense shapes of the benchmark networks, too slow to check
# element by element.
BENCHMARKS: list[Case] = [
    Case(
        "dense", (Input((m, k)), Input((k, n)), Input((n,))), {}, 2e-6, (), math.prod((2, m, k, n))
    )
    for m, k, n in [(32, 784, 512), (128, 784, 512), (128, 512, 512), (128, 512, 10)]
]
