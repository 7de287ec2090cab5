"""weft on a GPU: `model.fit` with its defaults, and the same epochs over data that stay there."""

from __future__ import annotations

import weft
from bench.data import Data
from bench.gpu_peers import Settings
from bench.peers.weft_fit import WeftFit
from bench.workloads import Unsupported, Workload


class WeftResident(WeftFit):
    """What `fit` runs for each epoch; the data are copied to the GPU once for all blocks."""

    mode = "the epochs of fit, data kept on the device from call to call"

    def __init__(self, workload: Workload, data: Data, threads: int) -> None:
        super().__init__(workload, data, threads)
        samples = self.model._prepare("fit", self.x, self.y, None, None)
        self.runner = self.model._train_runner(samples, self.batch)
        self.runner.keep_data_on_device()
        self.epochs = 0

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.runner.reset()
            self.runner.run(self.runner.shuffled(0, self.epochs), 0, self.runner.steps)
            self.epochs += 1


def check_device(device: str) -> None:
    try:
        weft.config.set_device(device)
    except ValueError as error:
        raise Unsupported(str(error)) from None


def build(workload: Workload, data: Data, settings: Settings, name: str) -> WeftFit:
    weft.config.set_matmul_precision(settings.precision)
    peer = WeftResident if name == "weft_resident" else WeftFit
    return peer(workload, data, threads=0)
