"""How much of a room of the daemon others know beside its face."""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator

from tasks.places import ROOT

_DAEMON = ROOT / "packages" / "airlock-daemon" / "src" / "airlock_daemon"

# The folders whose folders are rooms; setup and platform are one each.
_HOUSES = ("admin", "serving", "boundary", "boundary/brokers")

# A ceiling that is this far above what is counted is to be lowered.
_SLACK = 10


def list_rooms() -> list[str]:
    """The rooms of all floors, the inner ones first: a folder of Python each."""
    found = [
        path.parent.relative_to(_DAEMON).as_posix().replace("/", ".")
        for house in _HOUSES
        for path in (_DAEMON / house).glob("*/__init__.py")
    ]
    return sorted((*found, "setup", "platform"), key=len, reverse=True)


def find_room(module: str, rooms: list[str]) -> str | None:
    """The room of a module, None for one of none."""
    return next((room for room in rooms if f"{module}.".startswith(f"{room}.")), None)


def list_imports() -> Iterator[tuple[str, str, str]]:
    """Each name that a module of the daemon imports: by which module, from which, and the name."""
    for path in _DAEMON.rglob("*.py"):
        module = path.relative_to(_DAEMON).with_suffix("").as_posix().replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "airlock_daemon."
            ):
                source = (node.module or "").partition(".")[2]
                for alias in node.names:
                    yield module, source, alias.name


def count_beside_faces() -> dict[str, int]:
    """For each room the names that others import of it, but those of its face.

    Its face is one module, or the room's `__init__`: the one of which others know most.
    """
    rooms = list_rooms()
    known = defaultdict[str, defaultdict[str, set[str]]](lambda: defaultdict(set))
    for module, source, name in list_imports():
        room = find_room(source, rooms)
        if room is not None and room != find_room(module, rooms):
            known[room][source].add(name)
    beside = {}
    for room, modules in known.items():
        counts = sorted(map(len, modules.values()))
        beside[room] = sum(counts[:-1])
    return beside


def test_rooms_are_entered_by_their_faces() -> None:
    """What is imported past a face may only become less: the ceiling falls with it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ceiling = settings["tool"]["airlock"]["beside_faces"]
    beside = count_beside_faces()
    for room, count in sorted(beside.items(), key=lambda each: -each[1]):
        print(f"{count:5}  {room}")
    total = sum(beside.values())
    assert total <= ceiling
    assert ceiling - total < _SLACK, f"lower the ceiling to {total}"
