"""A sockets directory: of each agent NAME the sockets `NAME/*.sock`, and `NAME.sock`."""

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
"""Held by the daemon that serves the directory, as long as it lives."""

SOCKET = "airlock.sock"
"""The socket for commands, in the directory of its agent. `NAME.sock` is a hard link to it."""

HTTPS = "https.sock"
"""The socket for APIs and networks, which an agent has where its profile grants some."""

NAMES = (SOCKET, HTTPS)
"""Every socket that the directory of an agent may have."""

CA = "ca.pem"
BUNDLE = "ca-bundle.pem"
TRUSTSTORE = "truststore.p12"
PUBLISHED = (CA, BUNDLE, TRUSTSTORE)
"""What the HTTPS broker puts into the directory of an agent's sockets."""
CLIENT_ENV = "client.env"
"""The variables of `client.describe_client` in that directory, a line NAME=VALUE each."""


def list_sockets(path: str) -> Iterator[str]:
    """The paths of all sockets in the sockets directory `path`, links too, served or not."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            # A container that may write here could lead elsewhere by it.
            continue
        for candidate in (entry.path, *(os.path.join(entry.path, name) for name in NAMES)):
            with suppress(OSError):
                if stat.S_ISSOCK(os.lstat(candidate).st_mode):
                    yield candidate


def is_served(path: str) -> bool:
    """Whether something accepts connections at the socket `path`, or has many that wait for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            return connect(connection, path)
        except BlockingIOError:
            return True


def connect(connection: socket.socket, path: str) -> bool:
    """Connect to the socket `path`, however long that is; False where nothing listens there.

    Raises BlockingIOError where `connection` has a timeout, and too many wait there already.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # An address has 107 bytes at most; Linux has a short name for an open directory.
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
    """Find what keeps the user who asks from serving in the sockets directory `path`.

    It need not exist. Each remedy is the command that mends it; one that docker has made is also
    made private, so that sockets in it may be open to every user of a container.
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
        # The daemon sets the mode of an agent's directory, which its owner and root alone may.
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
    # By the user that files would get, where the system can tell.
    effective = os.access in os.supports_effective_ids
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)


def _say_owner(user: int) -> str:
    from airlock_daemon.setup.trust import name_user  # noqa: PLC0415 - as above

    reason = f" ({DOCKER})" if user == 0 else ""
    return f"belongs to {name_user(user)}{reason}"
