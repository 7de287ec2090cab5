"""The process of one peer on a GPU, or of the kernels alone: commands as lines of JSON on stdin.

Started by `bench.gpu_peers.process`. Unlike the CPU's workers it serves all workloads, one after
the other, because importing a framework and starting a GPU take seconds.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import sys
import time
from typing import Any, cast

from bench import data
from bench.gpu_peers import PEERS, GpuPeerModule, Settings
from bench.worker import Worker, serve
from bench.workloads import WORKLOADS


class PeerWorker(Worker):
    """Holds the peer as it was last built; the commands for blocks and accuracy are inherited."""

    module: GpuPeerModule

    def __init__(self, name: str, device: str) -> None:
        super().__init__(name)
        self.device = device

    def load(self) -> dict[str, Any]:
        """Import the framework, which several workers can do at the same time."""
        name = f"bench.gpu_peers.{PEERS[self.name].module}"
        self.module = cast(GpuPeerModule, importlib.import_module(name))
        self.module.check_device(self.device)
        return {}

    def build(
        self, workload: str, path: str | None, images: int | None, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Build, choose the mode and train the first epoch (which compiles what is left)."""
        start = time.perf_counter()
        self.__dict__.pop("peer", None)
        gc.collect()
        self.epochs, self.estimates = 0, {}
        self.workload = WORKLOADS[workload]
        if images is not None:
            self.workload = dataclasses.replace(self.workload, images=images)
        self.data = data.load(self.workload, path)
        self.peer = self.module.build(self.workload, self.data, Settings(**settings), self.name)
        self._train(1)
        return {"mode": self.peer.mode, "seconds": time.perf_counter() - start}


def main() -> None:
    name, device = sys.argv[1:3]
    if name in PEERS:
        serve(PeerWorker(name, device))
    else:
        from bench.gpu_peers.kernels import KernelWorker

        serve(KernelWorker(device))


if __name__ == "__main__":
    main()
