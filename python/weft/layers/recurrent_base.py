"""What SimpleRNN, LSTM and GRU share: their arguments, weights, states and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft import activations, initializers, ops, regularizers
from weft.graph import Trace, Variable
from weft.layers.checks import PartialShape, checked_seed, is_number, positive
from weft.layers.layer import Layer
from weft.ops import recurrent as through_time

# The activations that the core's kernels know, and their names there. Layers with others are
# recorded step by step.
NATIVE: dict[Callable[..., Any], str] = {
    activations.linear: "identity",
    activations.relu: "relu",
    activations.selu: "selu",
    activations.sigmoid: "sigmoid",
    activations.tanh: "tanh",
    activations.softplus: "softplus",
    activations.softsign: "softsign",
    activations.exponential: "exp",
    activations.hard_sigmoid: "hard_sigmoid",
    activations.relu6: "relu6",
}


class _Kept:
    """Variables that are not among the weights of the layer which has them."""

    def __init__(self, variables: list[Variable]) -> None:
        self.variables = variables


class Recurrent(Layer):
    """What SimpleRNN, LSTM and GRU share: inputs (N, T, F) give (N, units) or (N, T, units).

    Args:
        units: The number of hidden units, positive.
        activation: The function of the candidate (and of an LSTM's cell).
        use_bias: Whether to add a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties on the weights.
        activity_regularizer: A penalty on the outputs.
        kernel_constraint, recurrent_constraint, bias_constraint: Not supported, must be None.
        dropout: The fraction of the inputs that training drops, the same ones in all time steps.
        recurrent_dropout: Likewise of the hidden states that enter the products of each step.
        seed: Tells the dropout of two layers apart, see `Dropout`.
        return_sequences: Whether to return the hidden states of all time steps.
        return_state: Not supported, must be False: a Sequential has one output.
        go_backwards: Whether to read the sequence from its end; outputs come in that order too.
        stateful: Whether a batch begins with the states in which the one before ended, sample by
            sample; needs a fixed batch size. See `reset_state`.
        unroll, implementation, use_cudnn: Accepted as in Keras; they change no result.

    Raises:
        ValueError: An argument cannot be used.
    """

    _op: str
    _gates: int
    _states: int

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: None = None,
        recurrent_constraint: None = None,
        bias_constraint: None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **_read_keras_2(kwargs))
        if any(c is not None for c in (kernel_constraint, recurrent_constraint, bias_constraint)):
            raise ValueError(f"{self} got a constraint, which weft does not support.")
        if return_state:
            raise ValueError(
                f"{self} got return_state=True, but the layers of a Sequential have one output."
            )
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not is_number(rate) or not 0 <= rate < 1:
                raise ValueError(f"{self} expects {name} from 0 to below 1, got {rate!r}.")
        self.units = positive(units, self, "units")
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.dropout, self.recurrent_dropout = float(dropout), float(recurrent_dropout)
        self.seed = checked_seed(seed, self)
        self.return_sequences, self.return_state = bool(return_sequences), False
        self.go_backwards, self.stateful = bool(go_backwards), bool(stateful)
        self._kept = _Kept([])

    # Weights

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._gates * self.units,)

    def _first_bias(self, shape: Any, dtype: Any = None) -> Any:
        return self.bias_initializer(shape, dtype)

    def build(self, input_shape: PartialShape) -> None:
        self._check_rank(input_shape)
        columns = self._gates * self.units
        self.kernel = self.add_weight(
            (input_shape[2], columns),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, columns),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            name="recurrent_kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                self._bias_shape(),
                self._first_bias,
                regularizer=self.bias_regularizer,
                name="bias",
            )
        if self.stateful:
            batch = input_shape[0] or (self._batch_shape or (None,))[0]
            if batch is None:
                raise ValueError(
                    f"{self} is stateful and needs a fixed batch size: begin the model with "
                    "Input(batch_shape=(batch_size, time steps, features))."
                )
            shape = (batch, self.units)
            self._kept = _Kept(
                [
                    Variable(np.zeros(shape), trainable=False, path=f"{self.name}/state_{i}")
                    for i in range(self._states)
                ]
            )
        self.built = True

    @property
    def states(self) -> list[Variable]:
        """The states (batch, units) of a stateful layer, h first; they are no weights."""
        return self._kept.variables

    def reset_state(self) -> None:
        """Sets the states of a stateful layer to zeros: the next batch begins new sequences."""
        if not self.stateful:
            raise ValueError(f"{self} is not stateful and has no state to reset.")
        for state in self.states:
            state.assign(np.zeros(state.shape, np.float32))

    reset_states = reset_state

    # Calls

    def _check_rank(self, input_shape: PartialShape) -> None:
        if len(input_shape) != 3 or not input_shape[2]:
            raise ValueError(
                f"{self} expects inputs of shape (None, time steps, features), "
                f"got shape {input_shape}"
            )
        if input_shape[1] == 0:
            raise ValueError(f"{self} expects at least one time step, got shape {input_shape}")

    def check_input(self, input_shape: PartialShape) -> None:
        self._check_rank(input_shape)
        features = self.kernel.shape[0]
        if input_shape[2] != features:
            raise ValueError(
                f"{self} expects inputs with {features} features, got shape {input_shape}"
            )

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._ensure_built(input_shape)
        self.check_input(input_shape)
        if self.return_sequences:
            return (input_shape[0], input_shape[1], self.units)
        return (input_shape[0], self.units)

    def call(self, inputs: Any, training: bool = False) -> Any:
        y = self.in_time_order(inputs, training)
        return through_time.reverse_time(y) if self.go_backwards and self.return_sequences else y

    def in_time_order(self, inputs: Any, training: bool) -> Any:
        """As `call`, but a sequence's outputs stand at the time of their inputs."""
        n, _, features = inputs.shape
        trace: Trace = inputs.trace
        if self.stateful and n != self.states[0].shape[0]:
            raise ValueError(
                f"{self} is stateful and expects batches of {self.states[0].shape[0]}, got {n}."
            )

        def mask(rate: float, shape: tuple[int, ...], number: int) -> Any:
            stream = None if self.seed is None else (1 << 30) + (self.seed + number) % (1 << 30)
            return ops.dropout(trace.tensor(np.ones(shape, np.float32)), rate, stream)

        if training and self.dropout:
            inputs = inputs * mask(self.dropout, (n, 1, features), 0)
        on_states = None
        if training and self.recurrent_dropout:
            on_states = mask(self.recurrent_dropout, (n, self.units), 1)
        first = [state.value for state in self.states]
        # The core's gru has no mask.
        if self._is_native() and (on_states is None or self._op != "gru"):
            y, last = through_time._recur(
                self._op,
                inputs,
                self.kernel,
                self.recurrent_kernel,
                self.bias,
                first,
                on_states,
                {
                    "go_backwards": self.go_backwards,
                    "return_sequences": self.return_sequences,
                    **self._activation_names(),
                },
            )
        else:
            if not first:
                zeros = trace.tensor(np.zeros((n, self.units), np.float32))
                first = [zeros] * self._states

            def step(x: Any, states: list[Any]) -> list[Any]:
                h = states[0] if on_states is None else states[0] * on_states
                return self._step(x, states, h)

            y, last = through_time.unrolled(
                inputs, first, step, self.go_backwards, self.return_sequences
            )
        if self.stateful:
            for variable, state in zip(self.states, last, strict=True):
                variable.assign(state)
        return y

    def _activation_names(self) -> dict[str, str]:
        return {"activation": NATIVE[self.activation]}

    def _is_native(self) -> bool:
        return self.activation in NATIVE

    def _step(self, x: Any, states: list[Any], h: Any) -> list[Any]:
        """The states after one step, for layers that the core has no kernel for.

        `h` is `states[0]` after recurrent dropout, for the products of the step.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        for name in ("kernel", "recurrent", "bias"):
            key = f"{name}_initializer"
            config[key] = initializers.serialize(getattr(self, key))
            key = f"{name}_regularizer"
            config[key] = regularizers.serialize(getattr(self, key))
        for key in ("dropout", "recurrent_dropout", "seed", "return_sequences", "go_backwards"):
            config[key] = getattr(self, key)
        return {**config, "stateful": self.stateful}


def _read_keras_2(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keras 2's input_dim and input_length of a recurrent layer: the shape of its inputs."""
    for ignored in ("implementation", "use_cudnn"):
        kwargs.pop(ignored, None)
    if "input_dim" in kwargs:
        features, steps = kwargs.pop("input_dim"), kwargs.pop("input_length", None)
        kwargs.setdefault("input_shape", (steps, features))
    return kwargs
