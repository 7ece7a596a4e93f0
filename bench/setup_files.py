"""The configuration that every daemon under measurement gets, written to disk.

Two agents with the same rights: `bench`, which is timed, and `crowd`, which makes the load.
"""

import os
import shutil
from pathlib import Path

import msgspec

from bench.errors import BenchError

TIMED, CROWD = "bench", "crowd"

_MODULE = """\
[command]
bin = "{program}"

[deny]
args = ["--refused"]
"""

PROGRAMS = ("true", "cat", "readlink")
"""Commands with a module of their own here; git has the daemon's built-in one, if it has one."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """Which settings beyond the oldest format of the files a daemon is offered.

    `passes` is what `[daemon] pass_descriptors` says, None to leave it out; `mounts` whether the
    workspace is mapped.
    """

    passes: bool | None
    mounts: bool


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The directories of one daemon and what stands in them."""

    root: Path
    work: Path

    @property
    def config(self) -> Path:
        """For --config."""
        return self.root / "config"

    @property
    def sockets(self) -> Path:
        """For --sockets."""
        return self.root / "sockets"

    @property
    def agents(self) -> Path:
        """For --agents."""
        return self.root / "agents.toml"

    @property
    def home(self) -> Path:
        """The daemon's HOME."""
        return self.root / "home"

    @property
    def links(self) -> Path:
        """Links to the shim that have the names of the tools."""
        return self.root / "links"

    @property
    def log(self) -> Path:
        """What the daemon itself prints."""
        return self.root / "daemon.log"

    def socket(self, agent: str) -> str:
        """The socket of an agent."""
        return str(self.sockets / agent / "airlock.sock")


def make_places(root: Path, *, work: Path, shim: str) -> Places:
    """Make the directories below `root`, which is not there yet, and the links to the shim."""
    places = Places(root=root, work=work)
    root.mkdir(mode=0o700)
    for folder in (places.config, places.sockets, places.home, places.links):
        folder.mkdir(mode=0o700)
    for name in (*PROGRAMS, "git"):
        (places.links / name).symlink_to(shim)
    return places


def write_files(places: Places, form: Form) -> None:
    """Write the files of a daemon, over those of an earlier form."""
    names = [*PROGRAMS, *(["git"] if shutil.which("git") else [])]
    listed = ", ".join(f'"{name}"' for name in names)
    config = f'[commands]\nenable = [{listed}]\n\n[log]\npath = "{places.root}/audit/airlock.log"\n'
    (places.root / "audit").mkdir(exist_ok=True)
    if form.passes is not None:
        config += f"\n[daemon]\npass_descriptors = {str(form.passes).lower()}\n"
    (places.config / "config.toml").write_text(config)
    profile = f"commands = [{listed}]\n"
    if form.mounts:
        profile += f'\n[workspace]\nmounts = {{ "{places.work}" = "{places.work}" }}\n'
    for agent in (TIMED, CROWD):
        commands = places.root / "agents" / agent / "commands"
        commands.mkdir(parents=True, exist_ok=True)
        (commands.parent / "airlock.toml").write_text(profile)
        for name in PROGRAMS:
            (commands / f"{name}.toml").write_text(_MODULE.format(program=find_program(name)))
    registered = (f'[{agent}]\npath = "{places.root}/agents/{agent}"\n' for agent in (TIMED, CROWD))
    places.agents.write_text("".join(registered))


def find_program(name: str) -> str:
    """Return the absolute path of a tool; raises BenchError where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"{name} is not on PATH, and the measurement runs it")
    return os.path.abspath(path)
