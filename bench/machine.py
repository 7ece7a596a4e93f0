"""Describing the machine and its load."""

import os
import platform
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine, for comparisons; `cpus` are those that this process may use."""

    kernel: str
    architecture: str
    processor: str
    cpus: int
    memory_mb: int
    python: str


def describe_machine() -> Machine:
    """Describe this machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        kernel=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        processor=_read_processor(),
        cpus=len(os.sched_getaffinity(0)),
        memory_mb=pages // 1_000_000,
        python=platform.python_version(),
    )


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def _read_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Processor"}:
            return value.strip()
    return "unknown"
