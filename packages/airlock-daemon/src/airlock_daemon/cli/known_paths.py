"""Paths among arguments of which the profile alone decides, whoever the client is. Linux alone."""

import functools
import os
from collections.abc import Iterable, Sequence

import trio

from airlock_daemon.errors import Denied
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.reserved import is_within
from airlock_daemon.workspace.beneath import LeadsOutError, count
from airlock_daemon.workspace.mapping import Mounts
from airlock_daemon.workspace.path_arguments import EVERYWHERE, judge_paths
from airlock_modules import PathUse


def find_undecided(paths: Iterable[str], agent: Agent) -> tuple[str, ...]:
    """Those of `paths` of which the client's directory or its container's mounts decide.

    These are absolute ones that the profile does not map, and relative ones that climb above where
    they start.
    """
    return tuple(path for path in paths if not _is_known(path, agent))


def judge_known(
    args: Sequence[str], uses: Sequence[PathUse], *, generation: Generation
) -> Denied | None:
    """Return what the workspace step refuses of `uses`, which were found in `args`."""
    step = functools.partial(
        judge_paths,
        args,
        uses,
        mounts=Mounts(generation.agent),
        reserved=generation.reserved,
        lookups=trio.CapacityLimiter(1),
    )
    try:
        trio.run(step)
    except Denied as refusal:
        return refusal
    return None


def _is_known(path: str, agent: Agent) -> bool:
    if path in EVERYWHERE:
        return True
    if path.startswith("/"):
        plain = "/" + os.path.normpath(path).lstrip("/")
        mounts = (*agent.profile.mounts, *agent.profile.same_path)
        return any(is_within(plain, mount.target) for mount in mounts)
    try:
        count(path.split("/"), depth=0)
    except LeadsOutError:
        return False
    return True
