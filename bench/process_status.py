"""What the kernel says of a running process (proc(5))."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> int:
    """The most bytes that were resident at once (VmHWM); 0 for a process that has ended."""
    return _read_size(pid, "status", "VmHWM:")


def resident_memory(pid: int) -> int:
    """The bytes that are resident now, each page counted whole (Rss)."""
    return _read_size(pid, "smaps_rollup", "Rss:")


def shared_memory(pid: int) -> int:
    """The bytes that are resident now, a page of n processes counted as 1/n of it (Pss)."""
    return _read_size(pid, "smaps_rollup", "Pss:")


def cpu_seconds(pid: int) -> float:
    """The CPU time that the process has used, its threads included and its children not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _read_size(pid: int, file: str, key: str) -> int:
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in text.splitlines() if line.startswith(key))
    return next((int(fields[1]) * 1024 for fields in lines), 0)
