"""The daemon's end of a bridge: streams of an agent's containers, each served as a connection.

The other end is `airlock-shim --bridge` in a container, over the standard streams of an engine's
command (`bridge_container`). Frames and their rules are `airlock_wire.bridge`. Each stream has a
socket pair, of which one end is served as if it had been accepted at the agent's own socket; this
kernel does not see the client at the other. A bridge that ends takes the clients' ends with it, and
their requests end as those of clients that hang up.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import trio

from airlock_daemon.boundary.identity.peer import make_bridged_pair
from airlock_daemon.errors import Failed
from airlock_wire import (
    NEED_DATA,
    BridgeEnd,
    Pinged,
    RemoteProtocolError,
    StreamClosed,
    StreamCredit,
    StreamData,
    StreamEnded,
    StreamOpened,
)

_PIECE = 32_768
# The first credit of a client, and its most, by the protocol.
_FIRST = 8192
_WINDOW = 262_144
_READ = 262_144
# What is owed is granted in parts of a window, so that no frame of 12 bytes follows each one.
_PARTS = 4
# A service has taken most of so many bytes: the kernel's buffer is smaller. Its stream is in use.
_IN_USE = 65_536
# Bytes that wait here for services beside the first credit of each stream, in so many whole
# windows. An agent's 1024 streams have 16 MiB at most, beside the kernel's buffers.
_WIDE = 33
# What a service may say ahead, in the kernel's buffer.
_SPOKEN = 32_768
# Bytes that wait to be written before a stream waits for its turn.
_FULL = 524_288
# More than all refusals, answers and credit beside that: what is sent is not taken, while more is
# asked for.
_FLOODED = 4 << 20
# Frames that are obeyed at a time. They may have one byte each, and there are other agents.
_AT_ONCE = 32

# How long a service has to take what a client has sent that is gone.
_LATE_S = 1.0

PING_S = 5.0
SILENCE_S = 15.0
"""Seconds after which a bridge that answers nothing is given up: paused, or its system asleep."""

Accept = Callable[[], socket.socket]
Serve = Callable[[str, Accept], tuple[bytes, Awaitable[None]]]
"""Admits a connection to the named socket, in the order in which they come.

It takes the connection by `Accept`, which raises OSError, and returns b"" and what serves and
closes it. Or it takes none, and returns why, for the client, and what to wait for before it is
closed.
"""


class Bridge:
    """Carries the streams of one bridge. A task must `run` it, once."""

    def __init__(self, stream: trio.abc.Stream, serve: Serve, requests: trio.Nursery) -> None:
        """What `serve` returns for a connection is a task of `requests`.

        The caller closes `stream`, the other end's stdin and stdout.
        """
        self._stream = stream
        self._serve = serve
        self._requests = requests
        self._end = BridgeEnd("daemon")
        self._streams: dict[int, _Stream] = {}
        self._refused = set[int]()
        self._wide_left = _WIDE
        self._files: dict[int, _File] = {}
        self._sending_file = trio.Lock()
        self._outgoing = bytearray()
        self._has_outgoing = trio.Event()
        self._has_room = trio.Event()
        self._heard = trio.current_time()
        self._sockets: frozenset[str] = frozenset()
        self._failure: Failed | None = None

    async def run(self, sockets: tuple[str, ...]) -> None:
        """As `listen`, and carry streams until the other end has gone.

        Raises Failed if it breaks the protocol, or answers nothing any more.
        """
        self.listen(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._watch_life, nursery.cancel_scope)
            await self._read(nursery)
            nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def listen(self, sockets: tuple[str, ...]) -> None:
        """Have the other end listen at these sockets, and at no others."""
        self._sockets = frozenset(sockets)
        self._put(self._end.send_hello(sockets))

    async def publish(self, files: Mapping[str, bytes]) -> None:
        """Have the other end write these files beside the sockets; an empty one is removed."""
        async with self._sending_file:
            for name, data in files.items():
                await self._send_file(name, data)

    async def _send_file(self, name: str, data: bytes) -> None:
        number, opening = self._end.send_open(name)
        file = self._files[number] = _File()
        self._put(opening)
        left = memoryview(data)
        while left and not file.closed.is_set():
            await self._wait_room()
            most = min(_PIECE, self._end.credit(number))
            if most == 0:
                file.more = trio.Event()
                # It is granted, or the other end has closed meanwhile.
                if not file.closed.is_set():
                    await file.more.wait()
                continue
            self._put(self._end.send_data(number, left[:most]))
            left = left[most:]
        if not file.closed.is_set():
            self._put(self._end.send_end(number))
        await file.closed.wait()
        del self._files[number]

    async def _read(self, nursery: trio.Nursery) -> None:
        obeyed = 0
        while len(self._outgoing) < _FLOODED:
            try:
                data = await self._stream.receive_some(_READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            self._heard = trio.current_time()
            self._end.receive_data(data)
            try:
                while (event := self._end.next_event()) is not NEED_DATA:
                    self._obey(event, nursery)
                    obeyed += 1
                    if obeyed % _AT_ONCE == 0:
                        await trio.lowlevel.checkpoint()
            except RemoteProtocolError as fault:
                self._failure = Failed(
                    f"the container's end breaks the protocol: {fault.error.message}",
                    hint="have the daemon and its shim be of one release: airlock doctor",
                )
                return
        self._failure = Failed(
            "the container's end takes nothing of what it is sent",
            hint="see whether the shim in its image is the daemon's own: airlock doctor",
        )

    def _obey(self, event: object, nursery: trio.Nursery) -> None:
        if isinstance(event, StreamOpened):
            self._open(event.stream, event.name, nursery)
        elif isinstance(event, Pinged):
            self._put(self._end.send_pong(event.payload))
        elif isinstance(event, StreamData | StreamEnded | StreamCredit | StreamClosed):
            number = event.stream
            receiver = self._streams.get(number) or self._files.get(number)
            if receiver is not None:
                receiver.take(event)
            open_here = number in self._streams or number in self._refused
            if isinstance(event, StreamClosed) and not open_here:
                self._put(self._end.send_close(number))

    def _open(self, number: int, name: str, nursery: trio.Nursery) -> None:
        # A connection to a socket that was given up meanwhile is closed as it came.
        if name not in self._sockets:
            self._put(self._end.send_close(number))
            return
        theirs: list[socket.socket] = []

        def accept() -> socket.socket:
            pair = make_bridged_pair()
            # The kernel's buffers are this process's, too.
            pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _FIRST)
            pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SPOKEN)
            theirs.append(pair[0])
            return pair[1]

        # trio starts tasks in any order, and the agent's limits are for those who come first.
        reason, serving = self._serve(name, accept)
        if not theirs:
            # It takes no descriptor, and one of the other end's streams until its CLOSE is due.
            self._refused.add(number)
            said = self._end.send_data(number, reason) if reason else b""
            self._put(said + self._end.send_end(number))
            nursery.start_soon(self._refuse, number, serving)
            return
        stream = self._streams[number] = _Stream(theirs[0])
        nursery.start_soon(self._carry, number, stream)
        self._requests.start_soon(self._serve_one, serving, stream)

    async def _refuse(self, number: int, waiting: Awaitable[None]) -> None:
        await waiting
        self._refused.discard(number)
        self._put(self._end.send_close(number))

    async def _serve_one(self, serving: Awaitable[None], stream: "_Stream") -> None:
        try:
            await serving
        finally:
            stream.served.set()

    async def _carry(self, number: int, stream: "_Stream") -> None:
        """Carry one stream until either side is done with it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._deliver, number, stream)
                nursery.start_soon(_hang_up, stream, nursery.cancel_scope)
                await self._collect(number, stream)
                await stream.served.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._wide_left += stream.is_wide
            stream.socket.close()
            del self._streams[number]
            self._put(self._end.send_close(number))

    async def _deliver(self, number: int, stream: "_Stream") -> None:
        """Give the service what the client sends, and the client's end."""
        owed = 0
        while True:
            while stream.waiting:
                piece = stream.waiting[:_PIECE]
                del stream.waiting[:_PIECE]
                if not stream.is_deaf:
                    stream.is_deaf = not await _send_all(stream.socket, piece)
                owed += len(piece)
                stream.delivered_bytes += len(piece)
                if owed >= stream.window // _PARTS and not stream.is_closed:
                    owed += self._widen(stream)
                    self._put(self._end.send_credit(number, owed))
                    owed = 0
            if stream.is_closed:
                stream.delivered.set()
                return
            if stream.is_ended and not stream.is_shut:
                stream.is_shut = True
                with suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_WR)
            stream.come = trio.Event()
            await stream.come.wait()

    def _widen(self, stream: "_Stream") -> int:
        """Give a stream that is in use a whole window, if one is left; returns what that adds."""
        is_in_use = stream.delivered_bytes >= _IN_USE and not stream.is_deaf
        if not is_in_use or stream.is_wide or self._wide_left == 0:
            return 0
        self._wide_left -= 1
        stream.widen()
        return _WINDOW - _FIRST

    async def _collect(self, number: int, stream: "_Stream") -> None:
        """Send the client what the service says, to its end."""
        while True:
            most = min(_PIECE, self._end.credit(number))
            if most == 0:
                stream.more = trio.Event()
                await stream.more.wait()
                continue
            await trio.lowlevel.wait_readable(stream.theirs)
            await self._wait_room()
            if self._end.credit(number) == 0:
                # The client has closed meanwhile.
                return
            try:
                # Without a turn of the loop, so that the room is not given twice.
                data = stream.theirs.recv(most)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._put(self._end.send_end(number))
                return
            self._put(self._end.send_data(number, data))

    def _put(self, data: bytes) -> None:
        self._outgoing += data
        self._has_outgoing.set()

    async def _wait_room(self) -> None:
        while len(self._outgoing) >= _FULL:
            await self._has_room.wait()

    async def _write(self) -> None:
        while True:
            await self._has_outgoing.wait()
            data, self._outgoing = self._outgoing, bytearray()
            self._has_outgoing = trio.Event()
            # Each stream waits for this one.
            self._has_room.set()
            self._has_room = trio.Event()
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                # The reader notices that the other end has gone.
                await self._stream.send_all(data)

    async def _watch_life(self, scope: trio.CancelScope) -> None:
        """Ask for a sign of life from time to time, and end the bridge if none comes."""
        while True:
            await trio.sleep(PING_S)
            silent = trio.current_time() - self._heard
            if silent > SILENCE_S:
                self._failure = Failed(
                    f"the container's end has said nothing for {silent:.0f} s",
                    hint="see whether its engine runs, or has paused it: airlock doctor",
                )
                scope.cancel()
                return
            self._put(self._end.send_ping(b""))


class _Stream:
    """One connection: the client's end of its pair, and what waits to be delivered there."""

    def __init__(self, theirs: socket.socket) -> None:
        self.theirs = theirs
        self.socket = trio.socket.from_stdlib_socket(theirs)
        # One buffer, as its client may send single bytes.
        self.waiting = bytearray()
        self.delivered_bytes = 0
        self.is_wide = False
        self.is_ended = False
        self.is_closed = False
        self.is_shut = False
        # The service takes no more; what comes is dropped.
        self.is_deaf = False
        self.come = trio.Event()
        self.more = trio.Event()
        self.closed = trio.Event()
        self.delivered = trio.Event()
        self.served = trio.Event()

    @property
    def window(self) -> int:
        """How many of the client's bytes may be on their way."""
        return _WINDOW if self.is_wide else _FIRST

    def widen(self) -> None:
        """Have a whole window from now on."""
        self.is_wide = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WINDOW // 2)

    def take(self, event: StreamData | StreamEnded | StreamCredit | StreamClosed) -> None:
        """Note what the client does; its credit bounds what waits."""
        if isinstance(event, StreamCredit):
            self.more.set()
            return
        if isinstance(event, StreamData):
            self.waiting += event.data
        elif isinstance(event, StreamEnded):
            self.is_ended = True
        else:
            self.is_closed = True
            self.closed.set()
        self.come.set()


class _File:
    """A file on its way."""

    def __init__(self) -> None:
        self.more = trio.Event()
        self.closed = trio.Event()

    def take(self, event: StreamData | StreamEnded | StreamCredit | StreamClosed) -> None:
        """Note credit, and that the file is in its place."""
        self.more.set()
        if isinstance(event, StreamClosed):
            self.closed.set()


async def _hang_up(stream: _Stream, scope: trio.CancelScope) -> None:
    """End a stream whose client neither sends nor takes more: the service sees it hang up.

    What came before that is delivered, unless the service does not take it.
    """
    await stream.closed.wait()
    with trio.move_on_after(_LATE_S):
        await stream.delivered.wait()
    scope.cancel()


async def _send_all(connection: trio.socket.SocketType, data: bytearray) -> bool:
    """Send bytes; returns whether anybody takes them."""
    left = memoryview(data)
    try:
        while left:
            left = left[await connection.send(left) :]
    except OSError:
        return False
    return True
