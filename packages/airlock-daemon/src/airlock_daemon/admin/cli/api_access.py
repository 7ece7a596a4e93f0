"""A container's access to the APIs of its agent: certificates, files, entrypoint, network."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence

from airlock_daemon.admin.cli.image import Image
from airlock_daemon.admin.cli.machine import make_mount_point, write_public
from airlock_daemon.admin.cli.wiring import HOME, Machine, Mount
from airlock_daemon.admin.listening import is_served
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import read_written
from airlock_daemon.path_text import expand_home
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import (
    BUNDLE,
    ENGINE,
    HTTPS,
    PUBLISHED,
    SOCKET_DIRECTORY,
    AgentApis,
    Locations,
    State,
)
from airlock_wire import quote

_ENGINE = {
    "DOCKER_HOST": f"unix://{SOCKET_DIRECTORY}/{ENGINE}",
    # Testcontainers looks for its containers at the container's gateway otherwise.
    "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
}
_NO_NETWORK = "none"
_WAIT_S = 10.0
_STEP_S = 0.05
_MAX_BUNDLE = 4 << 20
_SHOWN = 4
"""The most names that `describe_reach` lists."""


def prepare_access(
    locations: Locations,
    state: State,
    agent: str,
    apis: AgentApis,
    *,
    stores: Sequence[str] = (),
    has_engine: bool = False,
    volume: str = "",
    is_run: bool = False,
) -> Machine:
    """Write a container's files, and return its mounts and variables to reach `apis`.

    With `has_engine` clients of docker find the agent's `docker.sock`. `volume` is that of the
    agent's bridge, which has the bundle, "" without one.

    A bundle of the agent's CA and the system's covers `stores`, the image's files; by default, the
    most usual one. With `is_run` a copy of it does, which is there only once the broker has made
    it: the engine would follow a symlink that a container has put in its place. Raises
    AirlockError.
    """
    engine = _ENGINE if has_engine else {}
    if not apis:
        return Machine(environment=engine)
    client = ContainerClient.describe(state, agent, apis)
    folder = os.path.join(locations.containers_dir, "clients", agent)
    bundle = BUNDLE if volume else os.path.join(locations.sockets_dir, agent, BUNDLE)
    if is_run and not volume:
        bundle = _copy_bundle(bundle, folder)
    mounts = [
        Mount(source=bundle, target=path, read_only=True, volume=volume)
        for path in stores or ContainerClient.STORES[:1]
    ]
    for number, (target, text) in enumerate(sorted(client.unpublished.items())):
        path = os.path.join(folder, str(number))
        write_public(path, text)
        make_mount_point(locations, agent, target)
        mounts.append(Mount(source=path, target=expand_home(target, HOME), read_only=True))
    return Machine(mounts=tuple(mounts), environment={**client.environment, **engine})


def _copy_bundle(source: str, folder: str) -> str:
    """Copy the bundle to where no container writes; returns its path there."""
    data = read_written(source, limit=_MAX_BUNDLE)
    if data is None:
        raise AirlockError(
            f"{source} is not the file that the HTTPS broker wrote",
            hint="mount the agent's socket directory read-only, and reload: airlock reload",
        )
    target = os.path.join(folder, BUNDLE)
    write_public(target, data.decode(errors="replace"))
    return target


def await_authority(sockets: str, agent: str, apis: AgentApis) -> None:
    """Wait until the broker has put the certificates into an agent's socket directory.

    Raises AirlockError on timeout. Without `apis` there are none.
    """
    end = time.monotonic() + _WAIT_S
    names = PUBLISHED if apis else ()
    while missing := [name for name in names if not os.path.exists(os.path.join(sockets, name))]:
        # The connection makes the broker start on them, if it has not.
        has_broker = is_served(os.path.join(sockets, HTTPS))
        if not has_broker or time.monotonic() > end:
            state = "has not made" if has_broker else "does not run, and has not made"
            raise AirlockError(
                f"the HTTPS broker of agent {agent} {state} {os.path.join(sockets, missing[0])}",
                hint="have the daemon read the profile: airlock reload; else see its log, "
                "and airlock doctor",
            )
        time.sleep(_STEP_S)


def take_option(words: Iterable[str], *names: str) -> tuple[list[str], list[str]]:
    """Remove an option from words for `docker run`: returns the other words, and its values."""
    others, values = list[str](), list[str]()
    left = iter(words)
    for word in left:
        name, has_value, value = word.partition("=")
        if name in names:
            values.append(value if has_value else next(left, ""))
        else:
            others.append(word)
    return others, values


def choose_command(
    name: str, image: Image, command: Sequence[str], entrypoints: Sequence[str]
) -> tuple[str, ...]:
    """The full command of a container of the image `name`, as docker would combine it.

    `entrypoints` are values of --entrypoint, of which the last is used. An empty one means none,
    and with any docker ignores the image's command. Raises AirlockError if nothing is left to run.
    """
    words = (*image.entrypoint, *(command or image.command))
    if entrypoints:
        words = (*filter(None, entrypoints[-1:]), *command)
    if not words:
        raise AirlockError(
            f"the image {quote(name)} does not say what to run",
            hint="name a command behind the image",
        )
    return words


def choose_network(named: Sequence[str], apis: AgentApis) -> tuple[str, ...]:
    """A container's networks, none for docker's default; `named` are the person's.

    All that an agent with APIs is granted goes over its sockets, so its container needs no network.
    """
    return tuple(named) or ((_NO_NETWORK,) if apis else ())


def describe_reach(agent: str, apis: AgentApis, networks: Sequence[str]) -> Iterator[str]:
    """One line on the hosts that a container reaches; nothing for an agent without APIs."""
    if not apis:
        return
    hosts = [host for api in apis.apis for host in api.hosts]
    names = list(dict.fromkeys((*hosts, *(name.removesuffix(":443") for name in apis.network))))
    shown = ", ".join(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more (airlock profile show {agent})"
    if _NO_NETWORK in networks:
        yield f"network: none; reachable by HTTPS: {shown}; for another network: --network NAME"
    else:
        yield (
            f"programs that obey HTTPS_PROXY reach {shown} and no other host; "
            "what does not obey it reaches what the container's network does"
        )
