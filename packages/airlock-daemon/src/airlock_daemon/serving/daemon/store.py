"""Listening sockets that outlive the daemon, in the service manager's file descriptor store.

A container that mounts a socket's file has that very inode, and never sees a new socket at the same
path. So the socket itself is stored, and its file stays. Connections made while no daemon runs wait
in it for the next one.
"""

import socket
from collections.abc import Iterator, Mapping

import msgspec

from airlock_daemon.serving.daemon.notify import ServiceManager, take_inherited
from airlock_daemon.serving.daemon.socket_file import File
from airlock_daemon.setup.sockets import SOCKET

_SUFFIX = f"/{SOCKET}"


class StoredSocket(msgspec.Struct, frozen=True):
    """An earlier daemon's socket, and the file that it is bound to."""

    listening: socket.socket
    file: File


class SocketStore:
    """The sockets that `manager` stores, by path in the sockets directory.

    Its owner must `close` it.
    """

    def __init__(self, manager: ServiceManager, environment: Mapping[str, str]) -> None:
        """Take the stored sockets, by the daemon's environment."""
        self._manager = manager
        self._kept: dict[str, StoredSocket] = {}
        self._given: dict[str, str] = {}
        for name, inherited in take_inherited(environment):
            path, file = _parse(name)
            if path in self._kept or not _is_listening(inherited):
                manager.forget(name)
                inherited.close()
                continue
            inherited.setblocking(False)
            self._kept[path] = StoredSocket(inherited, file)
            self._given[path] = name

    def take(self, path: str, file: File) -> socket.socket | None:
        """The stored socket for `path`, if it is bound to `file`.

        The caller owns it; the manager still stores it.
        """
        kept = self._kept.get(path)
        if kept is None or kept.file != file:
            return None
        del self._kept[path]
        return kept.listening

    def keep(self, path: str, listening: socket.socket, file: File) -> None:
        """Store `listening` in the manager, replacing the stored one for `path`."""
        self.forget(path)
        # Earlier releases have one socket per agent, and know it by that name.
        name = f"{path.removesuffix(_SUFFIX)}@{file[0]:x}.{file[1]:x}"
        if len(self._given) < self._manager.capacity and self._manager.keep(
            name, listening.fileno()
        ):
            self._given[path] = name

    def keeps(self, path: str) -> bool:
        """Whether the manager has the socket at `path` for the next daemon."""
        return path in self._given

    def forget(self, path: str) -> None:
        """Have the manager close its socket for `path`."""
        name = self._given.pop(path, None)
        if name is not None:
            self._manager.forget(name)
        kept = self._kept.pop(path, None)
        if kept is not None:
            kept.listening.close()

    def list_unclaimed(self) -> Iterator[tuple[str, StoredSocket]]:
        """Yield the stored sockets that were not taken, with their paths."""
        yield from list(self._kept.items())

    def close(self) -> None:
        """Close the sockets that were not taken."""
        for kept in self._kept.values():
            kept.listening.close()
        self._kept.clear()


def _parse(name: str) -> tuple[str, File]:
    """Parse a name into path and file; for other forms, a file that does not exist."""
    path, _, numbers = name.rpartition("@")
    if "/" not in path:
        path += _SUFFIX
    device, _, inode = numbers.partition(".")
    try:
        return path, (int(device, 16), int(inode, 16))
    except ValueError:
        return path, (-1, -1)


def _is_listening(inherited: socket.socket) -> bool:
    kind = (inherited.family, inherited.type)
    if kind != (socket.AF_UNIX, socket.SOCK_STREAM):
        return False
    return bool(inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
