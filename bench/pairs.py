"""The measured pairs of a daemon and a shim."""

import os
import shlex
import sys
import sysconfig
from pathlib import Path

import msgspec

from bench.errors import BenchError


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon and a shim by absolute path, and the pair's name in the tables."""

    name: str
    daemon: str
    shim: str


def find_own() -> Pair:
    """Return the pair that this checkout's packages installed into this Python's environment."""
    programs = Path(sysconfig.get_path("scripts"))
    return make_pair("airlock", str(programs / "airlock-daemon"), str(programs / "airlock-shim"))


def make_pair(name: str, daemon: str, shim: str) -> Pair:
    """Return the pair of two paths; raises BenchError if one is no executable file."""
    for path in (daemon, shim):
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            raise BenchError(f"{path} is no executable file")
    return Pair(name=name, daemon=os.path.abspath(daemon), shim=os.path.realpath(shim))


def make_floor(folder: Path) -> Pair:
    """Return our own shim with a daemon that decides nothing; its program is written to `folder`.

    The daemon always passes descriptors.
    """
    words = (sys.executable, "-P", str(Path(__file__).with_name("floor.py")))
    program = folder / "floor"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o700)
    return make_pair("floor", str(program), find_own().shim)
