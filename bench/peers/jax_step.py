"""JAX, one jitted step per batch: state donated, the batch gathered inside the step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bench.data import Data, Floats
from bench.peers import Array, OneRow, jax_common
from bench.peers.jax_common import Tree
from bench.workloads import PREDICT_BATCH, Workload


class JaxStep:
    def __init__(self, workload: Workload, data: Data) -> None:
        jax_common.set_up()
        self.images, self.batch = len(data.x_train), workload.batch
        self.x, self.y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
        network = jax_common.fastest_network(workload, self.x, self.y)
        self.mode = "jitted step, donated state" + network.mode
        parameters = jax_common.initial_parameters(workload)
        state = jax_common.initial_state(workload.optimizer, parameters)
        # (parameters, optimizer state, random key, position in the epoch): all stays on the
        # device, so that a step transfers nothing from Python.
        self.carry: Tree = (parameters, state, jax.random.key(1), jnp.int32(0))

        def step(carry: Tree, x: jax.Array, y: jax.Array, order: jax.Array, size: int) -> Tree:
            parameters, state, key, position = carry
            key, mask_key = jax.random.split(key)
            index = jax.lax.dynamic_slice(order, (position,), (size,))
            gradients = network.gradients(parameters, x, y, index, mask_key)
            parameters, state = jax_common.update(workload.optimizer, parameters, gradients, state)
            return parameters, state, key, position + size

        def start_epoch(carry: Tree) -> tuple[Tree, jax.Array]:
            parameters, state, key, position = carry
            key, order_key = jax.random.split(key)
            order = jax.random.permutation(order_key, self.images)
            return (parameters, state, key, jnp.zeros_like(position)), order

        self.step = jax.jit(step, static_argnames="size", donate_argnums=0)
        self.start_epoch = jax.jit(start_epoch, donate_argnums=0)
        self.forward = jax.jit(network.forward)

    def train(self, epochs: int) -> None:
        full, rest = divmod(self.images, self.batch)
        for _ in range(epochs):
            self.carry, order = self.start_epoch(self.carry)
            for _ in range(full):
                self.carry = self.step(self.carry, self.x, self.y, order, size=self.batch)
            if rest:
                self.carry = self.step(self.carry, self.x, self.y, order, size=rest)
        jax.block_until_ready(self.carry)

    def predict(self, x: Floats) -> Array:
        parameters = self.carry[0]
        scores = [
            self.forward(parameters, x[start : start + PREDICT_BATCH])
            for start in range(0, len(x), PREDICT_BATCH)
        ]
        return np.concatenate(scores)

    def one_row(self) -> dict[str, OneRow]:
        parameters = self.carry[0]
        return {"jitted forward": lambda row: np.asarray(self.forward(parameters, row))}


def build(workload: Workload, data: Data, threads: int, name: str) -> JaxStep:
    return JaxStep(workload, data)
