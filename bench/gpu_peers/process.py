"""The driver's end of a worker on a GPU: several may load at once, but one at a time computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.gpu_peers import environment
from bench.machine import ROOT
from bench.process import WorkerError, WorkerProcess

KERNELS = "kernels"  # the worker for the kernels alone


class GpuProcess(WorkerProcess):
    """A worker that is not stopped between commands: its threads wait, and a GPU runs on anyway."""

    def __init__(self, name: str, device: str, scratch: Path) -> None:
        self.name = name
        self.log = scratch / f"{name}.log"
        path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        variables = os.environ | environment(device)
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.gpu_peers.worker", name, device],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
                env=variables, start_new_session=True,
            )  # fmt: skip

    def tell(self, do: str, **arguments: Any) -> None:
        """Send a command; `hear` waits for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        except BrokenPipeError:
            raise WorkerError(f"the worker ended: {self._last_words()}") from None

    def hear(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        try:
            line = self._read_line(self.process.stdout, timeout)
        except EOFError:
            raise WorkerError(f"the worker ended: {self._last_words()}") from None
        answer: dict[str, Any] = json.loads(line)
        for key in ("unsupported", "error"):
            if key in answer:
                raise WorkerError(answer[key])
        return answer

    def ask(self, do: str, timeout: float = 600.0, **arguments: Any) -> dict[str, Any]:
        self.tell(do, **arguments)
        return self.hear(timeout)
