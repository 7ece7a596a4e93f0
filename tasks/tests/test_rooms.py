"""The map of the daemon's floors and rooms in CONTRIBUTING.md is that of the folders."""

import re
import tomllib

from tasks.places import ROOT

_DAEMON = ROOT / "packages" / "airlock-daemon" / "src" / "airlock_daemon"
_MODULES = ROOT / "packages" / "airlock-modules" / "src"


def read_map(row: str) -> list[str]:
    """What the rows of the form `row` in the tables of the floors name, top down."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("## The floors of the daemon")[2].partition("\n## ")[0]
    return re.findall(row, section, re.MULTILINE)


def read_layers(container: str) -> list[str]:
    """The rooms of a package as import-linter holds them, top down."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == [container]]
    return [name.strip() for layer in layers for name in layer.split(":")]


def test_the_map_has_the_floors_in_their_order() -> None:
    """Who reads the table knows which imports are allowed."""
    below = ["files", "threads", "errors", "path_text"]
    assert [*read_map(r"^\| `(\w+)`: "), *below] == read_layers("airlock_daemon")


def test_each_room_is_there_and_on_the_map() -> None:
    """No folder beside the map, and no row without a folder or module."""
    rooms = read_map(r"^\| `([\w.]+)` \|")
    floors = ("admin", "serving", "boundary")
    linted = {
        f"{floor}.{room}"
        for floor in floors
        for room in read_layers(f"airlock_daemon.{floor}")
        if (_DAEMON / floor / room).is_dir()
    }
    assert linted <= set(rooms)
    paths = [_DAEMON.joinpath(*room.split(".")) for room in rooms]
    assert [
        path for path in paths if not path.is_dir() and not path.with_suffix(".py").is_file()
    ] == []
    folders = {
        f"{floor}.{path.parent.name}"
        for floor in floors
        for path in (_DAEMON / floor).glob("*/__init__.py")
    }
    assert folders <= set(rooms)


def test_the_map_says_where_something_is_decided() -> None:
    """Each file is there, and has the class or function that is named behind it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("**Where is it decided?**")[2].partition("\n\n**")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and line.count("|") == 3]
    named = [re.findall(r"`([\w./]+)`(?: \(`([\w.]+)`)?", row.split("|")[2]) for row in rows[1:]]
    assert len(named) == 13
    for each in named:
        files = {name: names for name, names in each if name not in ("a.b", "grep")}
        assert 1 <= len(files) <= 2
        for name, inner in files.items():
            path = _MODULES / name if "/" in name else _DAEMON.joinpath(*name.split("."))
            source = path.with_suffix(".py").read_text()
            assert all(re.search(rf"\b{part}\b", source) for part in inner.split(".") if part)
