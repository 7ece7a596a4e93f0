"""Worlds whose command `box` runs in a closed box, and what is asked of such a daemon."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from airlock_daemon.command.launch import Ended
from airlock_daemon.command.launcher import CommandLine, Identity, Launcher
from airlock_daemon.errors import AirlockError
from airlock_daemon.sandbox.box import HOME, Box
from airlock_daemon.sandbox.starting import start_boxed
from airlock_daemon.setup.reserved import Reserved
from launching import launcher_path
from running import Daemon
from worlds import World

PYTHON = "/usr/bin/python3"

needs_bubblewrap = pytest.mark.skipif(
    not os.environ.get("REQUIRE_TOOLS") and shutil.which("bwrap") is None,
    reason="needs bubblewrap",
)

USER = "nobody"
"""Who is in the boxes of a daemon that is root."""


@contextmanager
def boxed_world(more: str = "") -> Iterator[World]:
    """A world that others can enter too; `more` are further lines of `[sandbox]` of the module.

    The daemon's user and that of its boxes are the same one, unless it is root.
    """
    with tempfile.TemporaryDirectory(prefix="box-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        world = World(root)
        world.workspace.chmod(0o777)
        write_boxes(world)
        world.write_module("sh", "/bin/sh", CLOSED + more)
        world.write_module("git", PYTHON, CLOSED + more)
        yield world


CLOSED = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'


def write_boxes(world: World, mode: str = "auto", more: str = "") -> None:
    """Write config.toml with the boxes of this user, or of `USER` where this is root."""
    user = USER if os.geteuid() == 0 else ""
    world.write_config(f'[sandbox]\nmode = "{mode}"\nuser = "{user}"\n{more}')


def box_uid() -> int:
    """The user of a process in a box."""
    return box_identity().user


def box_identity() -> Identity:
    """Who is in the boxes of a daemon of this user."""
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid())
    found = pwd.getpwnam(USER)
    return Identity(found.pw_uid, found.pw_gid)


def check_a_command(world: World, *, box: str) -> None:
    """Run one in the workspace, where its files stay, and in a box that its record names so."""
    with Daemon(world) as daemon:
        answer = daemon.shell("pwd; id -u; echo kept > file; echo err >&2; exit 3")
        record = daemon.records()[-1]
    assert answer.text().split() == [str(world.workspace), str(box_uid())]
    assert (answer.text("stderr"), answer.exit_code) == ("err\n", 3)
    assert (world.workspace / "file").read_text() == "kept\n"
    assert record["sandbox"] == box


def run_in_box(box: Box, script: str, directory: int) -> str:
    """What a script says in `box`, in the open `directory`; raises AirlockError without one."""
    with tempfile.TemporaryFile("w+") as output:
        trio.run(_run, box, script, directory, output.fileno())
        output.seek(0)
        return output.read()


async def _run(box: Box, script: str, directory: int, output: int) -> None:
    identity = box_identity()
    launcher = Launcher(launcher_path(), nofile=256)
    null = os.open(os.devnull, os.O_RDWR)
    environment = {"PATH": "/bin", "HOME": HOME if box.home is None else box.home.path}
    try:
        launch = await start_boxed(
            CommandLine("/bin/sh", ("sh", "-c", script), environment, directory),
            (null, output, output),
            box,
            bubblewrap="/usr/bin/bwrap",
            launcher=launcher,
            identity=identity,
            reserved=Reserved(()),
            null=null,
        )
        report: Ended | AirlockError | None = None
        while report is None:
            await trio.lowlevel.wait_readable(launch.control)
            report = launch.read_report()
        launch.end()
        await launch.wait_gone()
        launch.close()
    finally:
        launcher.close()
        os.close(null)
    if isinstance(report, AirlockError):
        raise report
