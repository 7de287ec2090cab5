"""Recurrent layers through all time steps at once, and embeddings.

Sequences are (N, T, features). Inside of the core they are matrices of N * T rows, so that the
projection of the inputs of all time steps is one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.graph import Tensor
from weft.ops.core import apply, convert, shape_of
from weft.ops.nn import dense
from weft.ops.shaping import getitem, matmul, reshape, stack

Step = Callable[[Any, list[Any]], list[Any]]


def lstm(
    inputs: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Sequence[Any] | None = None,
    mask: Any = None,
    **options: Any,
) -> Any:
    """A long short-term memory (Hochreiter and Schmidhuber, 1997).

    Args:
        inputs: (N, T, F).
        kernel: (F, 4H), for the input, forget, cell and output gates.
        recurrent_kernel: (H, 4H).
        bias: (4H,) or None.
        initial_state: h and c (N, H), zeros by default.
        mask: (N, H), multiplies h before every step; it has no gradient.
        **options: activation and recurrent_activation (names of functions whose derivative is a
            function of their value), go_backwards (from the last step to the first; outputs stay
            at their time), return_sequences.

    Returns:
        h of the last step (N, H), or of all steps (N, T, H).
    """
    return _recur("lstm", inputs, kernel, recurrent_kernel, bias, initial_state, mask, options)[0]


def gru(
    inputs: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Sequence[Any] | None = None,
    mask: None = None,
    **options: Any,
) -> Any:
    """Gated recurrent units whose reset gate acts after the product (Keras's reset_after=True).

    Args:
        inputs, initial_state, **options: As of `lstm`; the state is h.
        kernel: (F, 3H), for the update and reset gates and the candidate.
        recurrent_kernel: (H, 3H).
        bias: (2, 3H), of the inputs and of the recurrence, or None.
        mask: Not supported, must be None.
    """
    if mask is not None:
        raise ValueError(
            "gru got a mask, which weft does not support; use a GRU layer with recurrent_dropout."
        )
    return _recur("gru", inputs, kernel, recurrent_kernel, bias, initial_state, None, options)[0]


def simple_rnn(
    inputs: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Sequence[Any] | None = None,
    mask: Any = None,
    **options: Any,
) -> Any:
    """h = activation(x kernel + bias + h recurrent_kernel).

    Args:
        inputs, initial_state, mask, **options: As of `lstm`; the state is h.
        kernel: (F, H).
        recurrent_kernel: (H, H).
        bias: (H,) or None.
    """
    given = (inputs, kernel, recurrent_kernel, bias, initial_state, mask)
    return _recur("simple_rnn", *given, options)[0]


def _recur(
    op: str,
    inputs: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    initial_state: Sequence[Any] | None,
    mask: Any,
    options: dict[str, Any],
) -> tuple[Any, list[Any]]:
    """The output and, where a trace records, the last states, in the order of `initial_state`."""
    shape = shape_of(inputs)
    if len(shape) != 3:
        raise ValueError(f"{op} expects inputs (N, T, F), got shape {shape}.")
    n, steps, features = shape
    units = shape_of(recurrent_kernel)[0]
    rows = reshape(inputs, (n * steps, features))
    operands = [dense(rows, kernel), recurrent_kernel]
    attrs = {"steps": steps, **options}
    for name, given in (("bias", [bias]), ("state", initial_state or [None]), ("mask", [mask])):
        if given[0] is not None:
            operands += given
            attrs[f"has_{name}"] = 1
    y = apply(op, operands, **attrs)
    states = []
    if isinstance(y, Tensor):
        # The second result is the last c of an lstm, whose last h is an output; of the others, h.
        state = Tensor(y.trace, y.graph.results(y.id)[1])
        states = [state]
    if not options.get("return_sequences"):
        return y, [y, *states] if op == "lstm" else states
    y = reshape(y, (n, steps, units))
    if op == "lstm" and states:
        states = [getitem(y, (slice(None), 0 if options.get("go_backwards") else -1)), *states]
    return y, states


def unrolled(
    inputs: Any, states: list[Any], step: Step, go_backwards: bool, return_sequences: bool
) -> tuple[Any, list[Any]]:
    """A recurrence recorded step by step, for cells that the core has no kernel for.

    Args:
        inputs: (N, T, F).
        states: The initial states, h first.
        step: Maps the inputs of one step (N, F) and the states to the states after it.
        go_backwards: Whether to begin with the last step; outputs stay at their time.
        return_sequences: Whether to return h of all steps (N, T, H) or of the last one (N, H).

    Returns:
        The output, and the last states.
    """
    times = range(shape_of(inputs)[1])
    outputs: list[Any] = [None] * len(times)
    for time in reversed(times) if go_backwards else times:
        states = step(getitem(inputs, (slice(None), time)), states)
        outputs[time] = states[0]
    return stack(outputs, axis=1) if return_sequences else states[0], states


def recurrent_product(x: Any, kernel: Any, bias: Any, h: Any, recurrent_kernel: Any) -> Any:
    """x kernel + bias + h recurrent_kernel, of one step."""
    return dense(x, kernel, bias) + matmul(h, recurrent_kernel)


def reverse_time(x: Any) -> Any:
    """(N, T, ...) with the last time step first."""
    sizes = list(shape_of(x))
    begin, strides = [0] * len(sizes), [1] * len(sizes)
    begin[1], strides[1] = sizes[1] - 1, -1
    return apply("slice", [x], begin=begin, size=sizes, strides=strides)


def embedding(ids: Any, table: Any) -> Any:
    """The rows `table[ids]`.

    Args:
        ids: Integers (N, ...). One that the table does not have gives a row of NaN.
        table: (V, D).

    Returns:
        (N, ..., D).
    """
    ids = convert(ids)
    if not isinstance(ids, Tensor):
        ids = np.asarray(ids, np.int32)
    return apply("embedding", [ids, table])
