"""The peers: what each needs, its environment, and the protocol its module follows.

Nothing here imports a framework. Each peer's module does, in its own worker process, and offers
`build(workload, data, threads, name) -> Peer`, raising `Unsupported` for what it cannot express;
`name` is the peer's, for modules that serve several.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench import machine
from bench.data import Data, Floats
from bench.peers import mkl_fast_path
from bench.workloads import Unsupported, Workload

Array = NDArray[np.float32]
OneRow = Callable[[Array], object]
Choice = TypeVar("Choice")


class Peer(Protocol):
    """A built network. Every call returns only when its work is done."""

    mode: str  # what `build` chose among the peer's modes, for the record

    def train(self, epochs: int) -> None:
        """Train for some epochs; one call, so that `fit` pays its set-up once, not per epoch."""

    def predict(self, x: Floats) -> Array:
        """(n, *output shape) scores of all rows of x, in batches of PREDICT_BATCH."""

    def one_row(self) -> dict[str, OneRow]:
        """Ways to score one row, (1, features) NumPy in and NumPy out; the fastest counts."""


class PeerModule(Protocol):
    def build(self, workload: Workload, data: Data, threads: int, name: str) -> Peer: ...


@dataclass(frozen=True)
class PeerSpec:
    name: str
    module: str  # in bench.peers
    requires: tuple[str, ...]  # top-level modules that must be importable
    environment: dict[str, str] = field(default_factory=dict)
    mkl_fast_path: bool = False

    def why_not(self) -> str | None:
        """One clause on why this peer cannot run here, None if it can."""
        missing = [name for name in self.requires if importlib.util.find_spec(name) is None]
        if missing:
            return f"{', '.join(missing)} not installed"
        return mkl_fast_path.why_not() if self.mkl_fast_path else None

    def worker_environment(self, threads: int, scratch: Path) -> dict[str, str]:
        """What must be set before the interpreter starts; `scratch` is a folder to build in."""
        count = str(threads)
        # The framework's own thread settings follow in `build`, after the import.
        environment = dict.fromkeys(_THREAD_VARIABLES, count) | _COMMON | self.environment
        if self.mkl_fast_path:
            environment["LD_PRELOAD"] = str(mkl_fast_path.compile_library(scratch))
        if self.name == "sklearn" and machine.has_flag("avx512f"):
            # OpenBLAS picks AVX2 kernels on AMD; its AVX-512 kernels are up to twice as fast.
            environment["OPENBLAS_CORETYPE"] = "SkylakeX"
        return environment


_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC", "PJRT_NPROC",
    "WEFT_NUM_THREADS",
)  # fmt: skip
_COMMON = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compiler processes beside the worker
    "PYTHONHASHSEED": "0",
}

PEERS: dict[str, PeerSpec] = {
    spec.name: spec
    for spec in (
        PeerSpec("weft", "weft_fit", ("weft",)),
        PeerSpec("torch_eager", "torch_eager", ("torch",)),
        PeerSpec("torch_mkl", "torch_eager", ("torch",), mkl_fast_path=True),
        PeerSpec("torch_compile", "torch_compile", ("torch",)),
        PeerSpec("jax_step", "jax_step", ("jax",)),
        PeerSpec("jax_scan", "jax_scan", ("jax",)),
        PeerSpec("keras_jax", "keras_fit", ("keras", "jax"), {"KERAS_BACKEND": "jax"}),
        PeerSpec("keras_tf", "keras_fit", ("keras", "tensorflow"), {"KERAS_BACKEND": "tensorflow"}),
        PeerSpec("keras_torch", "keras_fit", ("keras", "torch"), {"KERAS_BACKEND": "torch"}),
        PeerSpec("keras_torch_jit", "keras_fit", ("keras", "torch"), {"KERAS_BACKEND": "torch"}),
        PeerSpec("sklearn", "sklearn_mlp", ("sklearn",)),
    )
}


def available_peers(
    names: Sequence[str],
    specs: Mapping[str, PeerSpec],
    leave_out: Callable[[str, str], None],
) -> list[str]:
    """Those of the names that can run here; the others go to `leave_out`, with the reason."""
    available = []
    for name in names:
        reason = specs[name].why_not()
        if reason is None:
            available.append(name)
        else:
            leave_out(name, reason)
    return available


def fastest(
    choices: Sequence[Choice],
    run: Callable[[Choice], object],
    seconds: float = 0.1,
    rounds: int = 3,
) -> Choice:
    """The choice with the quickest `run`, by a short trial in interleaved rounds.

    Only what comes near the best goes on to the next round. A run that fails is as good as
    infinitely slow, unless all of them fail.
    """
    best = dict.fromkeys(range(len(choices)), math.inf)
    failure: Exception | None = None
    for _ in range(rounds):
        if len(best) == 1:
            break
        for index in best:
            try:
                best[index] = min(best[index], _trial(choices[index], run, seconds))
            except Exception as error:  # any failure of a framework's optional mode
                failure = error
        limit = _NEAR * min(best.values())
        best = {index: time for index, time in best.items() if time <= limit < math.inf}
        if not best:
            raise Unsupported(f"no mode works: {failure}")
    return choices[min(best, key=lambda index: best[index])]


_NEAR = 1.25


def _trial(choice: Choice, run: Callable[[Choice], object], seconds: float) -> float:
    """Mean seconds of a run, after one that compiles or warms up."""
    run(choice)
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        run(choice)
        count += 1
    return elapsed / count
