"""What a daemon holds, seen from outside: descriptors, memory, processes, directories."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_KIB = 1024


class Footprint(NamedTuple):
    """What one daemon holds at one moment.

    `descriptors` are where those of its table lead, as proc_pid_fd(5) tells. `resident` is memory
    in bytes. `descendants` are the names of the processes below it. `tools` are processes that
    stand in one of its tools' directories, as `PID NAME`, and `directories` are such directories.
    """

    descriptors: list[str]
    resident: int
    descendants: list[str]
    tools: list[str]
    directories: list[str]


def measure(pid: int, temporary: Path) -> Footprint:
    """Look at the daemon `pid`, whose tools stand in directories below `temporary`."""
    return Footprint(
        descriptors=list_descriptors(pid),
        resident=read_memory(pid, "VmRSS"),
        descendants=sorted(_read_name(child) for child in _list_descendants(pid)),
        tools=_list_tools(temporary),
        directories=sorted(os.listdir(temporary)),
    )


def list_descriptors(pid: int) -> list[str]:
    """Return where the open descriptors of a process lead, in order of their numbers."""
    folder = f"/proc/{pid}/fd"
    links = []
    for number in sorted(map(int, os.listdir(folder))):
        with suppress(FileNotFoundError):
            links.append(os.readlink(f"{folder}/{number}"))
    return links


def read_memory(pid: int, field: str) -> int:
    """Return a field of /proc/PID/status, such as VmRSS or VmHWM, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * _KIB
    raise ValueError(f"/proc/{pid}/status has no {field}")


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew at what is resident now (proc_pid_clear_refs(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def read_ticks(pid: int) -> int:
    """Return the processor time that a process has used, in ticks of sysconf(SC_CLK_TCK)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _list_descendants(pid: int) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}/task")
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in folder.iterdir():
                children = [int(word) for word in (task / "children").read_text().split()]
                found += children
                waiting += children
    return found


def _list_tools(temporary: Path) -> list[str]:
    # One that fled from its parents is found here all the same.
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        with suppress(OSError):
            if os.readlink(f"/proc/{entry}/cwd").startswith(f"{temporary}/"):
                found.append(f"{entry} {_read_name(int(entry))}")
    return found


def _read_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "(ended)"
