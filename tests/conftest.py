"""What all tests share: the device they run on, and that each leaves no trace.

`--device cuda` runs them on the first GPU; `--device cuda_on_cpu` runs the CUDA kernels on the CPU,
through the module that tests/cuda_on_cpu builds (`--module-path` says where it lies).
"""

from __future__ import annotations

import importlib
import sys

import pytest

import weft
from weft import _core


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", choices=("cpu", "cuda", "cuda_on_cpu"))
    parser.addoption("--module-path", help="the folder of the built module cuda_on_cpu")


def pytest_configure(config):
    device = config.getoption("--device")
    if device == "cuda_on_cpu":
        sys.path.insert(0, config.getoption("--module-path"))
        _core.set_device(_core.add_device(importlib.import_module("cuda_on_cpu").device(0)))
    elif device == "cuda":
        weft.config.set_device("cuda")

    _core.set_matmul_precision("float32")


def pytest_collection_modifyitems(config, items):
    left_out = {"cpu": (), "cuda": ("cpu",), "cuda_on_cpu": ("cpu", "long")}
    marks = left_out[config.getoption("--device")]
    dropped = [item for item in items if any(item.get_closest_marker(mark) for mark in marks)]
    if dropped:
        items[:] = [item for item in items if item not in dropped]
        config.hook.pytest_deselected(items=dropped)


def pytest_report_header(config):
    return f"device: {config.getoption('--device')} ({_core.get_device()})"


@pytest.fixture(autouse=True)
def threads_of_its_own():
    """A test that sets the number of threads leaves no trace."""
    yield
    weft.config.set_num_threads(0)


@pytest.fixture
def device(request):
    """The name of the device under test, beside the CPU."""
    if request.config.getoption("--device") == "cpu":
        pytest.skip("there is no device beside the CPU")
    name = _core.get_device()
    yield name
    _core.set_device(name)


@pytest.fixture
def emulated(device, request):
    """A device whose failures can be asked for."""
    if request.config.getoption("--device") != "cuda_on_cpu":
        pytest.skip("a real device does not fail when it is told to")
    return device
