"""The peers on a GPU: what each needs, its environment, and what its module is built with.

As in `bench.peers`, nothing here imports a framework. Each peer's module does, in a process of its
own, and offers `build(workload, data, settings, name) -> Peer`, raising `Unsupported` for what it
cannot express. weft is there twice: `weft` is `model.fit`, which copies the data to the GPU once a
call; `weft_resident` runs the same epochs over data that stay there, as the other peers' do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.data import Data
from bench.peers import Peer, PeerSpec
from bench.workloads import Workload

# In what matrix products multiply; they add, and all else is computed, in float32.
PRECISIONS = ("tf32", "float32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """What a peer is built for, beside the workload."""

    precision: str
    device: str = "cuda"  # or "cpu", to try the programs out where there is no GPU
    thorough: bool = False  # also try modes that take minutes to compile


class GpuPeerModule(Protocol):
    def check_device(self, device: str) -> None:
        """Raise `Unsupported` where the framework finds no such device."""

    def build(self, workload: Workload, data: Data, settings: Settings, name: str) -> Peer: ...


PEERS: dict[str, PeerSpec] = {
    spec.name: spec
    for spec in (
        PeerSpec("weft", "weft_training", ("weft",)),
        PeerSpec("weft_resident", "weft_training", ("weft",)),
        PeerSpec("torch_eager", "torch_training", ("torch",)),
        PeerSpec("torch_graph", "torch_training", ("torch",)),
        PeerSpec("torch_compile", "torch_training", ("torch",)),
        PeerSpec("jax_scan", "jax_training", ("jax",)),
    )
}
OWN = ("weft", "weft_resident")


def environment(device: str) -> dict[str, str]:
    """What must be set before a worker's interpreter starts."""
    chosen = {
        # JAX would take three quarters of the memory, and would quietly run on the CPU.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_PLATFORMS": "cpu" if device == "cpu" else "cuda",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONHASHSEED": "0",
    }
    return chosen | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})


def known_precisions(names: Sequence[str]) -> list[str]:
    """Those of PRECISIONS that are among the names, in their order."""
    return [name for name in PRECISIONS if name in names]
