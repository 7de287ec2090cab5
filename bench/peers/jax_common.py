"""What the JAX peers share: parameters, the loss, and the optimizers written out as in Keras."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from bench.peers import fastest
from bench.workloads import (
    LSTM,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    Optimizer,
    Shape,
    Unsupported,
    Workload,
)

Tree = Any  # a pytree of arrays

_IMAGES = ("NHWC", "HWIO", "NHWC")
_ACTIVATIONS = {None: lambda x: x, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}


def set_up() -> None:
    # Counter-based bits from XLA itself: several times faster than the default generator.
    jax.config.update("jax_default_prng_impl", "unsafe_rbg")


def initial_parameters(workload: Workload) -> Tree:
    """One tuple for each layer that has weights, Keras's initial ones.

    (kernel, bias), of an LSTM (kernel, recurrent kernel, bias); gates lie as in Keras: i f c o.
    """
    keys = iter(jax.random.split(jax.random.key(0), 2 * len(workload.layers)))
    pairs = workload.layer_shapes()
    return [
        _initial_weights(layer, shape, next(keys), next(keys))
        for layer, shape in pairs
        if layer.multiply_adds(shape)
    ]


def _initial_weights(layer: Layer, shape: Shape, key: Any, recurrent_key: Any) -> Tree:
    glorot = jax.nn.initializers.glorot_uniform()
    match layer:
        case Dense(units):
            return glorot(key, (shape[-1], units)), jnp.zeros(units)
        case Conv2D(filters, kernel) | Conv2DTranspose(filters, kernel):
            return glorot(key, (kernel, kernel, shape[2], filters)), jnp.zeros(filters)
        case LSTM(units):
            recurrent = jax.nn.initializers.orthogonal()(recurrent_key, (units, 4 * units))
            bias = jnp.zeros(4 * units).at[units : 2 * units].set(1.0)
            return glorot(key, (shape[-1], 4 * units)), recurrent, bias
    raise Unsupported(f"no {type(layer).__name__} in the JAX peers yet")


@dataclass(frozen=True)
class Network:
    """A workload's functions of its parameters."""

    workload: Workload
    unroll: int = 1  # steps of an LSTM in one turn of its loop

    @property
    def mode(self) -> str:
        """For the record, '' where there was nothing to choose."""
        return f", LSTM unrolled by {self.unroll}" if self.workload.has(LSTM) else ""

    def forward(self, parameters: Tree, x: jax.Array, key: Any = None) -> jax.Array:
        """Scores; dropout is active where a random key is given."""
        remaining = iter(parameters)
        for layer in self.workload.layers:
            match layer:
                case Dense(activation=activation):
                    kernel, bias = next(remaining)
                    x = _ACTIVATIONS[activation](x @ kernel + bias)
                case Conv2D(strides=strides, padding=padding, activation=activation):
                    kernel, bias = next(remaining)
                    x = lax.conv_general_dilated(
                        x, kernel, (strides, strides), padding.upper(), dimension_numbers=_IMAGES
                    )
                    x = _ACTIVATIONS[activation](x + bias)
                case Conv2DTranspose(strides=strides, activation=activation):
                    kernel, bias = next(remaining)
                    x = lax.conv_transpose(
                        x, kernel, (strides, strides), "SAME", dimension_numbers=_IMAGES
                    )
                    x = _ACTIVATIONS[activation](x + bias)
                case MaxPool2D(size):
                    x = _max_pool(x, size)
                case LSTM(units):
                    x = _lstm(x, units, *next(remaining), unroll=self.unroll)
                case Flatten():
                    x = x.reshape(len(x), math.prod(x.shape[1:]))
                case Dropout(rate) if key is not None:
                    key, mask_key = jax.random.split(key)
                    keep = jax.random.bernoulli(mask_key, 1 - rate, x.shape)
                    x = jnp.where(keep, x / (1 - rate), 0)
                case Dropout():
                    pass
                case _:
                    raise Unsupported(f"no {type(layer).__name__} in the JAX peers yet")
        return x

    def loss(self, parameters: Tree, x: jax.Array, y: jax.Array, key: Any) -> jax.Array:
        scores = self.forward(parameters, x, key)
        if self.workload.autoencoder:
            return jnp.mean((scores - y) ** 2)
        picked = jnp.take_along_axis(scores, y[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(scores, axis=1) - picked)

    def gradients(
        self, parameters: Tree, x: jax.Array, y: jax.Array, index: jax.Array, key: Any
    ) -> Tree:
        """Of the loss over the samples that `index` names."""
        rows = x[index]
        targets = rows if self.workload.autoencoder else y[index]
        return jax.grad(self.loss)(parameters, rows, targets, key)


def fastest_network(workload: Workload, x: jax.Array, y: jax.Array) -> Network:
    """The network; where it has an LSTM, the best number of steps to unroll by a short trial."""
    if not workload.has(LSTM):
        return Network(workload)
    parameters, key = initial_parameters(workload), jax.random.key(0)
    index = jnp.arange(workload.batch)
    unrolls = [1, 4, workload.input_shape[0]]
    steps = [jax.jit(Network(workload, unroll).gradients) for unroll in unrolls]

    def trial(choice: int) -> None:
        jax.block_until_ready(steps[choice](parameters, x, y, index, key))

    return Network(workload, unrolls[fastest(range(len(steps)), trial)])


def initial_carry(workload: Workload) -> Tree:
    """(parameters, optimizer state, random key): what goes through the steps of `scan_epoch`."""
    parameters = initial_parameters(workload)
    return parameters, initial_state(workload.optimizer, parameters), jax.random.key(1)


def scan_epoch(network: Network, images: int, unroll: int = 1) -> Any:
    """Jitted, (carry, x, y) -> carry: shuffle, lax.scan over the steps, the last small batch.

    The carry is donated; `unroll` steps make one turn of the loop.
    """
    workload, batch = network.workload, network.workload.batch

    def epoch(carry: Tree, x: jax.Array, y: jax.Array) -> Tree:
        def step(carry: Tree, index: jax.Array) -> tuple[Tree, None]:
            parameters, state, key = carry
            key, mask_key = jax.random.split(key)
            gradients = network.gradients(parameters, x, y, index, mask_key)
            new = update(workload.optimizer, parameters, gradients, state)
            return (*new, key), None

        parameters, state, key = carry
        key, order_key = jax.random.split(key)
        order = jax.random.permutation(order_key, images)
        full = images // batch * batch
        batches = order[:full].reshape(-1, batch)
        carry, _ = lax.scan(step, (parameters, state, key), batches, unroll=unroll)
        if full < images:
            carry, _ = step(carry, order[full:])
        return carry

    return jax.jit(epoch, donate_argnums=0)


def _max_pool(x: jax.Array, size: int) -> jax.Array:
    """As a maximum over two axes: XLA's own window reduction is slower on the CPU."""
    n, height, width, channels = x.shape
    rows, columns = height // size, width // size
    x = x[:, : rows * size, : columns * size]
    return x.reshape(n, rows, size, columns, size, channels).max((2, 4))


def _lstm(
    x: jax.Array, units: int, kernel: jax.Array, recurrent: jax.Array, bias: jax.Array, unroll: int
) -> jax.Array:
    """The last output; the inputs' part of all steps' gates is one product."""
    inputs = jnp.swapaxes(x @ kernel + bias, 0, 1)

    def step(state: Tree, gates: jax.Array) -> tuple[Tree, None]:
        output, cell = state
        i, f, c, o = jnp.split(gates + output @ recurrent, 4, axis=1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(c)
        return (jax.nn.sigmoid(o) * jnp.tanh(cell), cell), None

    zeros = jnp.zeros((len(x), units), x.dtype)
    (output, _), _ = lax.scan(step, (zeros, zeros), inputs, unroll=unroll)
    return output


def initial_state(settings: Optimizer, parameters: Tree) -> Tree:
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    if settings.name == "adam":
        return (zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.zeros((), jnp.float32))
    return () if settings.name == "sgd" and not settings.momentum else (zeros,)


def update(
    settings: Optimizer, parameters: Tree, gradients: Tree, state: Tree
) -> tuple[Tree, Tree]:
    """(new parameters, new state)"""
    rate, each = settings.learning_rate, jax.tree.map
    if settings.name == "rmsprop":
        square = each(lambda v, g: 0.9 * v + 0.1 * g * g, state[0], gradients)
        new = each(
            lambda w, g, v: w - rate * g * jax.lax.rsqrt(v + 1e-7), parameters, gradients, square
        )
        return new, (square,)
    if settings.name == "adam":
        first = each(lambda m, g: 0.9 * m + 0.1 * g, state[0], gradients)
        second = each(lambda v, g: 0.999 * v + 0.001 * g * g, state[1], gradients)
        step = state[2] + 1
        scale = rate * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        new = each(lambda w, m, v: w - scale * m / (jnp.sqrt(v) + 1e-7), parameters, first, second)
        return new, (first, second, step)
    if not settings.momentum:
        return each(lambda w, g: w - rate * g, parameters, gradients), ()
    mu = settings.momentum
    moment = each(lambda m, g: mu * m - rate * g, state[0], gradients)
    if settings.nesterov:
        new = each(lambda w, m, g: w + mu * m - rate * g, parameters, moment, gradients)
    else:
        new = each(lambda w, m: w + m, parameters, moment)
    return new, (moment,)
