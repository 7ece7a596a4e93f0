"""File descriptors that a client passes along (unix(7), SCM_RIGHTS), and which of them are taken.

They are looked at by their links in /proc and by nothing else: to ask a descriptor itself (fstat)
can mean to ask a file system that the client runs, which may never answer.
"""

import array
import functools
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Literal

from airlock_daemon.boundary.connection.closing import Closer
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.mountinfo import parse_mountinfo
from airlock_daemon.platform.linux.procfs import name_descriptor, read_mount_id, read_process_file

Kind = Literal["pipe", "null", "terminal"]

COUNT = 3

_PIECE = 65536

_HOW = "send stdin, stdout and stderr with the first byte of the request, or no descriptor at all"

AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
"""Of recvmsg(2): that a socket does not block is also for others to change who hold it."""

ROOM = socket.CMSG_SPACE(253 * array.array("i").itemsize)
"""For as many as the kernel lets ride on a message (SCM_MAX_FD).

What there is no room for it closes itself, in the process that receives: a TCP socket with
SO_LINGER, whose peer does not read, would make the daemon wait for as long as its sender likes.
"""

# A terminal whose other side is gone is called deleted, and still one.
_TERMINAL = re.compile(r"(/dev/(pts/[0-9]+|console|tty[0-9]*|ttyS[0-9]+)|/[0-9]+)( \(deleted\))?")

# File systems of the kernel's own: no other process answers for their files.
_KERNEL_ONLY = frozenset(("devpts", "devtmpfs", "tmpfs"))


class BadDescriptors(AirlockError):
    """A client passed descriptors that are not taken."""


class ClientDescriptors:
    """The descriptors that came with one request, from their receipt to their close.

    It alone closes them: `close` may be called more than once. `numbers` is empty from then on.
    `closer` is also for other calls that their client can hold up.
    """

    def __init__(self, numbers: Sequence[int], closer: Closer) -> None:
        self.numbers = tuple(numbers)
        self.closer = closer

    @functools.cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """What each of them is, by its name.

        Raises BadDescriptors for a wrong count and for a kind that is not taken. A name that is a
        path is the client's to choose: /dev/null and a terminal are no more than claims.
        """
        if len(self.numbers) != COUNT:
            raise BadDescriptors(
                f"{len(self.numbers)} descriptors came with the request, not three", hint=_HOW
            )
        return tuple(map(_name_kind, self.numbers))

    def are_usable(self, peer: Peer) -> bool:
        """Whether they are what they are called, and no file system of the client's is asked.

        The kernel tells on which mount a file was opened, and of which type that mount is in the
        peer's own mount namespace (proc_pid_fdinfo(5), proc_pid_mountinfo(5)). A terminal is one on
        devpts. What the daemon's own host calls /dev/null or a terminal is one.
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
        """Close them, some time. `is_usable` says that they were found to be so."""
        if self.numbers:
            numbers, self.numbers = self.numbers, ()
            self.closer.close(numbers, is_usual=is_usable)


def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Read at most `size` bytes and the descriptors that ride on them, which the caller closes."""
    data, ancillary, _, _ = connection.recvmsg(size, ROOM, AT_ONCE)
    return data, list_rights(ancillary) if ancillary else []


def drop_unread(connection: socket.socket, closer: Closer) -> None:
    """Let nothing more come, and take descriptors out of what did: they are closed by `closer`.

    With the connection they would be closed here.
    """
    try:  # noqa: SIM105 - on the way of every request
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
    """The descriptors in what recvmsg(2) has brought beside the data."""
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(payload) - len(payload) % descriptors.itemsize
            descriptors.frombytes(payload[:whole])
    return descriptors.tolist()


def too_many_descriptors() -> BadDescriptors:
    """More came than are taken."""
    return BadDescriptors("more than three descriptors came with the request", hint=_HOW)


def receive_plain(connection: socket.socket, size: int, closer: Closer) -> bytes:
    """Read at most `size` bytes where no descriptor may come; raises BadDescriptors for one."""
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


# Whoever asks runs what an agent wrote. So the daemon takes nothing of theirs: an end that somebody
# else has too is theirs to configure (SO_PASSPIDFD has each read here open a descriptor), and to
# lock for as long as memory of theirs takes to be written to, in the middle of a recvmsg(2).

# What is said beside the descriptor means nothing, and to the box neither.
_WORD = 16
_SAID = b"c"

# As few connections as the kernel allows wait there for somebody who does not take them: what is on
# the way is counted for the daemon's user (unix(7), ETOOMANYREFS).
_LEAST = 1


class UnexpectedDescriptors(Exception):
    """A message came with descriptors, which nobody is to send."""


def make_relay() -> tuple[socket.socket, socket.socket]:
    """A relay: the daemon's end, and that of a box. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LEAST)
    return ours, theirs


def receive_bytes(relay: socket.socket, closer: Closer) -> bool:
    """Take the next message, which asks for one connection; False at the end of the relay.

    Raises BlockingIOError where there is none yet, OSError, and UnexpectedDescriptors where it came
    with descriptors, which `closer` closes.
    """
    data, numbers = receive(relay, _WORD)
    if numbers:
        closer.close(numbers)
        raise UnexpectedDescriptors
    return bool(data)


def make_connection() -> tuple[socket.socket, socket.socket]:
    """A connection: the end that stays here, and the one to `give`. Raises OSError."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def give(relay: socket.socket, end: socket.socket) -> None:
    """Send an end of a connection to the box, where its asker takes it.

    Raises BlockingIOError where others wait there that nobody has taken, OSError.
    """
    socket.send_fds(relay, [_SAID], [end.fileno()], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
