"""What a daemon holds, seen from outside: descriptors, memory, processes, directories."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from e2e.world.process_status import list_descriptors, resident_memory


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
        resident=resident_memory(pid),
        descendants=sorted(_read_name(child) for child in _list_descendants(pid)),
        tools=_list_tools(temporary),
        directories=sorted(os.listdir(temporary)),
    )


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
