"""A sockets directory: for each agent NAME the sockets `NAME/*.sock`, and hard links to them."""

import os
import shlex
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock_modules import Fault

LOCK = ".lock"
"""Locked by the daemon that serves the directory."""

SOCKET = "airlock.sock"
"""The socket for commands, in its agent's directory. `NAME.sock` is a hard link to it."""

HTTPS = "https.sock"
"""The socket for APIs and networks, if the agent's profile grants any."""

ENGINE = "docker.sock"
"""The socket for the docker engine, if the agent's profile has `[docker]`."""

NAMES = (SOCKET, HTTPS, ENGINE)
"""All sockets that an agent's directory may have."""

CA = "ca.pem"
BUNDLE = "ca-bundle.pem"
TRUSTSTORE = "truststore.p12"
PUBLISHED = (CA, BUNDLE, TRUSTSTORE)
"""The HTTPS broker's files in an agent's socket directory."""
CLIENT_ENV = "client.env"
"""The variables of `client.ContainerClient` in that directory, as lines NAME=VALUE."""

BRIDGED = ("docker", "podman")
"""The engines whose own command can carry the sockets to their containers, by a bridge."""

_FOR_CONTAINERS = ".containers"


def container_directory(agent: str) -> str:
    """A directory for what an agent's docker containers mount, relative to the sockets directory.

    No container has it at a path where it could replace a file, as an agent may in its own
    directory: an engine that mounts a path follows its symlinks on the host.
    """
    return f"{_FOR_CONTAINERS}/{agent}"


def find_link(agent: str, name: str) -> str:
    """The path of the hard link to an agent's socket, relative to the sockets directory."""
    links = {
        SOCKET: f"{agent}.sock",
        HTTPS: f"{container_directory(agent)}/{HTTPS}",
        ENGINE: f"{container_directory(agent)}.sock",
    }
    return links[name]


def list_sockets(path: str) -> Iterator[str]:
    """The paths of all sockets in the sockets directory `path`, with hard links, served or not."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            # A container that may write here could point it elsewhere.
            continue
        for candidate in (entry.path, *(os.path.join(entry.path, name) for name in NAMES)):
            with suppress(OSError):
                if stat.S_ISSOCK(os.lstat(candidate).st_mode):
                    yield candidate


def is_served(path: str) -> bool:
    """Whether something listens on the socket `path`, even if its backlog is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            return connect(connection, path)
        except BlockingIOError:
            return True


def connect(connection: socket.socket, path: str) -> bool:
    """Connect to the socket `path` of any length; False if nothing listens there.

    Raises BlockingIOError if `connection` has a timeout, and the backlog is full.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # An address has at most 107 bytes; Linux has a short name for an open directory.
        short = f"/proc/self/fd/{directory}"
        name = os.path.basename(path)
        connection.connect(os.path.join(short, name) if os.path.isdir(short) else path)
    except BlockingIOError:
        raise
    except OSError:
        return False
    finally:
        os.close(directory)
    return True


DOCKER = "docker makes such a directory where a container mounts it before the daemon has started"


def find_unusable(path: str) -> "Iterator[Fault]":
    """Find what keeps the current user from serving in the sockets directory `path`.

    It may be missing. Each remedy is a command; for a directory made by docker it also removes
    others' access, so that sockets in it may be open to every user of a container.
    """
    from airlock_modules import Fault  # noqa: PLC0415 - `doctor --alive` needs none of it

    user = os.geteuid()
    if not os.path.lexists(path):
        yield from _find_unmakeable(path, user)
        return
    if not os.path.isdir(path):
        yield Fault(
            path, "", "is no directory", f"look at what it is, then: rm {shlex.quote(path)}"
        )
        return
    quoted = shlex.quote(path)
    own = f"sudo chown -R {user} {quoted} && chmod 700 {quoted}"
    if not _may_write(path):
        owner = os.stat(path).st_uid
        if owner == user:
            yield Fault(path, "", "is not writable", f"chmod u+rwx {quoted}")
        else:
            yield Fault(path, "", _say_owner(owner), own)
        return
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        info = entry.stat(follow_symlinks=False)
        # The daemon must set the mode of an agent's directory, which only its owner and root may.
        if stat.S_ISDIR(info.st_mode) and info.st_uid != user != 0:
            yield Fault(entry.path, "", _say_owner(info.st_uid), own)


def _find_unmakeable(path: str, user: int) -> "Iterator[Fault]":
    from airlock_modules import Fault  # noqa: PLC0415 - as above

    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not _may_write(parent):
        remedy = f"sudo install -d -m 700 -o {user} {shlex.quote(path)}"
        yield Fault(path, "", f"cannot be made, as {parent} is not writable", remedy)


def _may_write(directory: str) -> bool:
    # By the effective user, if the system supports it.
    effective = os.access in os.supports_effective_ids
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)


def _say_owner(user: int) -> str:
    from airlock_daemon.setup.trust import name_user  # noqa: PLC0415 - as above

    reason = f" ({DOCKER})" if user == 0 else ""
    return f"belongs to {name_user(user)}{reason}"
