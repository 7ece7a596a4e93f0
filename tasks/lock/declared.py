"""The requirements that the workspace and its packages declare in ``pyproject.toml`` files."""

import re
import tomllib
from pathlib import Path
from typing import Any

from tasks.places import ROOT, list_members

LOWEST = "lowest"
"""The environment whose packages get their lowest declared dependencies."""

IMAGES = "images"
"""Names the run-time requirements of the packages in the images."""

_IN_IMAGES = ("airlock-wire", "airlock-modules", "airlock-daemon")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def list_declared(name: str) -> tuple[str, ...]:
    """Return the requirements of an environment of Hatch, of a dependency group, or of IMAGES.

    An environment's include the run-time and build requirements of the packages in it, but not the
    packages themselves.
    """
    settings = _read(ROOT)
    if name in settings["dependency-groups"]:
        return _sort(settings["dependency-groups"][name])
    if name == IMAGES:
        return list_run_time(_IN_IMAGES)
    own = settings["tool"]["hatch"]["envs"][name].get("dependencies", [])
    builds = [_read(member)["build-system"]["requires"] for member in list_members()]
    return _sort(own, list_run_time(), settings["dependency-groups"]["editable"], *builds)


def list_run_time(names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the run-time requirements of the packages ``names``, by default all, together."""
    packages = {_read(member)["project"]["name"]: member for member in list_members()}
    wanted = (list_requirements(packages[name]) for name in names or packages)
    return tuple(word for word in _sort(*wanted) if read_name(word) not in packages)


def list_requirements(package: Path) -> tuple[str, ...]:
    """Return the run-time requirements of the package in a folder, in declared order."""
    return tuple(_read(package)["project"].get("dependencies", ()))


def list_everything() -> tuple[str, ...]:
    """Return all declared requirements."""
    settings = _read(ROOT)
    names = (*settings["tool"]["hatch"]["envs"], *settings["dependency-groups"])
    return _sort(*(list_declared(name) for name in names))


def read_oldest_python() -> str:
    """Return the oldest supported release of Python, such as ``3.11``."""
    wanted: str = _read(ROOT)["project"]["requires-python"]
    return wanted.removeprefix(">=")


def read_name(requirement: str) -> str:
    """Return the normalised name of the required distribution."""
    match = _NAME.match(requirement)
    if match is None:
        raise ValueError(f"{requirement!r} is no requirement")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def _sort(*lists: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({word for words in lists for word in words}))
