"""What a program finds around it in a box, and whether that is what may be there."""

import ast
import fnmatch
import glob
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from e2e.canary.boxes.attack import GOT
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.boxes.world import By
from e2e.world.errors import BrokenError

_HERE = Path(__file__).parent
_PROGRAM = (_HERE / "surroundings.py").read_text()
_ALLOWED = tomllib.loads((_HERE / "allowed.toml").read_text())

# How deep a list of the host goes, and what of it is the system's or the kernel's.
_DEPTH = 3
_APART = ("/usr", "/proc", "/sys")

# By the bits of their type, as stat(2) has them.
_TYPES = {"10000": "pipe", "140000": "socket", "20000": "device", "40000": "directory"}


class Thing(NamedTuple):
    """One thing that was found, of a kind of `allowed.toml`."""

    kind: str
    what: str


def look_around(scene: BoxScene, command: str = "python3") -> list[Thing]:
    """All that a program finds in a box of this module. Raises BrokenError where it says nothing.

    It is told the paths of the host, since where no directory can be listed a search finds nothing.
    """
    workspace = scene.world.workspace
    paths = dict.fromkeys((*_list_paths("/", _DEPTH), *_list_paths(scene.world.folder, 9)))
    told = (path for path in paths if "\n" not in path)
    (workspace / "paths").write_text("\n".join(told), errors="surrogateescape")
    seen = scene.run(command, "-c", _PROGRAM)
    try:
        lines = (workspace / "found").read_text().splitlines()
    except OSError as error:
        raise BrokenError(f"it found nothing: {seen.decode(errors='replace')}") from error
    namespaces = _see_namespaces(scene.daemon.pid)
    found = []
    for line in lines:
        kind, _, text = line.partition("\t")
        what = ast.literal_eval(text)
        if kind == "namespace":
            what = f"{what.partition(':')[0]} {'of the host' if what in namespaces else 'its own'}"
        elif kind == "descriptor":
            number, _, octal = what.partition(" ")
            what = f"{number} {_TYPES.get(octal, octal)}"
        found.append(Thing(kind, what))
    return found


def accuse(scene: BoxScene, found: Iterable[Thing], *kinds: str) -> bytes:
    """A line, as an attack has it, for each thing of `kinds` that may not be in a box."""
    lines = [
        GOT + f"{thing.kind} {thing.what}".encode(errors="replace")
        for thing in found
        if thing.kind in kinds and find_pattern(scene, thing) is None
    ]
    return b"\n".join(lines)


def list_found(scene: BoxScene) -> list[str]:
    """The rows of a table: a kind, what there is of it, and whether the list has it.

    What one pattern with a `*` allows is one row, with the number.
    """
    rows: dict[tuple[str, str], int] = {}
    found = look_around(scene)
    for thing in found:
        pattern = find_pattern(scene, thing)
        shown = "NOT IN THE LIST: " + thing.what if pattern is None else thing.what
        if pattern is not None and "*" in pattern and pattern != "<here>/*":
            shown = pattern
        rows[thing.kind, shown] = rows.get((thing.kind, shown), 0) + 1
    lines = [
        f"| {kind} | {shown}{f' ({count})' if count > 1 else ''} |"
        for (kind, shown), count in sorted(rows.items())
    ]
    return ["| kind | what a command finds |", "|---|---|", *lines]


def find_pattern(scene: BoxScene, thing: Thing) -> str | None:
    """The pattern in the list that allows it in boxes that are made so, or None."""
    for pattern in list_allowed(scene.world.by, thing.kind):
        if fnmatch.fnmatchcase(thing.what, _fill(scene, pattern)):
            return pattern
    return None


def list_allowed(by: By, kind: str) -> list[str]:
    """Patterns of what may be there of a kind. Raises KeyError for one that is not in the list."""
    patterns: list[str] = _ALLOWED[by.maker][kind]
    return patterns


def _fill(scene: BoxScene, pattern: str) -> str:
    for name, value in scene.world.names.items():
        pattern = pattern.replace(f"<{name}>", glob.escape(value))
    return pattern


def _list_paths(top: str | os.PathLike[str], depth: int) -> Iterator[str]:
    top = os.fspath(top)
    yield top
    if depth == 0 or top in _APART:
        return
    try:
        entries = list(os.scandir(top))
    except OSError:
        return
    for entry in entries:
        try:
            is_directory = entry.is_dir(follow_symlinks=False)
        except OSError:
            continue
        if is_directory:
            yield from _list_paths(entry.path, depth - 1)
        else:
            yield entry.path


def _see_namespaces(pid: int) -> set[str]:
    folder = f"/proc/{pid}/ns"
    return {os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
