"""Listening sockets that outlive the daemon, in the service manager's file descriptor store.

A container that has a socket's file mounted has that very file: a new socket at the same path is
another one, which it never sees. So the socket itself is kept, and its file stays where it is.
Connections that are made while no daemon runs wait in it for the next one.
"""

import socket
from collections.abc import Iterator, Mapping

import msgspec

from airlock_daemon.serving.daemon.notify import ServiceManager, take_inherited
from airlock_daemon.serving.daemon.socket_file import File
from airlock_daemon.setup.sockets import SOCKET

_SUFFIX = f"/{SOCKET}"


class StoredSocket(msgspec.Struct, frozen=True):
    """A socket of an earlier daemon, and the file that it was bound to."""

    listening: socket.socket
    file: File


class SocketStore:
    """The sockets that `manager` keeps, by their paths in the sockets directory.

    Its owner must `close` it.
    """

    def __init__(self, manager: ServiceManager, environment: Mapping[str, str]) -> None:
        """Take what was kept, by the variables that the daemon was started with."""
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
        """The socket that was kept for `path`, if it is the one that is bound to `file`.

        The caller owns it. The manager goes on keeping it.
        """
        kept = self._kept.get(path)
        if kept is None or kept.file != file:
            return None
        del self._kept[path]
        return kept.listening

    def keep(self, path: str, listening: socket.socket, file: File) -> None:
        """Have the manager keep `listening`, in the place of what it kept for `path`."""
        self.forget(path)
        # Earlier releases have one socket an agent, and know it by that name.
        name = f"{path.removesuffix(_SUFFIX)}@{file[0]:x}.{file[1]:x}"
        if len(self._given) < self._manager.capacity and self._manager.keep(
            name, listening.fileno()
        ):
            self._given[path] = name

    def keeps(self, path: str) -> bool:
        """Whether the manager keeps the socket at `path` when this daemon ends."""
        return path in self._given

    def forget(self, path: str) -> None:
        """Have the manager close what it keeps for `path`."""
        name = self._given.pop(path, None)
        if name is not None:
            self._manager.forget(name)
        kept = self._kept.pop(path, None)
        if kept is not None:
            kept.listening.close()

    def list_unclaimed(self) -> Iterator[tuple[str, StoredSocket]]:
        """The path of each socket that was kept and not taken, and that socket."""
        yield from list(self._kept.items())

    def close(self) -> None:
        """Close what was not taken."""
        for kept in self._kept.values():
            kept.listening.close()
        self._kept.clear()


def _parse(name: str) -> tuple[str, File]:
    """The path and the file that a name tells; of another form, a file that does not exist."""
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
