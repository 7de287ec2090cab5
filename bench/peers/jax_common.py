"""What the JAX peers share: parameters, the loss, and the optimizers written out as in Keras."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from bench.workloads import Dense, Dropout, Optimizer, Unsupported, Workload

Tree = Any  # a pytree of arrays


def set_up() -> None:
    # Counter-based bits from XLA itself: several times faster than the default generator.
    jax.config.update("jax_default_prng_impl", "unsafe_rbg")


def initial_parameters(workload: Workload) -> Tree:
    """[(kernel (in, out), bias (out,))] of the dense layers, Glorot uniform and zeros."""
    key = jax.random.key(0)
    initializer = jax.nn.initializers.glorot_uniform()
    parameters = []
    shape = workload.input_shape
    for layer in workload.layers:
        if isinstance(layer, Dense):
            key, kernel_key = jax.random.split(key)
            kernel = initializer(kernel_key, (shape[-1], layer.units), jnp.float32)
            parameters.append((kernel, jnp.zeros(layer.units, jnp.float32)))
        elif not isinstance(layer, Dropout):
            raise Unsupported(f"no {type(layer).__name__} in the JAX peers yet")
        shape = layer.output_shape(shape)
    return parameters


def forward(workload: Workload, parameters: Tree, x: jax.Array, key: Any = None) -> jax.Array:
    """Logits; dropout is active where a random key is given."""
    remaining = iter(parameters)
    for layer in workload.layers:
        match layer:
            case Dense(activation=activation):
                kernel, bias = next(remaining)
                x = x @ kernel + bias
                if activation == "relu":
                    x = jax.nn.relu(x)
            case Dropout(rate) if key is not None:
                key, mask_key = jax.random.split(key)
                keep = jax.random.bernoulli(mask_key, 1 - rate, x.shape)
                x = jnp.where(keep, x / (1 - rate), 0)
    return x


def loss(workload: Workload, parameters: Tree, x: jax.Array, y: jax.Array, key: Any) -> jax.Array:
    logits = forward(workload, parameters, x, key)
    picked = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - picked)


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
