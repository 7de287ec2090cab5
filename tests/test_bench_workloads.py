"""Each kind of workload, tiny, through weft's peer: it builds and learns. Nothing is timed."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

# bench/ belongs to the checkout, not to the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.data import Data
from bench.peers import weft_fit
from bench.worker import Worker
from bench.workloads import PREDICT_BATCH, WORKLOADS, Workload

pytestmark = pytest.mark.cpu

IMAGES, TEST_IMAGES = 192, PREDICT_BATCH + 3


def blocks(workload: Workload) -> Data:
    """Pictures that are easy to tell apart: a bright square, its place being the class."""

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int32) % 10
        images = np.zeros((count, 28, 28), np.float32)
        for image, label in zip(images, labels, strict=True):
            row, column = 14 * (label // 5), 5 * (label % 5)
            image[row : row + 10, column : column + 5] = 1
        return images.reshape(count, *workload.input_shape), labels

    return Data(*draw(IMAGES), *draw(TEST_IMAGES))


@pytest.mark.parametrize("name", ["W3", "W9", "W10", "W11", "W12"])
def test_weft_learns_the_workload(name: str) -> None:
    workload = dataclasses.replace(WORKLOADS[name], images=IMAGES, batch=16)
    worker = Worker("weft")
    worker.workload, worker.data = workload, blocks(workload)
    worker.peer = weft_fit.build(workload, worker.data, threads=2, name="weft")
    scores = worker.peer.predict(worker.data.x_test)
    shapes = [layer.output_shape(shape) for layer, shape in workload.layer_shapes()]
    assert scores.shape == (TEST_IMAGES, *shapes[-1])
    before = worker.accuracy()
    epochs = 6
    answer = worker.train(seconds=1e-9)  # one epoch, after two that are not timed
    assert answer["images"] == IMAGES
    worker.peer.train(epochs - worker.epochs)
    after = worker.accuracy()
    if workload.autoencoder:
        assert after["squared_error"] < 0.5 * before["squared_error"]
    else:
        assert after["accuracy"] > 0.9
