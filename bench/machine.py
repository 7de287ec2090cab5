"""What a result was measured on, which CPUs to use, and who else was using them. Linux only."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "weft", "numpy", "torch", "jax", "jaxlib", "keras", "tensorflow-cpu", "tensorflow",
    "scikit-learn",
)  # fmt: skip
_ISA_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_bf16")


def cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo, as its keys and values."""
    info: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        info[key.strip()] = value.strip()
    return info


def has_flag(flag: str) -> bool:
    info = cpu_info()
    return flag in (info.get("flags") or info.get("Features") or "").split()


def is_amd() -> bool:
    return cpu_info().get("vendor_id") == "AuthenticAMD"


def commit() -> str:
    """The commit of the checkout this package lies in, '-dirty' with uncommitted changes."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Results of earlier runs are not part of what is measured.
        changed = git("status", "--porcelain", "--", ".", ":!bench/results")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe(cpus: Sequence[int]) -> dict[str, Any]:
    info = cpu_info()
    keys = ("vendor_id", "model name", "cpu family", "model", "stepping", "cache size")
    return {
        **{key.replace(" ", "_"): info[key] for key in keys if key in info},
        "isa": [flag for flag in _ISA_FLAGS if has_flag(flag)] or [platform.machine()],
        "cores": os.cpu_count(),
        "cpus_used": list(cpus),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
    }


def provenance(cpus: Sequence[int]) -> dict[str, Any]:
    """What every result file starts with."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe(cpus),
        "versions": versions(),
    }


def choose_cpus(count: int) -> list[int]:
    """`count` CPUs this process may use: different cores first, the highest numbers first.

    CPU 0 comes last because it usually serves the interrupts.
    """
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    if count > len(allowed):
        raise ValueError(f"{count} threads asked for, but only {len(allowed)} CPUs may be used")
    first_of_core: dict[str, int] = {}
    for cpu in allowed:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        first_of_core.setdefault(path.read_text() if path.exists() else str(cpu), cpu)
    cores = list(first_of_core.values())
    siblings = [cpu for cpu in allowed if cpu not in cores]
    return sorted((cores + siblings)[:count])


@dataclass(frozen=True)
class CpuTimes:
    """Seconds the CPU set spent working for anyone, and stolen from it, since boot."""

    busy: float
    steal: float

    @classmethod
    def now(cls, cpus: Sequence[int]) -> CpuTimes:
        names = {f"cpu{cpu}" for cpu in cpus}
        tick = os.sysconf("SC_CLK_TCK")
        busy = steal = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name in names:
                user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, fields[:8])
                busy += user + nice + system + irq + softirq
                steal += stolen
        return cls(busy / tick, steal / tick)


def load_shares(
    before: CpuTimes, after: CpuTimes, wall: float, own: float, cpus: int
) -> tuple[float, float]:
    """(foreign, steal): shares of `cpus` x `wall` seconds, `own` being the peer's CPU seconds."""
    room = max(wall * cpus, 1e-9)
    foreign = max(0.0, after.busy - before.busy - own) / room
    return round(foreign, 4), round((after.steal - before.steal) / room, 4)
