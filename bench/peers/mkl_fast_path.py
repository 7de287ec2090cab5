"""MKL's fast path on AMD: stock MKL takes its AVX2 or slower kernels on other vendors' CPUs.

MKL asks its own function whether the CPU is Intel's. A preloaded library that answers yes lets it
choose by instruction set alone, which is the best PyTorch can do on AMD with its stock wheels.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench import machine

_SOURCE = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CC", "cc"))


def why_not() -> str | None:
    if not machine.is_amd():
        return "MKL's fast path needs no forcing: not an AMD CPU"
    return None if _compiler() else "no C compiler for the preloaded library"


def compile_library(folder: Path) -> Path:
    """Compile the library into `folder` unless it is there; its path is for LD_PRELOAD."""
    library = folder / "mkl_fast_path.so"
    compiler = _compiler()
    if not library.exists():
        if compiler is None:
            raise FileNotFoundError("no C compiler found; set CC")
        command = [compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=_SOURCE, text=True, check=True)
    return library
