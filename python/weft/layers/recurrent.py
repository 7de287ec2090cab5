"""SimpleRNN, LSTM and GRU."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import activations, ops
from weft.graph import Array
from weft.layers.recurrent_base import NATIVE, Recurrent
from weft.ops import recurrent as through_time


class SimpleRNN(Recurrent):
    """h = activation(x kernel + bias + h recurrent_kernel). (Elman, 1990)

    Its weights are kernel (F, units), recurrent_kernel (units, units) and bias (units,).

    The arguments are those of `Recurrent`.
    """

    _op, _gates, _states = "simple_rnn", 1, 1

    def _step(self, x: Any, states: list[Any], h: Any) -> list[Any]:
        given = (x, self.kernel, self.bias, h, self.recurrent_kernel)
        return [self.activation(through_time.recurrent_product(*given))]


class _Gated(Recurrent):
    """Recurrent layers with a function of their gates."""

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        first = (kernel_initializer, recurrent_initializer, bias_initializer)
        super().__init__(units, activation, use_bias, *first, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)

    def _activation_names(self) -> dict[str, str]:
        gate = NATIVE[self.recurrent_activation]
        return {**super()._activation_names(), "recurrent_activation": gate}

    def _is_native(self) -> bool:
        return super()._is_native() and self.recurrent_activation in NATIVE

    def get_config(self) -> dict[str, Any]:
        gate = activations.serialize(self.recurrent_activation)
        return {**super().get_config(), "recurrent_activation": gate}


class LSTM(_Gated):
    """Long short-term memory. (Hochreiter and Schmidhuber, 1997)

    i, f, o = recurrent_activation(x kernel + bias + h recurrent_kernel), g = activation(likewise);
    c = f * c + i * g; h = o * activation(c). The weights are kernel (F, 4 * units),
    recurrent_kernel (units, 4 * units) and bias (4 * units,), for i, f, g and o.

    The arguments are those of `Recurrent`, and besides:
        recurrent_activation: The function of the gates.
        unit_forget_bias: Whether the bias of f begins with 1.
    """

    _op, _gates, _states = "lstm", 4, 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        first = (kernel_initializer, recurrent_initializer, bias_initializer)
        super().__init__(units, activation, recurrent_activation, use_bias, *first, **kwargs)
        self.unit_forget_bias = bool(unit_forget_bias)

    def _first_bias(self, shape: Any, dtype: Any = None) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype)
        h = self.units
        parts: list[Array] = [
            self.bias_initializer((h,), dtype),
            np.ones(h, np.float32),
            self.bias_initializer((2 * h,), dtype),
        ]
        return np.concatenate(parts)

    def _step(self, x: Any, states: list[Any], h: Any) -> list[Any]:
        given = (x, self.kernel, self.bias, h, self.recurrent_kernel)
        i, f, g, o = ops.split(through_time.recurrent_product(*given), 4, axis=1)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(g)
        return [gate(o) * self.activation(c), c]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


class GRU(_Gated):
    """Gated recurrent units. (Cho et al., 2014)

    z, r = recurrent_activation(x kernel + bias[0] + h recurrent_kernel + bias[1]);
    g = activation(x kernel + bias[0] + r * (h recurrent_kernel + bias[1]));
    h = z * h + (1 - z) * g.
    The weights are kernel (F, 3 * units), recurrent_kernel (units, 3 * units) and bias
    (2, 3 * units), for z, r and g. With reset_after=False, r multiplies h before the product, and
    the bias is one of shape (3 * units,).

    The arguments are those of `Recurrent`, and besides:
        recurrent_activation: The function of the gates.
        reset_after: As said.
    """

    _op, _gates, _states = "gru", 3, 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        first = (kernel_initializer, recurrent_initializer, bias_initializer)
        super().__init__(units, activation, recurrent_activation, use_bias, *first, **kwargs)
        self.reset_after = bool(reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _is_native(self) -> bool:
        return super()._is_native() and self.reset_after

    def _step(self, x: Any, states: list[Any], h: Any) -> list[Any]:
        at = 2 * self.units
        bias = self.bias[0] if self.bias is not None and self.reset_after else self.bias
        xz, xr, xg = ops.split(ops.dense(x, self.kernel, bias), 3, axis=1)
        gate, u = self.recurrent_activation, self.recurrent_kernel
        if self.reset_after:
            rec_bias = None if self.bias is None else self.bias[1]
            hz, hr, hg = ops.split(ops.dense(h, u, rec_bias), 3, axis=1)
            z = gate(xz + hz)
            g = self.activation(xg + gate(xr + hr) * hg)
        else:
            hz, hr = ops.split(ops.matmul(h, u[:, :at]), 2, axis=1)
            z = gate(xz + hz)
            g = self.activation(xg + ops.matmul(gate(xr + hr) * h, u[:, at:]))
        return [z * states[0] + (1.0 - z) * g]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reset_after": self.reset_after}
