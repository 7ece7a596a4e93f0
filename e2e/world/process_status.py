"""The kernel's information about running processes (proc(5)).

A daemon is not dumpable, so some of it needs root; other users get NotHereError.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e.world.errors import NotHereError


def peak_memory(pid: int) -> int:
    """Return the peak of resident bytes (VmHWM); 0 for an ended process."""
    return _read_size(pid, "status", "VmHWM:")


def forget_peak(pid: int) -> None:
    """Reset the peak to the current resident bytes (proc_pid_clear_refs(5))."""
    with _looking_into(pid):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident_memory(pid: int) -> int:
    """Return the resident bytes, counting each page fully (VmRSS)."""
    return _read_size(pid, "status", "VmRSS:")


def shared_memory(pid: int) -> int:
    """Return the resident bytes, counting a page of n processes as 1/n (Pss)."""
    return _read_size(pid, "smaps_rollup", "Pss:")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of the process, including its threads but not its children."""
    # The clock's id is made as clock_getcpuclockid(3) makes it: /proc counts in steps of 10 ms.
    return time.clock_gettime((~pid << 3) | 2)


def list_descendants(pid: int) -> list[tuple[int, str]]:
    """Return pid and program name of each descendant of a process that does not end."""
    found = []
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        # A process that ends meanwhile has none.
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, path.read_text().split()):
                found.append((child, Path(f"/proc/{child}/comm").read_text().strip()))
                found += list_descendants(child)
    return found


def list_descriptors(pid: int) -> list[str]:
    """Return the link targets of a process's open descriptors, in numeric order."""
    folder = f"/proc/{pid}/fd"
    links = []
    with _looking_into(pid):
        for number in sorted(map(int, os.listdir(folder))):
            with suppress(FileNotFoundError):
                links.append(os.readlink(f"{folder}/{number}"))
    return links


def list_processes_with(text: str) -> list[str]:
    """Return the command lines, joined by spaces, that contain `text`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [words] if text in words else []
    return found


def _read_size(pid: int, file: str, key: str) -> int:
    try:
        with _looking_into(pid):
            text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in text.splitlines() if line.startswith(key))
    return next((int(fields[1]) * 1024 for fields in lines), 0)


@contextmanager
def _looking_into(pid: int) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise NotHereError(f"only root looks into process {pid}: run this as root") from None
