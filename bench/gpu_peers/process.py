"""The driver's end of a worker on a GPU: several may load at once, but one at a time computes."""

from __future__ import annotations

from pathlib import Path

from bench.gpu_peers import environment
from bench.process import WorkerProcess

KERNELS = "kernels"  # the worker for the kernels alone


class GpuProcess(WorkerProcess):
    """A worker that is not stopped between commands: its threads wait, and a GPU runs on anyway."""

    def __init__(self, name: str, device: str, scratch: Path) -> None:
        command = ["bench.gpu_peers.worker", name, device]
        super().__init__(name, command, environment(device), scratch)
