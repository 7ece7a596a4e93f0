"""A sockets directory: for each agent NAME the sockets `NAME/*.sock`, and hard links to them."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress

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

SOCKET_DIRECTORY = "/run/airlock"
"""The mount point of its agent's socket directory in a container."""

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
