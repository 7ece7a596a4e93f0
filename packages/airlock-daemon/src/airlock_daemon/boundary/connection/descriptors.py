"""File descriptors that a client passes (SCM_RIGHTS, unix(7)), and which of them are accepted.

They are inspected only by their links in /proc: fstat(2) on a descriptor may query a file system
that the client implements, which may never answer.
"""

import array
import functools
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from airlock_daemon.boundary.connection.closing import Closer
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.mountinfo import parse_mountinfo
from airlock_daemon.platform.linux.procfs import read_process_file
from airlock_daemon.platform.system import CLOSED_AT_EXEC, name_descriptor, read_mount_id

Kind = Literal["pipe", "null", "terminal"]

COUNT = 3

_PIECE = 65536

_HOW = "send stdin, stdout and stderr with the first byte of the request, or no descriptor at all"

AT_ONCE = socket.MSG_DONTWAIT | CLOSED_AT_EXEC
"""For recvmsg(2): others that hold the socket could clear its O_NONBLOCK."""

ROOM = socket.CMSG_SPACE(253 * array.array("i").itemsize)
"""Room for the kernel's limit of descriptors per message (SCM_MAX_FD).

The kernel closes those without room, in the receiving process: a TCP socket with SO_LINGER whose
peer does not read would block the daemon for as long as its sender likes.
"""

# A terminal whose other side is closed is shown as deleted, and still counts.
_TERMINAL = re.compile(r"(/dev/(pts/[0-9]+|console|tty[0-9]*|ttyS[0-9]+)|/[0-9]+)( \(deleted\))?")

# The kernel's own file systems: no other process answers for their files.
_KERNEL_ONLY = frozenset(("devpts", "devtmpfs", "tmpfs"))


class BadDescriptors(AirlockError):
    """A client passed descriptors that are refused."""


class ClientDescriptors:
    """The descriptors of one request, from receipt to close.

    Only this object closes them: `close` may be called repeatedly, and empties `numbers`. `closer`
    also makes other calls that the client can block.
    """

    def __init__(self, numbers: Sequence[int], closer: Closer) -> None:
        self.numbers = tuple(numbers)
        self.closer = closer

    @functools.cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """The kind of each, by its name.

        Raises BadDescriptors for a wrong count or a refused kind. The client can choose a name that
        is a path: /dev/null and a terminal are only claims.
        """
        if len(self.numbers) != COUNT:
            raise BadDescriptors(
                f"{len(self.numbers)} descriptors came with the request, not three", hint=_HOW
            )
        return tuple(map(_name_kind, self.numbers))

    def are_usable(self, peer: Peer) -> bool:
        """Whether they are what their names claim, without querying a file system of the client.

        The kernel reports the mount on which a file was opened, and that mount's type in the peer's
        mount namespace (proc_pid_fdinfo(5), proc_pid_mountinfo(5)). A terminal must be on devpts.
        On the daemon's own host the names are trusted otherwise.
        """
        is_local = peer.kind == "local"
        plain = {"pipe", "null"} if is_local else {"pipe"}
        if plain.issuperset(self.kinds):
            return True
        pairs = zip(self.numbers, self.kinds, strict=True)
        named = [(number, kind) for number, kind in pairs if kind != "pipe"]
        types = _mount_types(peer)
        found = {(kind, types.get(read_mount_id(number), "")) for number, kind in named}
        return all(
            (kind != "terminal" or mount == "devpts") and (is_local or mount in _KERNEL_ONLY)
            for kind, mount in found
        )

    def close(self, *, is_usable: bool = False) -> None:
        """Close them asynchronously. `is_usable`: `are_usable` accepted them."""
        if self.numbers:
            numbers, self.numbers = self.numbers, ()
            self.closer.close(numbers, is_usual=is_usable)


if sys.platform == "linux":

    def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
        """Read at most `size` bytes and the descriptors with them, which the caller closes."""
        data, ancillary, _, _ = connection.recvmsg(size, ROOM, AT_ONCE)
        return data, list_rights(ancillary) if ancillary else []

else:

    def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
        """Read at most `size` bytes. recv(2) has the kernel drop descriptors; recvmsg(2) of macOS
        would install those without room, too, and not tell their numbers.
        """
        return connection.recv(size, socket.MSG_DONTWAIT), []


def drop_unread(connection: socket.socket, closer: Closer) -> None:
    """Shut the connection down and receive pending descriptors, which `closer` closes.

    Otherwise they would be closed here, with the connection.
    """
    try:  # noqa: SIM105 - faster, for every request
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    while True:
        try:
            data, numbers = receive(connection, _PIECE)
        except OSError:
            return
        if numbers:
            closer.close(numbers)
        if not data:
            return


def list_rights(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in recvmsg(2)'s ancillary data."""
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(payload) - len(payload) % descriptors.itemsize
            descriptors.frombytes(payload[:whole])
    return descriptors.tolist()


def too_many_descriptors() -> BadDescriptors:
    """The error for more than three descriptors."""
    return BadDescriptors("more than three descriptors came with the request", hint=_HOW)


def receive_plain(connection: socket.socket, size: int, closer: Closer) -> bytes:
    """Read at most `size` bytes; raises BadDescriptors if a descriptor comes with them."""
    data, numbers = receive(connection, size)
    if numbers:
        closer.close(numbers)
        raise BadDescriptors(
            "descriptors came later than with the first byte of the request", hint=_HOW
        )
    return data


def _name_kind(descriptor: int) -> Kind:
    name = name_descriptor(descriptor)
    if name.startswith("pipe:["):
        return "pipe"
    if name == os.devnull:
        return "null"
    if _TERMINAL.fullmatch(name):
        return "terminal"
    raise BadDescriptors(
        "a descriptor that came with the request is no pipe, no terminal and not /dev/null",
        hint="relay files and sockets through a pipe",
    )


def _mount_types(peer: Peer) -> Mapping[int | None, str]:
    if peer.kind == "container":
        return _read_types(peer.mountinfo)
    if peer.kind == "local":
        return _read_types(read_process_file(os.getpid(), "mountinfo"))
    return {}


@functools.lru_cache(maxsize=64)
def _read_types(mountinfo: str) -> Mapping[int | None, str]:
    return {row.mount_id: row.kind for row in parse_mountinfo(mountinfo)}


# A box may run an agent's code, so the daemon accepts no socket from it. Another holder of a socket
# can configure it (SO_PASSPIDFD makes each read here open a descriptor) and hold its lock, by a
# recvmsg(2) into slow memory.

# The byte that accompanies the descriptor has no meaning.
_WORD = 16
_SAID = b"c"

# The minimum of connections that may wait in the relay: those in flight count against the daemon's
# user (unix(7), ETOOMANYREFS).
_LEAST = 1


class UnexpectedDescriptors(Exception):
    """A message came with descriptors, which are not allowed."""


def make_relay() -> tuple[socket.socket, socket.socket]:
    """Make a relay; returns the daemon's end and the box's. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LEAST)
    return ours, theirs


def receive_bytes(relay: socket.socket, closer: Closer) -> bool:
    """Receive the next message, which requests a connection; False at EOF.

    Raises BlockingIOError if there is none yet, OSError, and UnexpectedDescriptors if it came with
    descriptors, which `closer` closes.
    """
    data, numbers = receive(relay, _WORD)
    if numbers:
        closer.close(numbers)
        raise UnexpectedDescriptors
    return bool(data)


def make_connection() -> tuple[socket.socket, socket.socket]:
    """Make a connection; returns the daemon's end, and the one to `give`. Raises OSError."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def give(relay: socket.socket, end: socket.socket) -> None:
    """Send an end of a connection to the requester in the box.

    Raises BlockingIOError if too many wait there unreceived, and OSError.
    """
    socket.send_fds(relay, [_SAID], [end.fileno()], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
