"""Target: what hostile code in a box sends over its relay.

Each message is a byte for how many descriptors ride on it, a byte for the kind of each, and a byte
for how long its word is. One without descriptors asks for a connection, a message of nothing is the
end, and anything else is refused; whatever came, no descriptor is left.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress

from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.serving.request.relay import UnexpectedDescriptors, make_relay, receive_bytes
from fuzz.target import BrokenPromiseError, Target

_MAX_LENGTH = 512
_CROWD = 253
"""As many as the kernel lets ride on a message (SCM_MAX_FD)."""


class _AtOnce(Closer):
    """Closes in this thread, so that what is left can be counted."""

    def close(self, descriptors: Iterable[int], *, is_usual: bool = False) -> None:  # noqa: ARG002
        for descriptor in descriptors:
            os.close(descriptor)


class _Things:
    """A descriptor of each kind. To be closed."""

    def __init__(self, relay: int) -> None:
        pair = socket.socketpair()
        others = [socket.socketpair(type=kind) for kind in _OTHER_PAIRS]
        unix, listening = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        listening.bind("")
        listening.listen()
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(type=socket.SOCK_DGRAM)
        owned = [each.detach() for each in (*pair, unix, listening, tcp, udp)]
        owned += [each.detach() for other in others for each in other]
        owned += os.pipe()
        owned += [os.open(path, os.O_PATH) for path in ("/", "/dev/null")]
        owned += [os.open("/dev/null", os.O_RDWR), os.memfd_create("x"), os.eventfd(0)]
        self._owned = owned
        self.numbers = (*owned, relay)

    def close(self) -> None:
        for number in self._owned:
            os.close(number)


_OTHER_PAIRS = (socket.SOCK_SEQPACKET, socket.SOCK_DGRAM)


def _check(data: bytes) -> None:
    ours, theirs = make_relay()
    with ours, theirs, closing(_Things(theirs.fileno())) as things:
        for chosen, word in _read_messages(data, len(things.numbers)):
            before = _count()
            socket.send_fds(theirs, [word], [things.numbers[each] for each in chosen])
            found = _receive(ours)
            expected = _expect(chosen, word)
            if found != expected:
                raise BrokenPromiseError(f"{len(word)} bytes with {chosen} are {found}")
            if _count() != before:
                raise BrokenPromiseError(f"descriptors are left of {chosen}: {_count() - before}")
            if found == "end":
                return


def _read_messages(data: bytes, kinds: int) -> Iterator[tuple[list[int], bytes]]:
    """What is sent: the numbers of the things, and the word."""
    left = iter(data)
    with suppress(StopIteration):
        while True:
            count = next(left)
            if count == 255:
                chosen = [next(left) % kinds] * _CROWD
            else:
                chosen = [next(left) % kinds for _ in range(count % 6)]
            yield chosen, b"x" * next(left)


def _expect(chosen: list[int], word: bytes) -> str:
    if chosen:
        return "none"
    return "wish" if word else "end"


def _receive(ours: socket.socket) -> str:
    try:
        return "wish" if receive_bytes(ours, _AtOnce()) else "end"
    except UnexpectedDescriptors:
        return "none"


def _count() -> int:
    return len(os.listdir("/proc/self/fd"))


TARGET = Target(
    check=_check,
    seeds=(
        b"\1\0\1",
        b"\2\0\1\5\0\0\0",
        b"\xff\0\1\1\4\1\1\0\1",
        *(bytes((1, n, 1)) for n in range(24)),
    ),
    words=(b"\0\0", b"\1\0\1", b"\1\2\0", b"\xff\5\1"),
    longest=_MAX_LENGTH,
)
"""Messages of a relay."""
