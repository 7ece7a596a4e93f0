"""The lock files, and their entries for an environment, a group or the images.

They are requirements files for pip, written by uv: with the hash of each file that may be
installed, and a comment below each entry with the distributions that need it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError
from tasks.lock.declared import IMAGES, LOWEST, list_declared, read_name
from tasks.places import HATCH

DEVELOPMENT_LOCK = Path(__file__).with_name("development.txt")
"""The newest versions, for everything."""

LOWEST_LOCK = Path(__file__).with_name("lowest.txt")
"""The packages' lowest declared dependencies, and what these need; for LOWEST."""

IMAGES_LOCK = Path(__file__).with_name("images.txt")
"""The part of DEVELOPMENT_LOCK that the images need, without entries due to other programs."""

_ENTRY = re.compile(
    r"^(?P<pin>[a-z0-9].*(?:\n    --hash=.*)+)(?P<comment>(?:\n    #.*)*)", re.MULTILINE
)
_NEEDED_BY = re.compile(r"^    #(?: via| )? +([a-z0-9][a-z0-9-]*)$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """An exact version of one distribution, or one per kind of system."""

    text: str
    """The text for pip, with hashes."""
    needed_by: frozenset[str]
    """Names of distributions."""


def list_locks(name: str) -> tuple[Path, ...]:
    """Return the lock files for ``name``; a later one replaces entries."""
    others = {LOWEST: (DEVELOPMENT_LOCK, LOWEST_LOCK), IMAGES: (IMAGES_LOCK,)}
    return others.get(name, (DEVELOPMENT_LOCK,))


def read_locked(name: str) -> str:
    """Return the requirements file with hashes for an environment, a group or IMAGES.

    Raises TaskError if the lock lacks a declared requirement.
    """
    entries: dict[str, Entry] = {}
    for path in list_locks(name):
        entries |= read_entries(path.read_text())
    return select(entries, list_declared(name))


def write_locked(name: str) -> Path:
    """Write the result of `read_locked` to a file for pip, and return its path."""
    path = HATCH / "locked" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(read_locked(name))
    return path


def read_entries(text: str) -> dict[str, Entry]:
    """Return the entries of a lock file by distribution name."""
    entries: dict[str, Entry] = {}
    for match in _ENTRY.finditer(text):
        name = read_name(match["pin"])
        before = entries.get(name, Entry("", frozenset()))
        needed_by = before.needed_by.union(_NEEDED_BY.findall(match["comment"]))
        entries[name] = Entry(f"{before.text}{match['pin']}\n", needed_by)
    return entries


def select(entries: Mapping[str, Entry], requirements: Iterable[str]) -> str:
    """Return the entries that ``requirements`` need, directly or transitively."""
    reached = {read_name(requirement) for requirement in requirements}
    missing = reached - entries.keys()
    if missing:
        raise TaskError(f"the lock has no {', '.join(sorted(missing))}: run `./dev lock`")
    while found := {
        name for name, entry in entries.items() if name not in reached and entry.needed_by & reached
    }:
        reached |= found
    return "".join(entries[name].text for name in sorted(reached))
