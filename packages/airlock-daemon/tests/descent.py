"""The descendants of a process, from /proc."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def parent_of(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def name_of(pid: int) -> str:
    """The program name of a process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def descend(pid: int) -> Sequence[int]:
    """All descendants of a process."""
    found = []
    # A process that ends meanwhile has none.
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descend(child)]
    return found
