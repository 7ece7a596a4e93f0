"""The human's login at a registry, for a call of an agent's that may use it."""

import os
from collections.abc import Mapping
from functools import partial

from airlock_daemon.boundary.brokers.docker.logins import (
    Configuration,
    find_login,
    read_configuration,
    write_header,
)
from airlock_daemon.boundary.brokers.requester import MAX_OUTPUT, run_program
from airlock_daemon.boundary.command.launcher import CommandLine
from airlock_daemon.boundary.identity.neighbours import find_mounted
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import Denied
from airlock_daemon.path_text import expand_home
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.setup.files import read_bounded
from airlock_daemon.setup.paths import Reserved
from airlock_daemon.setup.trust import leads_through
from airlock_wire import quote


async def find_registry_login(
    registry: str, *, agent: AgentState, shared: DaemonState
) -> bytes | None:
    """The human's login at a registry, as docker's `X-Registry-Auth`; None for none.

    Raises Denied if the human's docker configuration cannot be read.
    """
    generation = agent.generation
    reader = partial(_read_beside, generation.reserved, shared.environment, generation.workspaces)
    configuration = await run_in_thread(reader, limiter=agent.lookups)
    directory = Workspace.make_empty(None)
    try:
        helpers = partial(_ask, shared, agent, generation.programs.path, directory.descriptor)
        login = await find_login(configuration, registry, generation.programs, helpers)
    finally:
        await directory.release(agent.removals)
    return None if login is None else write_header(login)


def _read_beside(
    reserved: Reserved, environment: Mapping[str, str], written: tuple[str, ...]
) -> Configuration:
    beside: tuple[str, ...] = ()
    if reserved.sockets_dir is not None:
        beside = find_mounted(reserved.sockets_dir)
    return _read(reserved, environment, (*written, *beside))


def _read(
    reserved: Reserved, environment: Mapping[str, str], written: tuple[str, ...]
) -> Configuration:
    """The human's docker configuration, an empty one if there is no file."""
    folder = environment.get("DOCKER_CONFIG", "")
    home = environment.get("HOME", "/")
    path = os.path.join(folder or expand_home("~/.docker", home), "config.json")
    if not os.path.isabs(path):
        raise _refuse("DOCKER_CONFIG of the daemon names no directory of this host")
    conflict = reserved.private.conflict(os.path.realpath(path))
    if leads_through(path, written):
        conflict = "the way to it leads through a workspace"
    if conflict is not None:
        raise _refuse(f"{quote(path)} may not be read: {conflict}")
    try:
        content = read_bounded(os.path.realpath(path), limit=MAX_OUTPUT)
    except (FileNotFoundError, NotADirectoryError):
        content = b""
    except OSError as error:
        raise _refuse(f"{quote(path)} cannot be read: {error.strerror}") from error
    configuration = None if content is None else read_configuration(content)
    if configuration is None:
        raise _refuse(f"{quote(path)} is no configuration of docker")
    return configuration


def _refuse(problem: str) -> Denied:
    return Denied(
        f"docker's logins cannot be had: {problem}",
        layer="broker",
        rule="logins",
        hint="a person on the host can mend that file, or set DOCKER_CONFIG of the daemon",
    )


async def _ask(
    shared: DaemonState,
    agent: AgentState,
    path: str,
    directory: int,
    program: str,
    argv: tuple[str, ...],
    *,
    said: bytes = b"",
    more: Mapping[str, str] = {},
) -> tuple[int, bytes]:
    line = CommandLine(program, argv, {**shared.environment, "PATH": path, **more}, directory)
    return await run_program(line, shared.launcher, agent.turns, said=said)
