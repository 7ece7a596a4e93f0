"""The service manager that started the daemon: messages to it, and sockets that it stores.

Messages are those of sd_notify(3); without a manager (NOTIFY_SOCKET unset), nothing is sent or
stored. A container that mounts a socket's file has that very inode, and never sees a new socket at
the same path. So the socket itself is stored, in the manager's file descriptor store, and its file
stays. Connections made while no daemon runs wait in it for the next one.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from airlock_daemon.serving.daemon.socket_file import File
from airlock_daemon.serving.request import log
from airlock_daemon.setup.generation import SOCKET

# Seconds that the manager waits for a stop beyond the commands' grace period.
_TO_END = 30

# The first descriptor that a manager passes (SD_LISTEN_FDS_START).
_FIRST = 3


class ServiceManager:
    """The manager of this process, by its environment.

    `capacity` is the number of descriptors that the manager stores for the next start. FDSTORE sets
    it: by systemd since 254, by the unit of `airlock init` for earlier ones.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{named[1:]}" if named.startswith("@") else named
        self.capacity = _number(environment.get("FDSTORE")) if named else 0

    def ready(self) -> None:
        """Report that clients can connect, after a start or a reload."""
        self._notify("READY=1")

    def reloading(self) -> None:
        """Report a reload; `ready` ends it."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, grace_s: float) -> None:
        """Report a stop, which gives commands `grace_s` seconds to end."""
        self._notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((grace_s + _TO_END) * 1_000_000)}")

    def store(self, name: str, descriptor: int) -> bool:
        """Store a copy of `descriptor` in the manager; returns whether it was sent."""
        return self._notify("FDSTORE=1", f"FDNAME={name}", descriptors=(descriptor,))

    def forget(self, name: str) -> None:
        """Have the manager close what it stores by this name."""
        self._notify("FDSTOREREMOVE=1", f"FDNAME={name}")

    def _notify(self, *lines: str, descriptors: Sequence[int] = ()) -> bool:
        if not self._address:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            try:
                told.connect(self._address)
                socket.send_fds(told, ["\n".join(lines).encode()], descriptors)
            except OSError as error:
                log.warning(
                    "the service manager cannot be told %s: %s; start the daemon by it, or "
                    "without NOTIFY_SOCKET",
                    *(lines[0], error.strerror),
                )
                return False
        return True


def list_inherited(environment: Mapping[str, str]) -> Iterator[tuple[str, socket.socket]]:
    """Yield the sockets that the manager stored, with their names (sd_listen_fds(3)).

    Passed descriptors that are no sockets are closed. Children inherit none.
    """
    if _number(environment.get("LISTEN_PID")) != os.getpid():
        return
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    for index in range(_number(environment.get("LISTEN_FDS"))):
        descriptor = _FIRST + index
        os.set_inheritable(descriptor, False)
        try:
            kept = socket.socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            continue
        yield names[index] if index < len(names) else "", kept


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


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
        for name, inherited in list_inherited(environment):
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
        if len(self._given) < self._manager.capacity and self._manager.store(
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
