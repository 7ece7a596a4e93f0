"""Probes whether this host can make boxes, and cgroups for them, by making one."""

import os
import re
import socket
from contextlib import ExitStack, closing

import trio

from airlock_daemon.boundary.box.launch import BoxBuilder
from airlock_daemon.boundary.box.plan import plan_box, put_workspaces
from airlock_daemon.boundary.box.prewarmed import start_boxed
from airlock_daemon.boundary.command import Cgroup, CommandLine, Ended, Groups, Identity, Launcher
from airlock_daemon.boundary.workspace.directory import Source
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AirlockError, full_table, is_full_table
from airlock_daemon.platform.system import SEARCH
from airlock_daemon.setup.generation import Limits, Reserved

OLDEST = (0, 10)
"""The oldest version of bubblewrap with all features that a box needs."""

_TIMEOUT_S = 10.0
_SAYS = re.compile(rb"^bubblewrap (\d+)\.(\d+)")


async def explain_too_old(program: str) -> str | None:
    """Why the bubblewrap at `program` is too old.

    None if it is not, or does not tell its version: then the trial box decides.
    """
    try:
        with trio.fail_after(_TIMEOUT_S):
            done = await trio.run_process(
                (program, "--version"),
                stdin=b"",
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    except (OSError, trio.TooSlowError):
        return None
    found = _SAYS.match(done.stdout)
    if found is None or (version := tuple(map(int, found.groups()))) >= OLDEST:
        return None
    said, needed = (".".join(map(str, each)) for each in (version, OLDEST))
    return f"it is bubblewrap {said}, and {needed} or newer is needed"


# Every system has it, and everyone may read it. It stands in for a workspace.
_DIRECTORY = "/usr"
NOTHING = Reserved(())


async def probe_box(bubblewrap: str, identity: Identity, launcher: Launcher) -> str | None:
    """Make a complete box and run a program in it.

    Returns None on success, else an error message, such as that bubblewrap is too old. Raises
    Failed without a launcher or a free descriptor.
    """
    too_old = await explain_too_old(bubblewrap)
    if too_old is not None:
        return too_old
    with ExitStack() as stack:
        try:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, null)
            directory = os.open(_DIRECTORY, SEARCH | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
        except OSError as error:
            if is_full_table(error):
                raise full_table() from error
            raise
        workspace = Workspace(
            descriptor=directory,
            path=_DIRECTORY,
            root=_DIRECTORY,
            mounts=None,
            source=Source(target="/workspace", directory=_DIRECTORY, below=""),
        )
        box = plan_box(places=(), read={}, identity=identity, limits=Limits())
        box = put_workspaces(box, workspace, identity=identity, reserved=NOTHING)
        what = CommandLine("/bin/sh", ("sh", "-c", "exit 0"), {}, directory)
        try:
            builder = BoxBuilder(
                bubblewrap=bubblewrap,
                launcher=launcher,
                identity=identity,
                reserved=NOTHING,
                null=null,
                lookups=trio.CapacityLimiter(1),
                is_trial=True,
            )
            launch = await start_boxed(what, (null,) * 3, box, by=builder)
        except AirlockError as error:
            if error.__cause__ is not None and is_full_table(error.__cause__):
                # That says nothing about boxes: nobody shall get weaker ones for it.
                raise full_table() from error
            return error.message
        report: Ended | AirlockError | None = None
        try:
            with trio.move_on_after(_TIMEOUT_S):
                while (report := launch.read_report()) is None:
                    await trio.lowlevel.wait_readable(launch.ready)
            if isinstance(report, Ended):
                return None if report.exit_code == 0 else f"a program in it ended by {report}"
            said = launch.said()
        finally:
            launch.end()
            with trio.CancelScope(deadline=trio.current_time() + _TIMEOUT_S, shield=True):
                await launch.wait_gone()
            launch.close()
    if said:
        return said.splitlines()[0]
    return f"no answer within {_TIMEOUT_S:g} s" if report is None else report.message


async def probe_groups(groups: Groups, launcher: Launcher) -> str | None:
    """Start a process in a cgroup and check that it is there; returns the problem, if any.

    Raises Failed without a free descriptor, which says nothing about cgroups.
    """
    try:
        with closing(groups.open_trial()) as group:
            return await _probe_group(group.descriptor, launcher)
    except (AirlockError, OSError) as error:
        cause = error.__cause__ if isinstance(error, AirlockError) else error
        if cause is not None and is_full_table(cause):
            raise full_table() from error
        return error.message if isinstance(error, AirlockError) else str(error)


async def _probe_group(group: int, launcher: Launcher) -> str | None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            root = os.open("/", SEARCH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                what = CommandLine("/bin/sh", ("sh", "-c", "echo; read line"), {}, root)
                standard = (theirs.fileno(),) * 3
                launch = await launcher.launch(what, standard, group=group)
            finally:
                os.close(root)
        try:
            with trio.move_on_after(_TIMEOUT_S):
                await trio.lowlevel.wait_readable(ours)
            found = Cgroup(f"/proc/self/fd/{group}").read("cgroup.procs")
            report = launch.read_report()
        finally:
            launch.end()
            await launch.wait_gone()
            launch.close()
    if isinstance(report, AirlockError):
        return report.message
    return None if found else "a process that was started in a group is not there"
