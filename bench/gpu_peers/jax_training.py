"""JAX on a GPU: a whole epoch in one jitted call, lax.scan over the steps, the data on the GPU.

As the CPU's `jax_scan`, with the products' precision, and with several steps in one turn of the
loop where that is faster. In bfloat16, layers compute in it and weights stay float32, as with
PyTorch's autocast; the optimizer and the loss are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.data import Data, Floats
from bench.gpu_peers import Settings
from bench.peers import Array, OneRow, fastest, jax_common
from bench.peers.jax_common import Network, Tree
from bench.workloads import LSTM, Unsupported, Workload

_PRECISIONS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "default"}
_UNROLLS = (1, 4)  # steps in one turn of the epoch's loop
_PREDICT_ROWS = 1000


@dataclass(frozen=True)
class CoarseNetwork(Network):
    """The network with activations and copies of the weights in bfloat16, and float32 scores."""

    def forward(self, parameters: Tree, x: jax.Array, key: Any = None) -> jax.Array:
        coarse = jax.tree.map(lambda weights: weights.astype(jnp.bfloat16), parameters)
        scores = Network.forward(self, coarse, x.astype(jnp.bfloat16), key)
        return scores.astype(jnp.float32)


def check_device(device: str) -> None:
    try:
        found = jax.default_backend()
    except (AssertionError, RuntimeError) as error:  # its way of saying so
        raise Unsupported(f"JAX finds no {device}: {error!r}") from None
    if device != "cpu" and found != "gpu":
        raise Unsupported(f"JAX finds no GPU, only {found}")


class JaxTraining:
    def __init__(self, workload: Workload, data: Data, settings: Settings) -> None:
        jax_common.set_up()
        jax.config.update("jax_default_matmul_precision", _PRECISIONS[settings.precision])
        self.x, self.y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
        self.kind = CoarseNetwork if settings.precision == "bfloat16" else Network
        if workload.has(LSTM):
            # The loop that matters is the LSTM's own.
            choices = [(each, 1) for each in (1, 4, workload.input_shape[0])]
        else:
            choices = [(1, each) for each in _UNROLLS]
        epochs = {
            (lstm_unroll, unroll): jax_common.scan_epoch(
                self.kind(workload, lstm_unroll), len(self.x), unroll
            )
            for lstm_unroll, unroll in choices
        }
        carries = {choice: jax_common.initial_carry(workload) for choice in choices}

        def trial(choice: tuple[int, int]) -> None:
            carries[choice] = epochs[choice](carries[choice], self.x, self.y)
            jax.block_until_ready(carries[choice])

        best = fastest(choices, trial)
        self.epoch = epochs[best]
        what = "LSTM" if workload.has(LSTM) else "epoch"
        self.mode = f"lax.scan over the epoch, donated state, {what} unrolled by {max(best)}"
        self.carry = jax_common.initial_carry(workload)
        self.forward = jax.jit(self.kind(workload, best[0]).forward)

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.carry = self.epoch(self.carry, self.x, self.y)
        jax.block_until_ready(self.carry)

    def predict(self, x: Floats) -> Array:
        parts = [x[i : i + _PREDICT_ROWS] for i in range(0, len(x), _PREDICT_ROWS)]
        return np.concatenate([np.asarray(self.forward(self.carry[0], part)) for part in parts])

    def one_row(self) -> dict[str, OneRow]:
        return {}


def build(workload: Workload, data: Data, settings: Settings, name: str) -> JaxTraining:
    return JaxTraining(workload, data, settings)
