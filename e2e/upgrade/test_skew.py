"""Packages of different releases beside each other: whatever their version ranges allow works."""

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from e2e.world.daemon import Daemon
from e2e.world.errors import BrokenError

from .built import Built, HistoryMissing, build_all, install
from .shim_asking import NO_BOX, find_wrong_answers, install_tools

DAEMON = "airlock-daemon"
Wheels = Mapping[str, tuple[Built, ...]]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Each release of each package, and the checkout's own."""
    try:
        return build_all(tmp_path_factory.mktemp("wheels"))
    except HistoryMissing as missing:
        pytest.skip(f"the history is not here: {missing}")


def list_sets(wheels: Wheels) -> Iterator[tuple[Built, ...]]:
    """Yield each daemon with each modules and wire that all their ranges allow."""
    names = (DAEMON, "airlock-modules", "airlock-wire")
    for found in itertools.product(*(wheels[name] for name in names)):
        if all(one.takes(*found) for one in found):
            yield found


def find_faults(found: tuple[Built, ...], shims: tuple[Path, ...], folder: Path) -> Iterator[str]:
    """Install a set, serve, and yield what is wrong with its answers to each shim."""
    programs = install(folder / "environment", found)
    knows_boxes = all(one.label.endswith("here") for one in found if one.package == DAEMON)
    more = '[exec]\nworkspace = "optional"\n' + (NO_BOX if knows_boxes else "")
    installation = install_tools(folder / "i", more=more, knows_boxes=knows_boxes)
    try:
        with Daemon(
            installation.argv([programs / "airlock-daemon"]),
            said=installation.said,
            sockets=installation.list_sockets,
            environment={"HOME": str(folder), "PATH": os.environ["PATH"]},
        ):
            for number, shim in enumerate(shims):
                place = folder / f"shim-{number}"
                place.mkdir()
                yield from find_wrong_answers(shim, installation.socket("web"), place)
    except BrokenError as error:
        yield str(error)


@pytest.mark.nightly
def test_what_the_version_ranges_allow_answers(wheels: Wheels, tmp_path: Path) -> None:
    """A daemon of one release, modules and wire of others, and every shim: all of them answer."""
    shims = tuple(
        install(tmp_path / f"s{n}", (shim,)) / "airlock-shim"
        for n, shim in enumerate(wheels["airlock-shim"])
    )
    faults, known = {}, set()
    for number, found in enumerate(list_sets(wheels)):
        folder = tmp_path / str(number)
        folder.mkdir()
        name = ", ".join(f"{one.package} {one.label}" for one in found)
        if any(one.fails(*found) for one in found):
            known.add(name)
        if said := list(find_faults(found, shims, folder)):
            faults[name] = said
    assert faults.keys() == known, faults
