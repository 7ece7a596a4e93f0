"""What the workspace and its packages declare that they need, in their ``pyproject.toml`` files."""

import re
import tomllib
from pathlib import Path
from typing import Any

from tasks.places import ROOT, list_members

LOWEST = "lowest"
"""The environment whose packages get the lowest versions that they declare to work with."""

IMAGES = "images"
"""Stands for what the packages in the images need to run."""

_IN_IMAGES = ("airlock-wire", "airlock-modules", "airlock-daemon")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def list_declared(name: str) -> tuple[str, ...]:
    """Return the requirements of an environment of Hatch, of a dependency group, or of IMAGES.

    An environment's are its own, and what the packages in it need to run and to be built. The
    packages themselves are left out.
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
    """Return what packages, all unless ``names`` says which, need to run beside each other."""
    packages = {_read(member)["project"]["name"]: member for member in list_members()}
    wanted = (list_requirements(packages[name]) for name in names or packages)
    return tuple(word for word in _sort(*wanted) if read_name(word) not in packages)


def list_requirements(package: Path) -> tuple[str, ...]:
    """Return what one package, named by its folder, needs to run, in the order that it says so."""
    return tuple(_read(package)["project"].get("dependencies", ()))


def list_everything() -> tuple[str, ...]:
    """Return each requirement that is declared anywhere."""
    settings = _read(ROOT)
    names = (*settings["tool"]["hatch"]["envs"], *settings["dependency-groups"])
    return _sort(*(list_declared(name) for name in names))


def read_oldest_python() -> str:
    """Return the oldest release of Python that the workspace supports, such as ``3.11``."""
    wanted: str = _read(ROOT)["project"]["requires-python"]
    return wanted.removeprefix(">=")


def read_name(requirement: str) -> str:
    """Return the name of the distribution that is required, as an index spells it."""
    match = _NAME.match(requirement)
    if match is None:
        raise ValueError(f"{requirement!r} is no requirement")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def _sort(*lists: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({word for words in lists for word in words}))
