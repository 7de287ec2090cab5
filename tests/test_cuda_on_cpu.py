"""The emulation of CUDA: what it must find, and that it leaves the core's results alone.

These run where the emulation has been built: `pytest --device cuda_on_cpu --module-path=...`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def planted_bugs(request):
    if request.config.getoption("--device") != "cuda_on_cpu":
        pytest.skip("the emulation is not in use")
    return Path(request.config.getoption("--module-path")) / "planted_bugs"


def run(program, bug, order):
    environment = {**os.environ, "CUDA_ON_CPU_ORDER": order, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(
        [program, bug], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
def test_a_right_kernel_is_right_in_every_order(planted_bugs, order):
    result = run(planted_bugs, "none", order)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        ("read_beyond", "heap-buffer-overflow"),
        ("read_beyond_shared", "heap-buffer-overflow"),
        ("no_barrier", "wrong result"),
        ("divergent_barrier", "divergent __syncthreads: 63 of 64 threads wait"),
        ("exited_lane", "names a lane that has exited"),
        ("overlap", "did not wait for the grid that its own overlaps"),
        ("not_joined", "capture was not joined"),
    ],
)
def test_a_planted_bug_is_found(planted_bugs, bug, message):
    result = run(planted_bugs, bug, "forward")
    assert result.returncode != 0
    assert message in result.stderr


def test_copies_that_are_waited_for_are_right(planted_bugs):
    result = run(planted_bugs.with_name("planted_copies"), "none", "forward")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("bug", ["early_event", "source_reused", "grid_too_soon", "read_too_soon"])
def test_a_copy_that_is_not_waited_for_is_found(planted_bugs, bug):
    result = run(planted_bugs.with_name("planted_copies"), bug, "forward")
    assert (result.returncode, result.stderr) == (1, "wrong result\n")


def test_an_unknown_order_is_refused(planted_bugs):
    result = run(planted_bugs, "none", "sideways")
    assert result.returncode == 1
    assert "must be forward, reverse or random, got 'sideways'" in result.stderr
