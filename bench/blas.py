"""The three products of a dense layer as others compute them: NumPy (OpenBLAS), PyTorch (MKL).

Row-major float32 operands and results that exist before the clock starts; no bias, no relu, which
weft's own figures include. The instruction set is that of weft's process, as far as a library can
be told: OpenBLAS by the name of a CPU, MKL by its limit and, on AMD, by its fast path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import machine
from bench.peers import mkl_fast_path

LIBRARIES = ("numpy", "torch")
Call = Callable[[], object]
Shape = tuple[int, int, int]  # (M, K, N)

_OPENBLAS_CPU = {"avx2": "Haswell", "avx512": "SkylakeX"}
_MKL_LIMIT = {"avx2": "AVX2", "avx512": "AVX512"}


def environment(libraries: list[str], isa: str, threads: int, scratch: Path) -> dict[str, str]:
    """What must be set before the interpreter starts; `scratch` is a folder to build in."""
    found = {}
    if "numpy" in libraries:
        found |= {
            "OPENBLAS_NUM_THREADS": str(threads), "OPENBLAS_CORETYPE": _OPENBLAS_CPU[isa],
        }  # fmt: skip
    if "torch" in libraries:
        found |= {"MKL_NUM_THREADS": str(threads), "MKL_ENABLE_INSTRUCTIONS": _MKL_LIMIT[isa]}
        if machine.is_amd():
            found["LD_PRELOAD"] = str(mkl_fast_path.compile_library(scratch))
    return found


def call_of(library: str, role: str, shape: Shape, threads: int) -> Call:
    """The product of a role, on operands of its own."""
    m, k, n = shape
    sizes = ((m, k), (k, n), (m, n))
    x: Any
    product: Any
    like: Any
    if library == "numpy":
        import numpy as np

        random = np.random.default_rng(0)
        x, w, dy = (random.standard_normal(size, dtype=np.float32) for size in sizes)
        product, like = np.matmul, np.empty_like
    else:
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        x, w, dy = (torch.randn(size) for size in sizes)
        product, like = torch.mm, torch.empty_like
    left, right, result = {
        "forward": (x, w, dy), "grad_input": (dy, w.T, x), "grad_kernel": (x.T, dy, w),
    }[role]  # fmt: skip
    out = like(result)
    return lambda: product(left, right, out=out)
