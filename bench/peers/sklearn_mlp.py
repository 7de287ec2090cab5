"""scikit-learn's MLPClassifier: partial_fit, one pass over the data per call, no regularisation."""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from bench.data import Data, Floats
from bench.peers import Array, OneRow
from bench.workloads import PREDICT_BATCH, Dense, Unsupported, Workload


class SklearnMlp:
    mode = "partial_fit"

    def __init__(self, workload: Workload, data: Data) -> None:
        dense = [layer for layer in workload.layers if isinstance(layer, Dense)]
        if len(dense) < len(workload.layers):
            raise Unsupported("MLPClassifier has dense layers only")
        settings = workload.optimizer
        if settings.name == "rmsprop":
            raise Unsupported("MLPClassifier has no RMSprop")
        sklearn.set_config(assume_finite=True)  # skip the scan of the inputs for NaN
        self.data = data
        self.classes = np.arange(10)
        self.model = MLPClassifier(
            hidden_layer_sizes=[layer.units for layer in dense[:-1]],
            solver=settings.name, learning_rate_init=settings.learning_rate,
            momentum=settings.momentum, nesterovs_momentum=settings.nesterov,
            epsilon=1e-7, alpha=0.0, batch_size=workload.batch, random_state=0,
        )  # fmt: skip

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.model.partial_fit(self.data.x_train, self.data.y_train, classes=self.classes)

    def predict(self, x: Floats) -> Array:
        scores = [
            self.model.predict_proba(x[start : start + PREDICT_BATCH])
            for start in range(0, len(x), PREDICT_BATCH)
        ]
        return np.concatenate(scores)

    def one_row(self) -> dict[str, OneRow]:
        return {"predict_proba": self.model.predict_proba}


def build(workload: Workload, data: Data, threads: int, name: str) -> SklearnMlp:
    return SklearnMlp(workload, data)
