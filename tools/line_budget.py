"""Keeps files readable: a warning from 400 lines on, an error from 700 on."""

import subprocess
import sys
from pathlib import Path

WARN, FAIL = 400, 700
SOURCES = ("*.cpp", "*.h", "*.cu", "*.cuh", "*.py", "*.pyi", "CMakeLists.txt")


def main() -> int:
    files = subprocess.run(
        ["git", "ls-files", *SOURCES], capture_output=True, text=True, check=True
    ).stdout.split()
    failed = False
    for name in files:
        path = Path(name)
        if not path.exists():
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines >= WARN:
            print(f"{'error' if lines >= FAIL else 'warning'}: {name} has {lines} lines")
        failed = failed or lines >= FAIL
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
