"""Packages of different releases beside each other: whatever their version ranges allow works."""

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from e2e.world.command import Completed, run
from e2e.world.daemon import Daemon
from e2e.world.errors import BrokenError
from e2e.world.installation import Installation

from .built import Built, HistoryMissing, build_all, install

MODULE = """
[command]
bin = "{name}"
[deny]
args = ["--force"]
[exec]
workspace = "optional"
"""
TOOLS = ("cat", "sh")

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
    names = ("airlock-daemon", "airlock-modules", "airlock-wire")
    for found in itertools.product(*(wheels[name] for name in names)):
        if all(one.takes(*found) for one in found):
            yield found


def ask_everything(shim: Path, socket: Path, folder: Path) -> Iterator[str]:
    """Have the shim ask for what there is to ask; yield a line for each answer that is wrong."""

    def ask(tool: str, *args: str, stdin: bytes = b"") -> Completed:
        link = folder / tool
        if not link.is_symlink():
            link.symlink_to(shim)
        environment = {"AIRLOCK_SOCKET": str(socket), "PATH": os.defpath}
        return run((str(link), *args), stdin=stdin, cwd=str(folder), env=environment)

    text = bytes(range(256)) * 400
    for done, status, out, said in (
        (ask("cat", stdin=text), 0, text, b""),
        (ask("sh", "-c", "echo one; echo two >&2; exit 7"), 7, b"one\n", b"two\n"),
        (ask("sh", "-c", "kill -9 $$"), 137, b"", b""),
        (ask("cat", "--force"), 126, b"", b"airlock: "),
        (ask("nosuch"), 127, b"", b"airlock: "),
    ):
        if (done.exit_code, done.out) != (status, out) or not done.err.startswith(said):
            yield str(done)


def find_faults(found: tuple[Built, ...], shims: tuple[Path, ...], folder: Path) -> Iterator[str]:
    """Install a set, serve, and yield what is wrong with its answers to each shim."""
    programs = install(folder / "environment", found)
    installation = Installation(folder / "i")
    installation.enable(TOOLS)
    installation.add_agent(
        "web",
        profile="commands = []\n",
        modules={name: MODULE.format(name=name) for name in TOOLS},
    )
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
                yield from ask_everything(shim, installation.socket("web"), place)
    except BrokenError as error:
        yield str(error)


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
