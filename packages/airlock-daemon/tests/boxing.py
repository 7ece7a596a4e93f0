"""Worlds whose command `box` runs in a closed box, and checks of their daemon."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from airlock_daemon.boundary.command import Identity
from airlock_daemon.setup.config import BoxConfig
from running import Daemon
from worlds import BOX_USER, World

PYTHON = "/usr/bin/python3"

_IS_REQUIRED = bool(os.environ.get("REQUIRE_TOOLS"))

needs_bubblewrap = pytest.mark.skipif(
    not _IS_REQUIRED and shutil.which("bwrap") is None, reason="needs bubblewrap"
)
needs_landlock = pytest.mark.skipif(
    not _IS_REQUIRED and BoxConfig.explain_no_fence() is not None, reason="needs Landlock"
)


def lack(what: str) -> NoReturn:
    """Skip the test, since this host lacks `what`; fail it with REQUIRE_TOOLS=1."""
    if _IS_REQUIRED:
        pytest.fail(f"REQUIRE_TOOLS=1, but this host lacks {what}")
    pytest.skip(f"needs {what}")


@contextmanager
def boxed_world(more: str = "") -> Iterator[World]:
    """An `open_world` with these boxes; `more` has further lines of the module's `[sandbox]`."""
    with open_world() as world:
        write_boxes(world)
        world.write_module("sh", "/bin/sh", CLOSED + more)
        world.write_module("git", PYTHON, CLOSED + more)
        yield world


@contextmanager
def mapped_world() -> Iterator[World]:
    """An `open_world` with these boxes, and `/workspace` mapped."""
    with open_world() as world:
        write_boxes(world)
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        yield world


@contextmanager
def open_world() -> Iterator[World]:
    """A world that other users can enter too.

    The boxes run as the daemon's user, unless that is root.
    """
    with tempfile.TemporaryDirectory(prefix="box-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        world = World(root)
        world.workspace.chmod(0o777)
        yield world


CLOSED = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'


def write_boxes(world: World, mode: str = "auto", more: str = "") -> None:
    """Write config.toml with boxes of this user, or of `BOX_USER` for root."""
    user = BOX_USER if os.geteuid() == 0 else ""
    world.write_config(f'[sandbox]\nmode = "{mode}"\nuser = "{user}"\n{more}')


def box_uid() -> int:
    """The uid of processes in a box."""
    return box_identity().user


def box_identity() -> Identity:
    """The identity of the boxes of a daemon of this user."""
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid())
    found = pwd.getpwnam(BOX_USER)
    return Identity(found.pw_uid, found.pw_gid)


def check_a_command(world: World, *, box: str) -> None:
    """Check that a command runs in the workspace, whose files persist, and in the recorded box."""
    with Daemon(world) as daemon:
        answer = daemon.shell("pwd; id -u; echo kept > file; echo err >&2; exit 3")
        record = daemon.records()[-1]
    assert answer.text().split() == [str(world.workspace), str(box_uid())]
    assert (answer.text("stderr"), answer.exit_code) == ("err\n", 3)
    assert (world.workspace / "file").read_text() == "kept\n"
    assert record["sandbox"] == box
