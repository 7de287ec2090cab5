"""JAX, a whole epoch in one jitted call: shuffle, lax.scan over the steps, the last small batch."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bench.data import Data, Floats
from bench.peers import Array, OneRow, jax_common
from bench.peers.jax_common import Tree
from bench.workloads import PREDICT_BATCH, Workload


class JaxScan:
    def __init__(self, workload: Workload, data: Data) -> None:
        jax_common.set_up()
        self.x, self.y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
        network = jax_common.fastest_network(workload, self.x, self.y)
        self.mode = "lax.scan over the epoch, donated state" + network.mode
        self.carry: Tree = jax_common.initial_carry(workload)

        def predict(parameters: Tree, x: jax.Array) -> jax.Array:
            forward = partial(network.forward, parameters)
            full = len(x) // PREDICT_BATCH * PREDICT_BATCH
            blocks = x[:full].reshape(-1, PREDICT_BATCH, *x.shape[1:])
            scores = jax.lax.map(forward, blocks)
            scores = scores.reshape(full, *scores.shape[2:])
            return jnp.concatenate([scores, forward(x[full:])]) if full < len(x) else scores

        self.epoch = jax_common.scan_epoch(network, len(self.x))
        self.forward = jax.jit(predict)

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.carry = self.epoch(self.carry, self.x, self.y)
        jax.block_until_ready(self.carry)

    def predict(self, x: Floats) -> Array:
        return np.asarray(self.forward(self.carry[0], x))

    def one_row(self) -> dict[str, OneRow]:
        return {}  # the same as jax_step's


def build(workload: Workload, data: Data, threads: int, name: str) -> JaxScan:
    return JaxScan(workload, data)
