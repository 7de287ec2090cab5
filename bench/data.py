"""MNIST as every peer gets it: float32 images scaled to 0..1 and int32 labels, in memory."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.workloads import Workload

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Data:
    x_train: Floats  # (images, *input_shape)
    y_train: Labels  # (images,)
    x_test: Floats  # (10000, *input_shape)
    y_test: Labels  # (10000,)

    def targets(self, workload: Workload) -> Floats | Labels:
        """What training aims at: the labels, or the images themselves."""
        return self.x_train if workload.autoencoder else self.y_train


def load(workload: Workload, path: str | Path | None = None) -> Data:
    """The workload's first `images` training images and all test images.

    `path` is an .npz with Keras's names (x_train, y_train, x_test, y_test); without it the file
    that travels inside weft is used.
    """
    if path is None:
        mnist = importlib.import_module("weft.datasets.mnist")
        (x_train, y_train), (x_test, y_test) = mnist.load_data()
    else:
        with np.load(path) as arrays:
            x_train, y_train = arrays["x_train"], arrays["y_train"]
            x_test, y_test = arrays["x_test"], arrays["y_test"]
    x_train, y_train = x_train[: workload.images], y_train[: workload.images]
    if len(x_train) < workload.images:
        raise ValueError(f"{workload.name} needs {workload.images} images, got {len(x_train)}")
    return Data(
        _scale(x_train, workload), y_train.astype(np.int32),
        _scale(x_test, workload), y_test.astype(np.int32),
    )  # fmt: skip


def _scale(images: NDArray[np.uint8], workload: Workload) -> Floats:
    rows = images.reshape(len(images), *workload.input_shape)
    return np.ascontiguousarray(rows, dtype=np.float32) / np.float32(255)
