"""The map of the daemon's rooms in CONTRIBUTING.md is that of the folders and of import-linter."""

import re
import tomllib

from tasks.places import ROOT

_DAEMON = ROOT / "packages" / "airlock-daemon" / "src" / "airlock_daemon"


def read_map() -> list[str]:
    """The rooms as CONTRIBUTING.md lists them, top down."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("## The rooms of the daemon")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_the_map_has_the_layers_in_their_order() -> None:
    """Who reads the table knows which imports are allowed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [
        each["layers"] for each in contracts if each.get("containers") == ["airlock_daemon"]
    ]
    assert read_map() == layers


def test_each_room_is_there_and_on_the_map() -> None:
    """No folder beside the map, and no row without a folder."""
    found = {path.parent.name for path in _DAEMON.glob("[a-z]*/__init__.py")}
    assert found | {"errors"} == set(read_map())
