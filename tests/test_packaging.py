"""What is installed: import cost, size, symbols, and what it may not do."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import weft

PACKAGE = Path(weft.__file__).parent
CHECKOUT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.cpu


def run(code, **env):
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_silent_and_brings_in_numpy_alone():
    code = """
import sys
import numpy
before = set(sys.modules)
import weft
print(sorted({m.split('.')[0] for m in set(sys.modules) - before if '.' not in m}))
"""
    assert run("import weft") == ""
    new = eval(run(code))
    heavy = {"argparse", "urllib", "ssl", "http", "zipfile", "hashlib", "matplotlib", "asyncio"}
    assert not heavy & set(new), new
    assert "weft" in new


def test_import_starts_no_thread_and_opens_no_socket():
    code = """
import socket, sys
def refuse(*args, **kwargs): raise AssertionError("a socket was opened")
socket.socket = refuse
import weft, os
weft.datasets.mnist.load_data()
print(len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else 1)
"""
    only_numpy = "import numpy, os; print(len(os.listdir('/proc/self/task')))"
    if sys.platform.startswith("linux"):
        assert int(run(code)) == int(run(only_numpy))


def test_installed_size_without_data():
    files = [f for f in PACKAGE.rglob("*") if f.is_file() and f.suffix not in (".npz", ".pyc")]
    cuda = [f for f in files if f.name.startswith("_cuda.")]
    assert sum(f.stat().st_size for f in files if f not in cuda) < 5e6
    assert sum(f.stat().st_size for f in cuda) < 20e6


def test_version_is_the_same_everywhere():
    from importlib.metadata import version

    assert weft.__version__ == weft._core.__version__ == version("weft")


def test_package_is_typed_and_licensed():
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").exists()


def test_unknown_instruction_set_is_refused():
    result = subprocess.run(
        [sys.executable, "-c", "import weft; weft.ops.relu([1.0])"],
        env={**os.environ, "WEFT_ISA": "avx1024"},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "WEFT_ISA must be one of baseline" in result.stderr


def test_fork_after_use():
    """A forked child has none of the worker threads and must make its own."""
    code = """
import os
import numpy as np
import weft
a = np.ones((2048, 512), 'f')
b = np.ones((512, 512), 'f')
weft.config.set_num_threads(2)
weft.ops.matmul(a, b)
pid = os.fork()
ok = weft.ops.matmul(a, b)[0, 0] == 512
if pid == 0: os._exit(0 if ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    if hasattr(os, "fork"):
        assert run(code).strip() == "0"


def kernel_objects():
    return sorted((CHECKOUT / "build").glob("*/CMakeFiles/weft_kernels_*.dir/**/*.o"))


@pytest.mark.skipif(not kernel_objects() or not shutil.which("nm"), reason="no build folder here")
def test_kernel_objects_share_no_symbols():
    """A weak symbol could be taken from the object of an instruction set this CPU does not have."""
    listing = subprocess.run(
        ["nm", "-C", "--defined-only", *map(str, kernel_objects())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shared = [
        line for line in listing.splitlines() if len(line.split()) > 1 and line.split()[1] in "WVu"
    ]
    assert not shared, shared[:10]


def test_no_undeclared_module_is_needed():
    assert importlib.util.find_spec("weft._core") is not None
    assert np.__version__.split(".")[0] >= "2"
