"""Writing the configuration of every measured daemon.

Two agents with the same rights: `bench`, which is timed, and `crowd`, which generates the load.
"""

import json
import os
import shutil
from pathlib import Path

import msgspec
from e2e.world.installation import Installation, quote

from bench.errors import BenchError

TIMED, CROWD = "bench", "crowd"

_MODULE = """\
[command]
bin = "{program}"

[deny]
args = ["--refused"]
"""

# Our own daemon is timed without a box; released ones have none.
_UNBOXED = '\n[sandbox]\nbox = "none"\n'

PROGRAMS = ("true", "cat", "readlink")
"""Commands with a module of their own here; git has the daemon's built-in one, if it has one, but
its rules alone where the path without a box is timed."""

_GIT = _UNBOXED + '\n[syntax]\noptions = "git"\n'

_SOCKETS, _READ = ("none", "inet", "unix"), ("", "/usr/share")
# More kinds than an agent has prewarmed boxes.
_KINDS = {
    f"boxed-{sockets}{read.replace('/', '-')}": (sockets, read)
    for sockets in _SOCKETS
    for read in _READ
}

BOXED, COLD = "boxed", tuple(_KINDS)
"""`true` in a box that may be prewarmed; and in boxes of different kinds in turn, so that no
prewarmed one fits."""

_BOX = '[sandbox]\nbox = "closed"\nsockets = "{sockets}"\nread = {read}\n'

BOX_USER = "nobody"


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in a daemon's files beyond their oldest format.

    `passes` is `[daemon] pass_descriptors`, None to omit it; `mounts` whether the workspace is
    mapped; `boxes` whether there are commands in boxes too.
    """

    passes: bool | None
    mounts: bool
    boxes: bool = False


class Places(Installation):
    """The files of one daemon below the new directory `folder`.

    Commands run in `work`. `links` has links to the `shim` with the tools' names, `home` is the
    daemon's HOME.
    """

    def __init__(self, folder: Path, *, work: Path, shim: str) -> None:
        folder.mkdir(mode=0o700)
        super().__init__(folder)
        self.work = work
        self.home = folder / "home"
        self.links = folder / "links"
        for made in (self.home, self.links):
            made.mkdir(mode=0o700)
        for name in (*PROGRAMS, "git", BOXED, *COLD):
            (self.links / name).symlink_to(shim)

    def write(self, form: Form) -> None:
        """Write a daemon's files, replacing those of an earlier form."""
        names = [*PROGRAMS, *(["git"] if shutil.which("git") else [])]
        more = ""
        if form.passes is not None:
            more += f"\n[daemon]\npass_descriptors = {str(form.passes).lower()}\n"
        modules = {
            name: _MODULE.format(program=find_program(name)) + (_UNBOXED if form.mounts else "")
            for name in PROGRAMS
        }
        if form.mounts and "git" in names:
            modules["git"] = _MODULE.format(program=find_program("git")) + _GIT
        if form.boxes:
            modules |= _box_modules()
            names += [BOXED, *COLD]
            # No box runs as root, and its user must be able to reach the workspace.
            more += f'\n[sandbox]\nuser = "{BOX_USER}"\n' if os.geteuid() == 0 else ""
        self.enable(names, more=more)
        profile = f"commands = {json.dumps(names)}\n"
        if form.mounts:
            work = quote(self.work)
            profile += f"\n[workspace]\nmounts = {{ {work} = {work} }}\n"
        for agent in (TIMED, CROWD):
            self.add_agent(agent, profile=profile, modules=modules)


def _box_modules() -> dict[str, str]:
    module = _MODULE.format(program=find_program("true"))
    return {
        name: f"{module}\n{_BOX.format(sockets=sockets, read=json.dumps([read] if read else []))}"
        for name, (sockets, read) in {BOXED: ("none", ""), **_KINDS}.items()
    }


def find_program(name: str) -> str:
    """Return the absolute path of a tool; raises BenchError if it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"{name} is not on PATH, and the measurement runs it")
    return os.path.abspath(path)
