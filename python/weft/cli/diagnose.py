"""`python -m weft`: how weft was built, what it found here, what it chose and why."""

from __future__ import annotations

import platform
import textwrap
from typing import Any

import numpy as np

_WIDTH = 92
_INDENT = 20


def report() -> str:
    """Returns the diagnosis as lines of text, one aligned paragraph a subject."""
    import weft
    from weft import _core

    info = _core.cpu_info()
    lines = [f"weft {weft.__version__}"]
    for label, text in _subjects(info):
        paragraph = textwrap.fill(
            text,
            width=_WIDTH,
            initial_indent=f"  {label}".ljust(_INDENT),
            subsequent_indent=" " * _INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines.append(paragraph)
    lines.append("Train MNIST with: python -m weft mnist")
    return "\n".join(lines)


def _subjects(info: dict[str, Any]) -> list[tuple[str, str]]:
    from weft import devices

    gpus = devices.list_devices()[1:]
    cuda = [f"{gpu}: {devices.describe(gpu)}" for gpu in gpus] or [devices.cuda_reason()]
    if devices.is_built():
        cuda.insert(0, f"built with {info['cuda_build']}")
    return [
        ("Python", f"{platform.python_version()} with NumPy {np.__version__}"),
        ("System", f"{platform.system()} on {platform.machine()}"),
        ("Processor", info["cpu_name"] or "unknown"),
        ("Instruction sets", f"built: {_list(info['isas_built'])}"),
        ("", f"found on this machine: {_list(info['isas_found'])}"),
        ("", f"used: {info['isa']}{_because(info['isa_reason'])}"),
        ("Threads", f"{info['threads']}{_because(info['threads_reason'])}"),
        *(("" if i else "CUDA", text) for i, text in enumerate(cuda)),
        ("Build", f"{info['build_type'] or 'unknown type'}, {info['compiler']}"),
        ("Flags", info["flags"] or "none"),
    ]


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
