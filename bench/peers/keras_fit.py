"""Keras on the backend that KERAS_BACKEND names: model.fit, `compile` options by a short trial."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bench.data import Data, Floats
from bench.peers import Array, OneRow, fastest, keras_api
from bench.workloads import PREDICT_BATCH, Workload

_TRIAL_BATCHES = 64


def _set_threads(threads: int) -> None:
    match keras.backend.backend():
        case "torch":
            import torch

            torch.set_num_threads(threads)
        case "tensorflow":
            import tensorflow

            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(threads)


def _modes(name: str) -> list[dict[str, Any]]:
    """Options of `compile`: the defaults first, then those that may make the backend faster.

    `keras_torch` stays as users get it; `keras_torch_jit` is Keras's use of torch.compile.
    """
    grouped: list[dict[str, Any]] = [{"steps_per_execution": steps} for steps in (16, 100)]
    match name:
        case "keras_jax":
            return [{}, *grouped]
        case "keras_tf":
            jitted = {"jit_compile": True}
            return [{}, jitted, *grouped, *(jitted | options for options in grouped)]
        case "keras_torch_jit":
            return [{"jit_compile": True}]
    return [{}]


class KerasFit:
    def __init__(self, workload: Workload, data: Data, threads: int, name: str) -> None:
        _set_threads(threads)
        keras.utils.set_random_seed(0)
        self.data, self.batch = data, workload.batch
        trial_images = min(_TRIAL_BATCHES * workload.batch, len(data.x_train))
        modes = _modes(name)
        models = [keras_api.build_model(keras, workload, **options) for options in modes]

        def trial(index: int) -> None:
            self.model = models[index]
            self._fit(trial_images, 1)

        options = modes[fastest(range(len(modes)), trial)]
        self.mode = ", ".join(f"{key}={value}" for key, value in options.items()) or "defaults"
        if len(modes) > 1:  # a fresh model, so that training starts from initial weights
            self.model = keras_api.build_model(keras, workload, **options)
        else:
            self.model = models[0]

    def _fit(self, images: int, epochs: int) -> None:
        self.model.fit(
            self.data.x_train[:images], self.data.y_train[:images], batch_size=self.batch,
            epochs=epochs, verbose=0, shuffle=True,
        )  # fmt: skip

    def train(self, epochs: int) -> None:
        self._fit(len(self.data.x_train), epochs)

    def predict(self, x: Floats) -> Array:
        return np.asarray(self.model.predict(x, batch_size=PREDICT_BATCH, verbose=0))

    def one_row(self) -> dict[str, OneRow]:
        def call(row: Array) -> object:
            return keras.ops.convert_to_numpy(self.model(row, training=False))

        return {"predict_on_batch": self.model.predict_on_batch, "model(x)": call}


def build(workload: Workload, data: Data, threads: int, name: str) -> KerasFit:
    return KerasFit(workload, data, threads, name)
