"""Which directories of the host `run` mounts into a container of an agent, and where it begins."""

import os
from collections.abc import Iterable

from airlock_daemon.cli.machine import HOME
from airlock_daemon.cli.reporting import say
from airlock_daemon.cli.wiring import OWN_PROGRAMS, SOCKET_DIRECTORY, Mount
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.paths import absolute
from airlock_daemon.setup.reserved import Reserved, is_within
from airlock_wire import quote

_NAME_ONE = "name a directory with --workspace DIR"


def choose_workspaces(generation: Generation, named: Iterable[str]) -> tuple[Mount, ...]:
    """The directories of `--workspace`, else those of the profile, else the current one.

    Those of the profile are where it says, others at the same path. Raises AirlockError where one
    is no directory, holds files of Airlock's own, or would cover what else is mounted.
    """
    profile = generation.agent.profile
    mounts = _at_same_paths(named)
    if not mounts:
        given = (*profile.same_path, *profile.mounts)
        mounts = tuple(Mount(source=each.source, target=each.target) for each in given)
    mounts = mounts or _at_same_paths([os.getcwd()])
    for mount in mounts:
        _refuse_unusable(mount, generation.reserved)
    return mounts


def find_directory(workspaces: tuple[Mount, ...]) -> str:
    """Where the container begins: the current directory if it is mounted, else the first one.

    The second case is said on stderr.
    """
    here = os.getcwd()
    holding = [mount for mount in workspaces if is_within(here, mount.source)]
    if not holding:
        say(
            f"warning: {quote(here)} is in no workspace of the agent, so that the container begins "
            f"in {quote(workspaces[0].target)}",
            f"hint: go to a workspace before, or {_NAME_ONE}",
        )
        return workspaces[0].target
    nearest = max(holding, key=lambda mount: len(mount.source))
    return os.path.normpath(os.path.join(nearest.target, os.path.relpath(here, nearest.source)))


def _at_same_paths(paths: Iterable[str]) -> tuple[Mount, ...]:
    real = dict.fromkeys(os.path.realpath(absolute(path)) for path in paths)
    return tuple(Mount(source=path, target=path) for path in real)


def _refuse_unusable(mount: Mount, reserved: Reserved) -> None:
    if not os.path.isdir(mount.source):
        raise AirlockError(f"{mount.source} is no directory", hint=_NAME_ONE)
    if conflict := reserved.conflict(mount.source):
        raise AirlockError(
            f"{mount.source} cannot be a workspace: {conflict}",
            hint=f"go to your project's directory, or {_NAME_ONE}",
        )
    for place in (SOCKET_DIRECTORY, OWN_PROGRAMS, HOME):
        if is_within(mount.target, place) or is_within(place, mount.target):
            # The engine would make the places of Airlock's own mounts inside of the workspace.
            raise AirlockError(
                f"a workspace at {mount.target} would cover {place}, which Airlock mounts",
                hint="mount it at another path: [workspace] mounts in the agent's airlock.toml",
            )
