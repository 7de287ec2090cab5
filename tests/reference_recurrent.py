"""What the ops of recurrent layers and embeddings mean, in plain float64 NumPy.

A sequence value is a matrix: row i * steps + time is one time step of sequence i.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.where(x < 0, 0, x),
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "softsign": lambda x: x / (1 + np.abs(x)),
}

# (xp (N, gates*H) of one step, the states, u, bias) -> the states after it; the first one is h.
Step = Callable[[Array, list[Array], Array, Array], list[Array]]


def _recurrence(
    inputs: list[Array], attrs: dict[str, Any], gates: int, n_states: int, step: Step
) -> Array:
    xp, u, *others = inputs
    steps, units = attrs["steps"], u.shape[0]
    xp = xp.reshape(-1, steps, gates * units)
    n = len(xp)
    bias = others.pop(0) if attrs.get("has_bias") else np.zeros(())
    states = [np.zeros((n, units))] * n_states
    if attrs.get("has_state"):
        states, others = others[:n_states], others[n_states:]
    mask = others.pop(0) if attrs.get("has_mask") else np.ones((n, units))
    y = np.empty((n, steps, units))
    times = range(steps)
    for time in reversed(times) if attrs.get("go_backwards") else times:
        states = step(xp[:, time], [states[0] * mask, *states[1:]], u, bias)
        y[:, time] = states[0]
    return y.reshape(-1, units) if attrs.get("return_sequences") else states[0]


def _functions(attrs: dict[str, Any]) -> tuple[Callable[[Array], Array], ...]:
    cell = _ACTIVATIONS[attrs.get("activation", "tanh")]
    return cell, _ACTIVATIONS[attrs.get("recurrent_activation", "sigmoid")]


def lstm(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    cell, gate = _functions(attrs)

    def step(xp: Array, states: list[Array], u: Array, bias: Array) -> list[Array]:
        i, f, g, o = np.split(xp + bias + states[0] @ u, 4, axis=1)
        c = gate(f) * states[1] + gate(i) * cell(g)
        return [gate(o) * cell(c), c]

    return _recurrence(inputs, attrs, 4, 2, step)


def gru(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    cell, gate = _functions(attrs)

    def step(xp: Array, states: list[Array], u: Array, bias: Array) -> list[Array]:
        h = states[0]
        of_inputs, of_states = bias if bias.ndim else (0, 0)
        xz, xr, xg = np.split(xp + of_inputs, 3, axis=1)
        hz, hr, hg = np.split(h @ u + of_states, 3, axis=1)
        z = gate(xz + hz)
        return [z * h + (1 - z) * cell(xg + gate(xr + hr) * hg)]

    return _recurrence(inputs, attrs, 3, 1, step)


def simple_rnn(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    cell, _ = _functions(attrs)

    def step(xp: Array, states: list[Array], u: Array, bias: Array) -> list[Array]:
        return [cell(xp + bias + states[0] @ u)]

    return _recurrence(inputs, attrs, 1, 1, step)


def embedding(inputs: list[Array], attrs: dict[str, Any]) -> Array:
    ids, table = inputs
    return table[ids]


OPS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "lstm": lstm,
    "gru": gru,
    "simple_rnn": simple_rnn,
    "embedding": embedding,
}
