"""GPUs of other generations than the emulated one: what they multiply in, which are too old.

These run where the emulation has been built: `pytest --device cuda_on_cpu --module-path=...`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Prints the relative errors of products whose precision is the default, TF32.
PRODUCTS = """
import importlib, json, sys
import numpy as np
import weft
from weft import _core, layers

def pooled(images):
    weft.utils.set_random_seed(2)
    model = weft.Sequential([
        layers.Input((18, 18, 2)),
        layers.Conv2D(3, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(9),
    ])
    return model.predict(images, verbose=0)

rng = np.random.default_rng(1)
images = rng.random((2, 18, 18, 2), dtype=np.float32)
expected = pooled(images)
sys.path.insert(0, sys.argv[1])
_core.set_device(_core.add_device(importlib.import_module("cuda_on_cpu").device(0)))
errors = {"pooled": np.max(np.abs(pooled(images) - expected)) / np.max(np.abs(expected))}
for name, n in {"small": 40, "large": 1500}.items():  # tiles of 32, and what suits those of 128
    a, b = rng.random((n, 5), dtype=np.float32), rng.random((5, n), dtype=np.float32)
    exact = a.astype("d") @ b.astype("d")
    errors[name] = np.max(np.abs(weft.ops.matmul(a, b) - exact)) / np.max(exact)
print(json.dumps({name: float(error) for name, error in errors.items()}))
"""


@pytest.fixture
def run_products(request):
    if request.config.getoption("--device") != "cuda_on_cpu":
        pytest.skip("the emulation is not in use")

    def run(capability):
        return subprocess.run(
            [sys.executable, "-c", PRODUCTS, request.config.getoption("--module-path")],
            env={**os.environ, "CUDA_ON_CPU_CAPABILITY": capability},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(("capability", "least", "most"), [("7.5", 0.0, 1e-6), ("8.0", 1e-5, 1e-3)])
def test_tensor_cores_multiply_where_they_know_tf32(run_products, capability, least, most):
    result = run_products(capability)
    assert (result.returncode, result.stderr) == (0, "")
    errors = json.loads(result.stdout)
    assert set(errors) == {"pooled", "small", "large"}
    assert all(least <= error <= most for error in errors.values()), errors


def test_a_gpu_that_is_too_old_is_refused(run_products):
    result = run_products("7.0")
    assert result.returncode != 0
    assert "compute capability 7.0" in result.stderr
    assert "is too old: weft needs compute capability 7.5" in result.stderr
