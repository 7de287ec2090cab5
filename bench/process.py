"""The driver's end of a worker: start it, talk to it, and keep it stopped while others run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from bench.machine import ROOT
from bench.peers import PeerSpec


class WorkerError(Exception):
    """A peer failed, timed out or cannot express the workload."""


class WorkerProcess:
    """Inherits the driver's CPU set, so it must be started after that was chosen."""

    def __init__(self, spec: PeerSpec, threads: int, scratch: Path) -> None:
        self.name = spec.name
        self.log = scratch / f"{spec.name}.log"
        environment = os.environ | spec.worker_environment(threads, scratch)
        path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", spec.name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def ask(self, do: str, timeout: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """Wake the worker, send one command, wait for the answer, and stop the worker again."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            self.process.send_signal(signal.SIGCONT)
            stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            line = self._read_line(stdout, timeout)
            self.process.send_signal(signal.SIGSTOP)
        except (BrokenPipeError, EOFError):
            raise WorkerError(f"the worker ended: {self._last_words()}") from None
        answer: dict[str, Any] = json.loads(line)
        for key in ("unsupported", "error"):
            if key in answer:
                raise WorkerError(answer[key])
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _read_line(self, stdout: IO[str], timeout: float) -> str:
        # Safe with a buffered stream because a worker writes one line per command.
        ready, _, _ = select.select([stdout], [], [], timeout)
        if not ready:
            raise WorkerError(f"no answer within {timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise EOFError
        return line

    def _last_words(self) -> str:
        self.process.wait(timeout=10)
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"exit status {self.process.returncode}, {lines[-1][:200] if lines else 'no output'}"


def settle(seconds: float = 0.02) -> None:
    """A moment for a stopped worker's threads to leave the CPUs."""
    time.sleep(seconds)
