"""weft: model.fit with its defaults."""

from __future__ import annotations

import numpy as np

import weft
from bench.data import Data, Floats
from bench.peers import Array, OneRow, keras_api
from bench.workloads import PREDICT_BATCH, Workload


class WeftFit:
    mode = "defaults"

    def __init__(self, workload: Workload, data: Data, threads: int) -> None:
        weft.config.set_num_threads(threads)
        weft.utils.set_random_seed(0)
        self.x, self.y, self.batch = data.x_train, data.targets(workload), workload.batch
        self.model = keras_api.build_model(weft, workload)

    def train(self, epochs: int) -> None:
        self.model.fit(
            self.x, self.y, batch_size=self.batch, epochs=epochs, verbose=0, shuffle=True
        )

    def predict(self, x: Floats) -> Array:
        return np.asarray(self.model.predict(x, batch_size=PREDICT_BATCH, verbose=0))

    def one_row(self) -> dict[str, OneRow]:
        return {
            "predict_on_batch": self.model.predict_on_batch,
            "model(x)": lambda row: np.asarray(self.model(row)),
        }


def build(workload: Workload, data: Data, threads: int, name: str) -> WeftFit:
    return WeftFit(workload, data, threads)
