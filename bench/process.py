"""The driver's end of a worker: start it, talk to it, and keep it stopped while others run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.machine import ROOT
from bench.peers import PeerSpec


class WorkerError(Exception):
    """A peer failed, timed out or cannot express the workload."""


class WorkerProcess:
    """A worker that answers each command with one line; see `bench.worker.serve`."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], scratch: Path
    ) -> None:
        """Starts `python -m command` with these variables besides the driver's own."""
        self.name = name
        self.log = scratch / f"{name}.log"
        path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        variables = {**os.environ, **environment}
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
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
        answer: dict[str, Any] = json.loads(self._read_line(timeout))
        for key in ("unsupported", "error"):
            if key in answer:
                raise WorkerError(answer[key])
        return answer

    def ask(self, do: str, timeout: float = 600.0, **arguments: Any) -> dict[str, Any]:
        self.tell(do, **arguments)
        return self.hear(timeout)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _read_line(self, timeout: float) -> str:
        # Safe with a buffered stream because a worker writes one line per command.
        stdout = self.process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], timeout)
        if not ready:
            raise WorkerError(f"no answer within {timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise WorkerError(f"the worker ended: {self._last_words()}")
        return line

    def _last_words(self) -> str:
        self.process.wait(timeout=10)
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"exit status {self.process.returncode}, {lines[-1][:200] if lines else 'no output'}"


class CpuProcess(WorkerProcess):
    """A worker that is stopped (SIGSTOP) from each answer to the next command.

    It inherits the driver's CPU set, so it must be started after that was chosen.
    """

    def __init__(self, spec: PeerSpec, threads: int, scratch: Path) -> None:
        environment = spec.worker_environment(threads, scratch)
        super().__init__(spec.name, ["bench.worker", spec.name], environment, scratch)

    def tell(self, do: str, **arguments: Any) -> None:
        self.process.send_signal(signal.SIGCONT)
        super().tell(do, **arguments)

    def _read_line(self, timeout: float) -> str:
        line = super()._read_line(timeout)
        self.process.send_signal(signal.SIGSTOP)
        return line


def settle(seconds: float = 0.02) -> None:
    """A moment for a stopped worker's threads to leave the CPUs."""
    time.sleep(seconds)
