"""Where networks live and are trained: the CPU, or a GPU that `weft._cuda` offers.

Nothing of CUDA is touched before somebody asks for a GPU.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType

from weft import _core

_added: set[str] = set()


def _cuda() -> tuple[ModuleType | None, int, str]:
    """The module, how many GPUs can be used, and why none can."""
    try:
        module = importlib.import_module("weft._cuda")
    except ImportError:
        return None, 0, f"not built ({_core.cpu_info()['cuda_build']})"
    count, reason = module.device_count()
    return module, count, reason


def is_built() -> bool:
    """Whether weft was built with its CUDA kernels."""
    return _cuda()[0] is not None


def cuda_reason() -> str:
    """Why no GPU can be used: "not built (...)", "no driver", "driver too old: ...", "no device".

    "" if one can.
    """
    return _cuda()[2]


def describe(device: str) -> str:
    """A GPU in words, from its name such as "cuda:0"."""
    module, _, reason = _cuda()
    if module is None:
        raise ValueError(f"{device} is not available here: {reason}.")
    return str(module.describe(int(device.split(":")[1])))


def list_devices() -> list[str]:
    """The devices that networks can be trained on here, e.g. `["cpu", "cuda:0"]`."""
    return ["cpu", *(f"cuda:{i}" for i in range(_cuda()[1]))]


def get_device() -> str:
    """Where new networks live, e.g. "cpu" or "cuda:0"."""
    return _core.get_device()


def set_device(device: str) -> None:
    """Sets where new networks live and are trained. Those that have been built stay where they are.

    Args:
        device: "cpu", "cuda" (the first GPU), "cuda:1" and so on, or "auto": the fastest that has
            been proven, which is the CPU for now.

    Raises:
        ValueError: There is no such device here.
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ValueError(
            f"set_device expects 'auto', 'cpu', 'cuda' or 'cuda:' and a number, got {device!r}."
        )
    # A GPU is to be asked for by name until the kernels have passed bench/gpu_acceptance.sh.
    name = {"auto": "cpu", "cuda": "cuda:0"}.get(device, device)
    if name != "cpu" and name not in _added:
        module, count, reason = _cuda()
        index = int(name.split(":")[1])
        if module is None or index >= count:
            reason = reason or f"this machine has {count} GPU{'' if count == 1 else 's'}"
            raise ValueError(f"set_device: {device!r} is not available here: {reason}.")
        _added.add(_core.add_device(module.device(index)))
    _core.set_device(name)
