"""A client's descriptors (SCM_RIGHTS, unix(7)): which are accepted, and closing them.

They are inspected only by their links in /proc: fstat(2) on a descriptor may query a file system
that the client implements, which may never answer. Calls on them run in threads: close(2) can wait
forever, for a file on such a file system, or for a socket with data that its peer does not take
(SO_LINGER). A reader of a pipe or terminal holds its lock while it writes to its own memory, which
may be such a file, and close(2), splice(2) and fcntl(2) wait for that lock. read(2) waits for the
lock of a page in a pipe, which may be one of such a file. One such call in the event loop would
block all agents.
"""

import array
import functools
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from queue import SimpleQueue
from typing import Literal, TypeVar

import trio

from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.system import (
    CLOSED_AT_EXEC,
    MountTable,
    enlarge_pipe,
    name_descriptor,
    read_mount_id,
    read_process_file,
    splice,
)
from airlock_daemon.threads import run_in_thread

T = TypeVar("T")

# Each hanging call occupies a thread. With this many, the agent's descriptors are not welcome, but
# one that arrives must be closed in a thread: not receiving it would close it in this one.
STUCK = 8

MAX_THREADS = 64
"""With this many, the agent gets no further connection; its open ones limit the rest."""

# A call that every client causes counts as hanging only after this many seconds, or if there are
# very many.
_USUAL_S = 2.0
_MAX_USUAL = 4 * MAX_THREADS

# Limit of idle threads.
_KEPT = 2


def _at_once(act: Callable[[], None]) -> None:
    act()


class Closer:
    """Closes the descriptors of one agent's clients, and makes other calls on them."""

    def __init__(self, defer: Callable[[Callable[[], None]], None] = _at_once) -> None:
        """`defer` calls its argument when the event loop is idle: a thread woken earlier would make
        the loop wait for the interpreter lock after each of its system calls.
        """
        self._defer = defer
        # When each running call counts as hanging.
        self._due: dict[object, float] = {}

    @property
    def is_stuck(self) -> bool:
        """Whether so many calls hang that no further descriptor should be taken from the agent."""
        return len(self._due) >= STUCK and self._count() >= STUCK

    @property
    def is_full(self) -> bool:
        """Whether the agent has reached the limit of calls, MAX."""
        return len(self._due) >= MAX_THREADS and (
            self._count() >= MAX_THREADS or len(self._due) >= _MAX_USUAL
        )

    def close(self, descriptors: Iterable[int], *, is_usual: bool = False) -> None:
        """Close them asynchronously. `is_usual`: they were verified to be of the expected kind."""
        numbers = tuple(descriptors)
        if numbers:
            is_usual = is_usual or sys.platform != "linux"  # where none is a client's
            is_usual = is_usual or all(is_pipe(name_descriptor(number)) for number in numbers)
            self._do(partial(_close_all, numbers), is_usual=is_usual)

    def enlarge_pipe(self, pipe: int, size: int) -> None:
        """As `pipes.enlarge_pipe`, asynchronously."""
        number = os.dup(pipe)
        self._do(partial(_enlarge_and_close, number, size), is_usual=True)

    async def splice(self, source: int, target: int, limit: int) -> int:
        """As os.splice, without blocking on a full or empty pipe. Raises OSError.

        If cancelled, the call may continue with copies of both. The daemon's own pipe must then be
        closed through this object, too: its lock may be held.
        """
        return await self._run(partial(splice, limit=limit), source, target)

    async def read(self, source: int, own: tuple[int, int], limit: int) -> bytes:
        """Read at most `limit` bytes from a pipe, b"" at EOF; otherwise as `splice`.

        They pass through both ends of `own`, an empty pipe of the daemon's.
        """
        return await self._run(partial(_read, limit=limit), source, *own)

    async def _run(self, act: Callable[..., T], *used: int) -> T:
        """Call `act` in a thread with copies of the descriptors `used`."""
        copies = _copy_all(used)
        results: list[T | Exception] = []
        finished, token = trio.Event(), trio.lowlevel.current_trio_token()

        def act_and_tell() -> None:
            try:
                results.append(act(*copies))
            except Exception as error:  # noqa: BLE001 - raised again below
                results.append(error)
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(finished.set)
            _close_all(copies)

        self._do(act_and_tell, is_usual=True)
        await finished.wait()
        (result,) = results
        if isinstance(result, Exception):
            raise result
        return result

    def _do(self, act: Callable[[], None], *, is_usual: bool) -> None:
        # Not the function itself: a cycle would keep what it read until garbage collection.
        key = object()

        def act_and_forget() -> None:
            act()
            del self._due[key]

        self._due[key] = time.monotonic() + (_USUAL_S if is_usual else 0)
        self._defer(partial(_THREADS.do, act_and_forget))

    def _count(self) -> int:
        now = time.monotonic()
        return sum(due <= now for due in tuple(self._due.values()))


class _Threads:
    """As many threads as there are calls, and a few idle ones. They do not delay process exit."""

    def __init__(self) -> None:
        self._acts: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        # Calls that have no thread yet.
        self._owed = 0

    def do(self, act: Callable[[], None]) -> None:
        """Run `act` in a thread of its own."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                self._owed += 1
                self._start_owed()
        self._acts.put(act)

    def _start_owed(self) -> None:
        # If no thread can be started, one that finishes takes the call.
        with suppress(RuntimeError):
            while self._owed:
                threading.Thread(target=self._work, daemon=True).start()
                self._owed -= 1

    def _work(self) -> None:
        while True:
            self._acts.get()()
            with self._lock:
                if self._owed:
                    self._owed -= 1
                elif self._idle >= _KEPT:
                    return
                else:
                    self._idle += 1


_THREADS = _Threads()


def start_in_thread(act: Callable[[], None]) -> None:
    """Run `act`, which may never return and raises nothing, in a thread."""
    _THREADS.do(act)


def is_pipe(name: str) -> bool:
    """Whether a link in /proc/<pid>/fd is a pipe's; a path starts with a slash."""
    return name.startswith("pipe:[")


def _enlarge_and_close(pipe: int, size: int) -> None:
    enlarge_pipe(pipe, size)
    os.close(pipe)


def _read(source: int, reading: int, writing: int, limit: int) -> bytes:
    left = splice(source, writing, limit)
    pieces = []
    while left:
        # Of a pipe of packets (O_DIRECT of pipe(2)) this is one.
        pieces.append(os.read(reading, left))
        left -= len(pieces[-1])
    return b"".join(pieces)


def _copy_all(descriptors: Iterable[int]) -> list[int]:
    """Duplicate them; raises OSError, and leaves no copy, if the table has no room for all."""
    with ExitStack() as stack:
        copies = []
        for descriptor in descriptors:
            copies.append(os.dup(descriptor))
            stack.callback(os.close, copies[-1])
        stack.pop_all()
    return copies


def _close_all(descriptors: Sequence[int]) -> None:
    first, end = min(descriptors), max(descriptors) + 1
    if end - first == len(descriptors):
        # One call, after which the thread waits only once for the interpreter lock.
        os.closerange(first, end)
        return
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


Kind = Literal["pipe", "null", "terminal"]

COUNT = 3

_PIECE = 65536

_HOW = "send stdin, stdout and stderr with the first byte of the request, or no descriptor at all"

AT_ONCE = socket.MSG_DONTWAIT | CLOSED_AT_EXEC
"""For recvmsg(2): others that hold the socket could clear its O_NONBLOCK."""

CMSG_BYTES = socket.CMSG_SPACE(253 * array.array("i").itemsize)
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

    Only this object closes them: `close` may be called repeatedly, and empties `numbers`. `kinds`
    is empty before `examine`. `closer` also makes other calls that the client can block.
    """

    def __init__(self, numbers: Sequence[int], closer: Closer) -> None:
        self.numbers = tuple(numbers)
        self.kinds: tuple[Kind, ...] = ()
        self.closer = closer

    def examine(self) -> None:
        """Find the `kinds`, each by its name.

        Raises BadDescriptors for a wrong count or a refused kind. The client can choose a name that
        is a path: /dev/null and a terminal are only claims.
        """
        if len(self.numbers) != COUNT:
            raise BadDescriptors(
                f"{len(self.numbers)} descriptors came with the request, not three", hint=_HOW
            )
        self.kinds = tuple(map(_name_kind, self.numbers))

    async def are_usable(self, peer: Peer, lookups: trio.CapacityLimiter) -> bool:
        """Whether they are what their names claim, without querying a file system of the client.

        The kernel reports the mount on which a file was opened, and that mount's type in the peer's
        mount namespace (proc_pid_fdinfo(5), proc_pid_mountinfo(5)). A terminal must be on devpts.
        On the daemon's own host the names are trusted otherwise. It also lists the file's locks, of
        which a client can make very many, so it is asked in a thread of `lookups`.
        """
        plain = {"pipe", "null"} if peer.kind == "local" else {"pipe"}
        if plain.issuperset(self.kinds):
            return True
        look = partial(self._are_on_own_mounts, peer)
        return await run_in_thread(look, limiter=lookups, abandon_on_cancel=False)

    def _are_on_own_mounts(self, peer: Peer) -> bool:
        is_local = peer.kind == "local"
        pairs = zip(self.numbers, self.kinds, strict=True)
        named = [(number, kind) for number, kind in pairs if kind != "pipe"]
        types = _mount_types(peer)
        found = {(kind, types.get(read_mount_id(number), "")) for number, kind in named}
        return all(
            (kind != "terminal" or mount == "devpts") and (is_local or mount in _KERNEL_ONLY)
            for kind, mount in found
        )

    def close(self, *, is_usable: bool = False) -> None:
        """Close them asynchronously. `is_usable`: `are_usable` accepted them, or those in use."""
        if self.numbers:
            numbers, self.numbers = self.numbers, ()
            self.closer.close(numbers, is_usual=is_usable)


if sys.platform == "linux":

    def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
        """Read at most `size` bytes and the descriptors with them, which the caller closes."""
        data, ancillary, _, _ = connection.recvmsg(size, CMSG_BYTES, AT_ONCE)
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
            descriptors.frombytes(payload[: len(payload) & -descriptors.itemsize])
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
    return {row.mount_id: row.kind for row in MountTable.parse(mountinfo)}
