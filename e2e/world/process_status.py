"""What the kernel says of running processes (proc(5)).

A daemon keeps itself to itself: some of this only root is told, and others get NotHereError.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e.world.errors import NotHereError

_TICKS = os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> int:
    """The most bytes that were resident at once (VmHWM); 0 for a process that has ended."""
    return _read_size(pid, "status", "VmHWM:")


def forget_peak(pid: int) -> None:
    """Let the peak begin anew at what is resident now (proc_pid_clear_refs(5))."""
    with _looking_into(pid):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident_memory(pid: int) -> int:
    """The bytes that are resident now, each page counted whole (VmRSS)."""
    return _read_size(pid, "status", "VmRSS:")


def shared_memory(pid: int) -> int:
    """The bytes that are resident now, a page of n processes counted as 1/n of it (Pss)."""
    return _read_size(pid, "smaps_rollup", "Pss:")


def cpu_seconds(pid: int) -> float:
    """The CPU time that the process has used, its threads included and its children not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def list_descendants(pid: int) -> list[tuple[int, str]]:
    """Return number and program's name of each process below one that stays."""
    found = []
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        # What ends meanwhile has none.
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, path.read_text().split()):
                found.append((child, Path(f"/proc/{child}/comm").read_text().strip()))
                found += list_descendants(child)
    return found


def list_descriptors(pid: int) -> list[str]:
    """Return where the open descriptors of a process lead, in order of their numbers."""
    folder = f"/proc/{pid}/fd"
    links = []
    with _looking_into(pid):
        for number in sorted(map(int, os.listdir(folder))):
            with suppress(FileNotFoundError):
                links.append(os.readlink(f"{folder}/{number}"))
    return links


def list_processes_with(text: str) -> list[str]:
    """Return the command lines, their words with spaces between, that contain `text`."""
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
