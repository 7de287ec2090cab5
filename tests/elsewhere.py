"""What a test module computes in a process of its own, which may use another instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weft import _core


def value_elsewhere(expression: str, **environment: str) -> str:
    """The value of such an expression as "test_fit.digest(1)", as another process prints it."""
    module = expression.partition(".")[0]
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    program += f"import {module}; print({expression})"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    return run.stdout.strip()


def values_by_isa(expression: str) -> set[str]:
    """Those of every instruction set of this machine that has fused multiply-add."""
    found = _core.cpu_info()["isas_found"]
    fused_multiply_add = [isa for isa in ("avx2", "avx512", "neon") if isa in found]
    if len(fused_multiply_add) < 2:
        pytest.skip("this machine has only one instruction set with fused multiply-add")
    return {value_elsewhere(expression, WEFT_ISA=isa) for isa in fused_multiply_add}
