"""Cases of recurrent layers and embeddings."""

from __future__ import annotations

from typing import Any

from case import Case, Input

# Gates of each op, states, and the axes of its bias before the last one.
_OPS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "lstm": (4, 2, ()),
    "gru": (3, 1, (2,)),
    "simple_rnn": (1, 1, ()),
}


def _case(op: str, n: int, steps: int, units: int, options: str = "b", **attrs: Any) -> Case:
    """`options`: b bias, s initial states, m a mask, r return_sequences, g go_backwards."""
    gates, states, bias_axes = _OPS[op]
    state = Input((n, units))
    inputs = [Input((n * steps, gates * units)), Input((units, gates * units), "uniform", -0.5)]
    differentiable = [0, 1]
    if "b" in options:
        differentiable.append(len(inputs))
        inputs.append(Input((*bias_axes, gates * units)))
    if "s" in options:
        differentiable += range(len(inputs), len(inputs) + states)
        inputs += [state] * states
    if "m" in options:
        inputs.append(Input((n, units), "uniform", 0.0, 2.0))
    flags = {"b": "has_bias", "s": "has_state", "m": "has_mask", "r": "return_sequences"}
    flags["g"] = "go_backwards"
    attrs = {"steps": steps, **{name: 1 for key, name in flags.items() if key in options}, **attrs}
    return Case(op, tuple(inputs), attrs, 4e-6, tuple(differentiable), 2 * n * steps * gates)


def _recurrent(op: str) -> list[Case]:
    cases = [
        _case(op, 1, 1, 1),
        _case(op, 2, 3, 5),
        _case(op, 2, 3, 5, ""),
        _case(op, 3, 5, 7, "br"),
        _case(op, 5, 2, 16, "bsr"),
        _case(op, 15, 3, 17, "bs"),
        _case(op, 13, 4, 33, "bg"),
        _case(op, 3, 4, 31, "brg"),
        _case(op, 61, 2, 48, "br"),
        _case(op, 3, 3, 6, "br", activation="relu", recurrent_activation="hard_sigmoid"),
        _case(op, 2, 3, 19, "bs", activation="softsign"),
        _case(op, 2, 2, 16, "b", activation="identity"),
    ]
    if op != "gru":  # nothing gives it a mask, see ops/gru.h
        cases += [
            _case(op, 7, 1, 15, "bsm"),
            _case(op, 6, 3, 13, "bsrm"),
            _case(op, 6, 3, 13, "rmg"),
        ]
    return cases


def _embedding() -> list[Case]:
    cases = []
    for shape, vocabulary, features in [
        ((1,), 1, 1),
        ((7,), 3, 16),
        ((3, 5), 7, 1),
        ((5, 3), 11, 33),
        ((33, 13), 100, 7),
        ((2, 3, 4), 5, 64),
    ]:
        ids = Input(shape, "labels", 0, vocabulary)
        cases.append(Case("embedding", (ids, Input((vocabulary, features))), {}, 0.0, (1,)))
    return cases


CASES: list[Case] = [*(case for op in _OPS for case in _recurrent(op)), *_embedding()]
