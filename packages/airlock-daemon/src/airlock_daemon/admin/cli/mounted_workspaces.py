"""The host's directories that `run` mounts into a container, and its working directory."""

import os
from collections.abc import Iterable, Mapping

from airlock_daemon.admin.cli.output import print_message
from airlock_daemon.admin.cli.wiring import HOME, OWN_PROGRAMS, Mount
from airlock_daemon.errors import AirlockError
from airlock_daemon.path_text import absolute, is_within
from airlock_daemon.setup.generation import (
    SOCKET_DIRECTORY,
    Generation,
    Identity,
    Reserved,
    Setup,
    State,
    Workspaces,
    list_steps,
)
from airlock_wire import quote

_NAME_ONE = "name a directory with --workspace DIR"


def choose_workspaces(
    setup: Setup, generation: Generation, named: Iterable[str]
) -> dict[Mount, Identity]:
    """The directories of `--workspace`, else those of the profile, else the current one.

    The profile's are mounted where it says, others at the same path. Each has its directory's
    identity. Raises AirlockError if one is no directory, contains Airlock's own files, would cover
    another mount, or could be replaced by an agent.
    """
    agent = generation.agent
    written = [absolute(path) for path in named]
    mapped = agent.mounts
    if written or not mapped:
        written = written or [os.getcwd()]
        _refuse_nested(written, setup, agent.name, generation.reserved)
        paths = dict.fromkeys(map(os.path.realpath, written))
        chosen = {Mount(source=path, target=path): _identify(path) for path in paths}
    else:
        chosen = {
            Mount(source=each.source, target=each.target): each.identity or _identify(each.source)
            for each in mapped
        }
    for mount in chosen:
        _refuse_unusable(mount, generation.reserved)
    return chosen


def refuse_replaced(chosen: Mapping[Mount, Identity]) -> None:
    """Raise AirlockError if a directory was replaced since it was chosen."""
    for mount, identity in chosen.items():
        if _identify(mount.source) != identity:
            raise AirlockError(
                f"{mount.source} has just become another directory",
                hint="find out what replaced it, and run this again",
            )


def describe_mounted(chosen: Mapping[Mount, Identity]) -> tuple[str, ...]:
    """Options of `airlock-shim --exec`, which compares the engine's mounts with the chosen ones.

    None if the kernel has no boot id, as on other systems than Linux: their containers run in a
    virtual machine.
    """
    boot = State.read_boot_id()
    if not boot:
        return ()
    mounted = (
        f"--{'read-only' if mount.read_only else 'mounted'}="
        f"{os.major(device)}:{os.minor(device)}:{inode}:{mount.target}"
        for mount, (device, inode) in chosen.items()
    )
    return (f"--kernel={boot}", *mounted)


def _identify(path: str) -> Identity:
    try:
        return Identity.find(path)
    except OSError as error:
        raise AirlockError(
            f"{path} is no directory that can be opened: {error.strerror}", hint=_NAME_ONE
        ) from error


def _refuse_nested(written: Iterable[str], setup: Setup, agent: str, reserved: Reserved) -> None:
    """Raise AirlockError if one of two agents could replace a workspace of the other."""
    workspaces = Workspaces.load(setup.agents, reserved)
    for path in written:
        for step in (os.path.realpath(path), *list_steps(path)):
            for fault in workspaces.find_conflicts(agent, step):
                raise AirlockError(fault.problem, hint=fault.remedy)
        real = os.path.realpath(path)
        # A directory with Airlock's own files, including homes, has its own message.
        inner = workspaces.find_inner(real) if reserved.conflict(real) is None else None
        if inner is not None:
            raise AirlockError(
                f"{path} has {inner.path} inside it, {inner.what}, in the place of which "
                "this container could put another directory",
                hint="use directories that do not contain each other: name another one with "
                "--workspace DIR",
            )


def find_directory(workspaces: tuple[Mount, ...]) -> str:
    """The container's working directory: the current one if mounted, else the first one.

    The second case prints a warning.
    """
    here = os.getcwd()
    around = [mount for mount in workspaces if is_within(here, mount.source)]
    if not around:
        print_message(
            f"warning: {quote(here)} is in no workspace of the agent, so that the container begins "
            f"in {quote(workspaces[0].target)}",
            f"hint: go to a workspace before, or {_NAME_ONE}",
        )
        return workspaces[0].target
    nearest = max(around, key=lambda mount: len(mount.source))
    return os.path.normpath(os.path.join(nearest.target, os.path.relpath(here, nearest.source)))


def _refuse_unusable(mount: Mount, reserved: Reserved) -> None:
    if conflict := reserved.conflict(mount.source):
        raise AirlockError(
            f"{mount.source} cannot be a workspace: {conflict}",
            hint=f"go to your project's directory, or {_NAME_ONE}",
        )
    for place in (SOCKET_DIRECTORY, OWN_PROGRAMS, HOME):
        if is_within(mount.target, place) or is_within(place, mount.target):
            # The engine would create the mount points of Airlock's own mounts in the workspace.
            raise AirlockError(
                f"a workspace at {mount.target} would cover {place}, which Airlock mounts",
                hint="mount it at another path: [workspace] mounts in the agent's airlock.toml",
            )
