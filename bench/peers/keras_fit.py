"""Keras on the backend that KERAS_BACKEND names: model.fit, `compile` options by a short trial."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bench.data import Data, Floats
from bench.peers import Array, OneRow, fastest, keras_api
from bench.workloads import LSTM, PREDICT_BATCH, Workload

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


Options = dict[str, Any]  # of keras_api.build_model


def _stages(name: str, workload: Workload) -> list[list[Options]]:
    """Choices that may make the backend faster, the defaults first; each stage keeps its best.

    `keras_torch` stays as users get it; `keras_torch_jit` is Keras's use of torch.compile.
    """
    grouped: list[Options] = [{"steps_per_execution": steps} for steps in (16, 100)]
    jitted: Options = {"jit_compile": True}
    match name:
        case "keras_jax":
            modes = [{}, *grouped]
        case "keras_tf":
            modes = [{}, jitted, *grouped, *(jitted | options for options in grouped)]
        case "keras_torch_jit":
            return [[jitted]]
        case _:
            return [[{}]]
    loops: list[Options] = [{}, {"lstm_options": {"unroll": True}}]  # by itself: slow to build
    return [loops, modes] if workload.has(LSTM) else [modes]


class KerasFit:
    def __init__(self, workload: Workload, data: Data, threads: int, name: str) -> None:
        _set_threads(threads)
        keras.utils.set_random_seed(0)
        self.x, self.y, self.batch = data.x_train, data.targets(workload), workload.batch
        trial_images = min(_TRIAL_BATCHES * workload.batch, len(data.x_train))

        def trial(model: Any) -> None:
            self.model = model
            self._fit(trial_images, 1)

        options: Options = {}
        for stage in _stages(name, workload):
            modes = [options | choice for choice in stage]
            models = [keras_api.build_model(keras, workload, **mode) for mode in modes]
            options = modes[models.index(fastest(models, trial))]
        self.mode = ", ".join(f"{key}={value}" for key, value in options.items()) or "defaults"
        # A fresh model, so that training starts from initial weights.
        self.model = keras_api.build_model(keras, workload, **options)

    def _fit(self, images: int, epochs: int) -> None:
        self.model.fit(
            self.x[:images], self.y[:images], batch_size=self.batch, epochs=epochs, verbose=0,
            shuffle=True,
        )  # fmt: skip

    def train(self, epochs: int) -> None:
        self._fit(len(self.x), epochs)

    def predict(self, x: Floats) -> Array:
        return np.asarray(self.model.predict(x, batch_size=PREDICT_BATCH, verbose=0))

    def one_row(self) -> dict[str, OneRow]:
        def call(row: Array) -> object:
            return keras.ops.convert_to_numpy(self.model(row, training=False))

        return {"predict_on_batch": self.model.predict_on_batch, "model(x)": call}


def build(workload: Workload, data: Data, threads: int, name: str) -> KerasFit:
    return KerasFit(workload, data, threads, name)
