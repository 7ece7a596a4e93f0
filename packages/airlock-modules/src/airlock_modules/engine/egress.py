"""The way out of an agent's containers: what they get besides what their client wrote.

Their network is internal. Like the agent's own container, one gets the agent's `https.sock`, whose
broker judges each connection, the certificates of its authority, and variables that lead programs
there. The shim is executed first, listens at the container's loopback, and becomes the container's
command: started by the engine's `exec`, it would not listen yet when that begins. Answers show
none of it but the variables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

DIRECTORY = "/run/airlock"
"""Where a container has the socket and the certificates."""
SHIM = "/opt/airlock-shim"
"""Where it has the shim."""
_FIRST = (SHIM, "--exec")

Body = Mapping[str, Any]


class Egress(Struct, frozen=True, kw_only=True):
    """What is put into a container: paths of the host, and variables.

    Without a `directory` it is the shim alone, by which its ports are reached.
    """

    shim: str
    directory: str = ""
    environment: Mapping[str, str] = {}


SECOND = 1_000_000_000
"""In the engine's nanoseconds."""
_INTERVALS = ("Interval", "StartInterval")


class ImageConfig(Struct, frozen=True, kw_only=True):
    """What an image says of its containers, or a container of itself."""

    architecture: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    user: str = ""
    labels: Mapping[str, str] = {}
    hurries: tuple[str, ...] = ()
    """The intervals at which its health is checked that are too short (`is_short`)."""


def is_short(interval: object) -> bool:
    """Whether a check of health at this interval is one that is refused: each starts a process, at
    the expense of the engine. 0 is the engine's default.
    """
    return isinstance(interval, int) and 0 < interval < SECOND


def read_image_config(image: Mapping[str, Any]) -> ImageConfig:
    """Read the engine's answer about an image or a container."""
    config = image.get("Config") or {}
    health = config.get("Healthcheck") or {}
    return ImageConfig(
        architecture=str(image.get("Architecture") or ""),
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        environment=_words(config.get("Env")),
        exposed=tuple(config.get("ExposedPorts") or ()),
        user=str(config.get("User") or ""),
        labels=config.get("Labels") or {},
        hurries=tuple(name for name in _INTERVALS if is_short(health.get(name))),
    )


def may_lead_out(body: Body) -> bool:
    """Whether a container has a use for a way out, and nothing of its client's in its place."""
    host = body.get("HostConfig") or {}
    taken = {str(each.get("Target")).rstrip("/") for each in host.get("Mounts") or ()}
    taken |= {path.rstrip("/") for path in (*body.get("Volumes", ()), *host.get("Tmpfs", ()))}
    has_network = host.get("NetworkMode") != "none" and not body.get("NetworkDisabled")
    return has_network and not taken & {DIRECTORY, SHIM}


def lead_out(body: Body, egress: Egress, image: ImageConfig) -> dict[str, Any]:
    """The body of a container, written anew with a way out.

    A variable that the client or the image sets, in whatever case, stays as it is.
    """
    mounted = {**body, "HostConfig": _mount(body.get("HostConfig") or {}, egress)}
    entrypoint, command = _find_words(body, image)
    if not egress.directory or not (entrypoint or command):
        # Without a command the engine says so.
        return mounted
    own = list(body.get("Env") or ())
    names = {each.partition("=")[0].casefold() for each in (*own, *image.environment)}
    added = [
        f"{name}={value}"
        for name, value in egress.environment.items()
        if name.casefold() not in names
    ]
    return {
        **mounted,
        "Entrypoint": [*_FIRST, *entrypoint],
        "Cmd": command,
        "Env": [*own, *added],
    }


def _mount(host: Body, egress: Egress) -> dict[str, Any]:
    """The host's configuration with the mounts of a way out."""
    pairs = [(egress.shim, SHIM), *([(egress.directory, DIRECTORY)] if egress.directory else [])]
    options = {"Propagation": "rprivate", "CreateMountpoint": False}
    mounts = [
        {
            "Type": "bind",
            "Source": source,
            "Target": target,
            "ReadOnly": True,
            "BindOptions": options,
        }
        for source, target in pairs
    ]
    return {**host, "Mounts": [*host.get("Mounts", ()), *mounts]}


def _find_words(body: Body, image: ImageConfig) -> tuple[list[str], list[str]]:
    """Entrypoint and command of a container, as an engine takes them from client and image."""
    entrypoint, command = _words(body.get("Entrypoint")), _words(body.get("Cmd"))
    if not entrypoint:
        command = command or image.command
        # An empty list is none, and not the client's.
        entrypoint = image.entrypoint
    return [] if entrypoint == ("",) else list(entrypoint), list(command)


def _words(found: object) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def restore_words(container: ImageConfig) -> dict[str, Any]:
    """What an image that is made of a container has instead of its words with the shim."""
    if container.entrypoint[: len(_FIRST)] != _FIRST:
        return {}
    # An engine takes the container's instead of an empty one.
    return {
        "Entrypoint": hide_words(container.entrypoint) or [""],
        "Cmd": list(container.command),
    }


def hide_words(words: Sequence[str]) -> list[str]:
    """The words of a container without those that execute the shim."""
    is_first = tuple(words[: len(_FIRST)]) == _FIRST
    return list(words[len(_FIRST) :] if is_first else words)


def hide_line(line: str) -> str:
    """The line of a container's command, as `hide_words`."""
    return line.removeprefix(" ".join((*_FIRST, "")))


def is_hidden(mount: Mapping[str, Any]) -> bool:
    """Whether a mount is one that `lead_out` has added: no client binds anything there."""
    return mount.get("Type") == "bind" and mount.get("Destination") in (DIRECTORY, SHIM)
