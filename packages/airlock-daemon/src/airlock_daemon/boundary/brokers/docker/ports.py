"""The ports of an agent's containers, at the loopback of its own container.

`airlock-shim --exec` listens there. It sends `POST /airlock/ports`, gets a line with the ports each
time they change, and answers each with those at which it cannot listen. For each connection it
sends `POST /airlock/connect?port=N`, which leads to the address that the engine gives the container
in a network of the agent's; no client names an address. Where that is none of this host, the engine
executes the shim in the container.
"""

import errno
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from socket import SOL_SOCKET
from typing import Any
from urllib.parse import quote as quote_query

import msgspec
import trio

from airlock_daemon.boundary.brokers.docker.connections import (
    PIECE,
    ClientStream,
    EngineConnection,
    request_json,
)
from airlock_daemon.boundary.brokers.docker.lists import ask_list
from airlock_daemon.boundary.brokers.docker.lookups import Found, Lookups
from airlock_daemon.boundary.fairness import TurnQueue, TurnSource
from airlock_daemon.errors import Failed
from airlock_daemon.platform.system import BIND_TO_DEVICE
from airlock_modules.engine import (
    LOOPBACK,
    MAX_PORTS,
    SHIM,
    Reference,
    Refused,
    View,
    encode,
    read_ports,
)
from airlock_wire import quote

PORTS, CONNECT = "/airlock/ports", "/airlock/connect"
"""The paths of Airlock's own calls."""

# For a port that the client leaves open: below those that the kernel gives to connections.
_FIRST, _LAST = 20_000, 32_767
_ANSWER_S = 2.0
_CONNECT_S = 10.0
_LISTENS_S = 2.0
_AGAIN_S = 0.05
_MAX_LINE = 1024
# What binding to a bridge raises that is in another namespace or machine; or that a user may not
# bind to, before Linux 5.7.
_NOT_HERE = (errno.ENODEV, errno.EPERM)
# The head of a frame of an engine's raw stream: which output it is of, and its size.
_FRAME = struct.Struct(">B3xI")
_STDOUT = 1
_CONNECTED = b"connected"
_EVENTS = ("start", "die", "destroy", "pause", "unpause", "rename")


class Published(msgspec.Struct, frozen=True):
    """Where a published port leads: a port of a container, and its addresses by network."""

    container: str
    port: int
    addresses: Mapping[str, str]


class _Listener:
    """A shim that listens at the ports. Its `scope` is cancelled when it has gone, or by `fail`."""

    def __init__(self, stream: ClientStream) -> None:
        self.scope = trio.CancelScope()
        self.error: Failed | None = None
        self._stream = stream
        self._turn = trio.Lock()
        self._shown: frozenset[int] | None = None
        self._refused: frozenset[int] = frozenset()
        self._answering, self._answers = trio.open_memory_channel[frozenset[int]](1)
        self._changed = trio.Event()

    def fail(self, error: Failed) -> None:
        """Let it go because of an error."""
        self.error = error
        self.scope.cancel()

    def wake(self) -> None:
        """Have `wait` return."""
        self._changed.set()

    async def wait(self) -> None:
        """Wait until the ports may have changed."""
        await self._changed.wait()
        self._changed = trio.Event()

    async def show(self, find: Callable[[], frozenset[int]]) -> frozenset[int]:
        """Have it listen at the ports of `find` alone; returns those at which it cannot.

        `find` is called once it is this caller's turn. Without an answer it counts as gone.
        """
        async with self._turn:
            ports = find()
            # What it could not have may be free by now.
            if ports != self._shown or self._refused:
                self._refused, self._shown = ports, ports
                words = ("ports", *map(str, sorted(ports)))
                with trio.move_on_after(_ANSWER_S), suppress(trio.BrokenResourceError):
                    await self._stream.send_all(" ".join(words).encode() + b"\n")
                    self._refused = await self._answers.receive() & ports
                    return self._refused
                self.scope.cancel()
            return self._refused

    async def read(self) -> None:
        """Read its answers until it has gone."""
        line = b""
        with suppress(trio.BrokenResourceError):
            while len(line) < _MAX_LINE and (data := await self._stream.receive_some()):
                *lines, line = (line + data).split(b"\n")
                for each in lines:
                    refused = (int(word) for word in each.split() if word.isdigit())
                    await self._answering.send(frozenset(refused))
        self.scope.cancel()


class PublishedPorts:
    """The ports of one agent's containers, and the shims that listen at them."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        # Those of containers that are being started, by how many.
        self._claimed: Counter[int] = Counter()

    @property
    def has_listener(self) -> bool:
        """Whether a container of the agent listens at ports."""
        return bool(self._listeners)

    async def serve(self, stream: ClientStream, engine: str, view: View, turns: TurnSource) -> None:
        """Tell a shim the ports until it or the engine has gone. Raises Failed."""
        listener = _Listener(stream)
        self._listeners.add(listener)
        try:
            with listener.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listener.read)
                    nursery.start_soon(_watch, engine, view, listener)
                    while True:
                        await listener.wait()
                        await self._show(listener, engine, view, turns)
        finally:
            self._listeners.discard(listener)
        if listener.error is not None:
            raise listener.error

    async def _show(self, listener: _Listener, engine: str, view: View, turns: TurnSource) -> None:
        try:
            running = await list_published(engine, view, turns)
        except Failed as error:
            listener.fail(error)
        else:
            await listener.show(partial(self._join, running))

    @asynccontextmanager
    async def claim(
        self, container: Found | None, engine: str, view: View, turns: TurnSource
    ) -> AsyncIterator[None]:
        """Have the agent's own container listen at the ports of one that is about to start.

        Raises Refused if that is impossible, and Failed. On exit only containers that run count.
        """
        if container is None or not container.ports:
            yield
            return
        running = await list_published(engine, view, turns)
        others = {port for port, each in running.items() if each.container != container.id}
        wanted = frozenset(container.ports)
        if taken := wanted & (others | set(+self._claimed)):
            raise _taken(taken)
        if len(wanted | others) > MAX_PORTS:
            raise Refused(
                f"the agent's containers publish more than {MAX_PORTS} ports",
                hint="stop some containers, or have them publish fewer",
                rule="ports",
            )
        self._claimed.update(wanted)
        try:
            if refused := await self._show_all(running) & wanted:
                raise _taken(refused)
            yield
        finally:
            self._claimed.subtract(wanted)
            for listener in self._listeners:
                listener.wake()

    def _join(self, running: Mapping[int, Published]) -> frozenset[int]:
        return frozenset([*running, *+self._claimed][:MAX_PORTS])

    async def _show_all(self, running: Mapping[int, Published]) -> frozenset[int]:
        """Show all ports to all shims; returns those at which none can listen."""
        refused: list[frozenset[int]] = []
        for listener in list(self._listeners):
            found = await listener.show(partial(self._join, running))
            if not listener.scope.cancel_called:
                refused.append(found)
        return frozenset.intersection(*refused) if refused else frozenset()


async def list_published(engine: str, view: View, turns: TurnSource) -> dict[int, Published]:
    """The ports of the agent's containers that run. Raises Failed."""
    found: dict[int, Published] = {}
    own, _ = await list_own(engine, view, turns)
    for each in own:
        for outer, inner in each.ports.items() if each.is_running else ():
            found.setdefault(outer, Published(each.id, inner, each.addresses))
    return found


class OwnContainer(msgspec.Struct, frozen=True):
    """What is kept of a container of the agent: `ports` as of `read_ports`, and its `addresses` by
    network. A paused one is running.
    """

    id: str
    is_running: bool
    ports: Mapping[int, int]
    addresses: Mapping[str, str]

    @classmethod
    def of(cls, listed: Mapping[str, Any]) -> "OwnContainer":
        """Of an entry of the engine's list."""
        networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
        return cls(
            str(listed["Id"]),
            listed.get("State") in ("running", "paused"),
            read_ports(listed.get("Labels") or {}),
            {
                str(end.get("NetworkID")): str(end.get("IPAddress"))
                for end in networks.values()
                if end.get("IPAddress")
            },
        )


async def list_own(
    engine: str, view: View, turns: TurnSource, filters: Mapping[str, object] | None = None
) -> tuple[list[OwnContainer], int]:
    """The agent's containers, running or not. Raises Failed.

    `filters` name their labels, too. The number is of those that are too long to be looked at.
    """

    def pick(each: dict[str, Any]) -> Iterator[OwnContainer]:
        if view.ownership.owns((each.get("Names") or [""])[0], each.get("Labels")):
            yield OwnContainer.of(each)

    given = {"label": view.ownership.filters} if filters is None else filters
    path = "/containers/json?all=1"
    return await ask_list(engine, path, given, view, pick=pick, turns=turns)


def choose_ports(wanted: Mapping[int, int], others: Iterable[OwnContainer]) -> dict[int, int]:
    """Choose a port of the loopback for each port of a container that wants any (0).

    `others` are the agent's containers, whose ports it does not choose. Raises Refused.
    """
    taken = {outer for each in others for outer in each.ports}
    taken.update(wanted.values())
    chosen: dict[int, int] = {}
    for inner, outer in wanted.items():
        port = outer or random.choice(  # noqa: S311 - no secret
            [each for each in range(_FIRST, _LAST + 1) if each not in taken]
        )
        if port in chosen:
            raise _taken([port])
        taken.add(port)
        chosen[port] = inner
    return chosen


@asynccontextmanager
async def connect(
    port: int, engine: str, view: View, turns: TurnQueue
) -> AsyncIterator[trio.SocketStream]:
    """A connection to a published port. Raises Refused and Failed."""
    published = (await list_published(engine, view, turns)).get(port)
    if published is None:
        raise Refused(
            f"no container of the agent that runs has the port {port}",
            hint="start the container: docker ps -a",
            status=HTTPStatus.NOT_FOUND,
            rule="ports",
        )
    stream = await _reach(published, engine, view, turns)
    if stream is not None:
        async with stream:
            yield stream
    else:
        async with _enter(published, engine, view, turns) as entered:
            yield entered


async def _reach(
    published: Published, engine: str, view: View, turns: TurnSource
) -> trio.SocketStream | None:
    """Connect to a container's address in a network of the agent; None if this host reaches none.

    Raises Failed.
    """
    lookups = Lookups(engine, view, turns)
    for network, address in published.addresses.items():
        try:
            found = lookups.require_internal(await lookups.find(Reference("network", network)))
        except Refused:
            continue
        if found.is_isolated:
            continue
        try:
            return await _open(f"br-{found.id[:12]}", address, published.port)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise _unreachable(published, error.strerror or str(error)) from error
        except trio.TooSlowError:
            raise _unreachable(published, "it does not answer") from None
    return None


async def _open(device: str, address: str, port: int) -> trio.SocketStream:
    """Connect by a network's own bridge, `device`, to an IPv4 address.

    An engine in another network namespace or machine has no such bridge here, and its address is
    that of something else. What has just started may not listen yet. Raises OSError and
    TooSlowError.
    """
    until = trio.current_time() + _LISTENS_S
    with trio.fail_after(_CONNECT_S):
        while True:
            connection = trio.socket.socket()
            try:
                connection.setsockopt(SOL_SOCKET, BIND_TO_DEVICE, device.encode())
                await connection.connect((address, port))
            except ConnectionRefusedError:
                connection.close()
                if trio.current_time() > until:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return trio.SocketStream(connection)
            await trio.sleep(_AGAIN_S)


@asynccontextmanager
async def _enter(
    published: Published, engine: str, view: View, turns: TurnQueue
) -> AsyncIterator[trio.SocketStream]:
    """Connect from within a container, by the shim that the engine executes. Raises Failed."""
    base = f"/v{view.version[0]}.{view.version[1]}"
    words = [SHIM, "--connect", str(published.port)]
    order = encode({"AttachStdin": True, "AttachStdout": True, "Cmd": words})
    path = f"{base}/containers/{published.container}/exec"
    status, made = await request_json(engine, "POST", path, order)
    if status != HTTPStatus.CREATED or not isinstance(made, dict):
        raise _unreachable(published, f"the engine answers {status}")
    async with await EngineConnection.open(engine) as connection:
        start = encode({"Detach": False, "Tty": False})
        headers = [
            *((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(start))),
            *((b"Connection", b"Upgrade"), (b"Upgrade", b"tcp")),
        ]
        await connection.begin("POST", f"{base}/exec/{made['Id']}/start", headers)
        await connection.write(start)
        await connection.end()
        status = (await connection.read_head()).status
        if status != HTTPStatus.SWITCHING_PROTOCOLS:
            raise _unreachable(published, f"the engine answers {status}")
        ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
        error: trio.BrokenResourceError | None = None
        async with ours, theirs, trio.open_nursery() as nursery:
            nursery.start_soon(_pour, theirs, connection.stream, turns)
            nursery.start_soon(_unwrap, connection, theirs, turns)
            if (said := await _read_line(ours)) == _CONNECTED:
                try:
                    yield ours
                except trio.BrokenResourceError as raised:
                    error = raised
            nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    if said != _CONNECTED:
        # The engine tells there why it does not execute the shim.
        why = quote(said.decode(errors="replace"), limit=200) if said else "nothing listens there"
        raise _unreachable(published, why)


async def _read_line(stream: trio.SocketStream) -> bytes:
    """The first line that comes, without its end, or what there is of it."""
    line = b""
    with trio.move_on_after(_CONNECT_S):
        while len(line) < _MAX_LINE and (byte := await stream.receive_some(1)) not in (
            b"",
            b"\n",
        ):
            line += byte
    return line.rstrip()


async def _pour(source: trio.SocketStream, target: trio.SocketStream, turns: TurnQueue) -> None:
    """Pass on all bytes, and their end."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await source.receive_some(PIECE):
            await turns.take()
            await target.send_all(data)
        await target.send_eof()


async def _unwrap(
    connection: EngineConnection, target: trio.SocketStream, turns: TurnQueue
) -> None:
    """Pass on what a command prints, without the engine's frames, and its end."""
    data, kind, left = connection.early, 0, 0
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            if not left and len(data) >= _FRAME.size:
                kind, left = _FRAME.unpack_from(data)
                data = data[_FRAME.size :]
            elif left and data:
                piece, data = data[:left], data[left:]
                left -= len(piece)
                if kind == _STDOUT:
                    await target.send_all(piece)
            elif more := await connection.stream.receive_some(PIECE):
                await turns.take()
                data += more
            else:
                break
        await target.send_eof()


async def _watch(engine: str, view: View, listener: _Listener) -> None:
    """Wake a listener at once, and at each event of the agent's containers."""
    filters = {
        "type": ["container"],
        "event": list(_EVENTS),
        "label": view.ownership.filters,
    }
    target = f"/v{view.version[0]}.{view.version[1]}/events?filters="
    try:
        async with await EngineConnection.open(engine) as connection:
            await connection.begin("GET", target + quote_query(encode(filters).decode()), [])
            await connection.end()
            await connection.read_head()
            listener.wake()
            while await connection.read():
                listener.wake()
    except Failed as error:
        listener.fail(error)
    else:
        hint = "see whether it runs; ports come back with it"
        listener.fail(Failed("the docker engine of the host ended its events", hint=hint))


def _unreachable(published: Published, why: str) -> Failed:
    return Failed(
        f"the port {published.port} of the container cannot be reached: {why}",
        hint="see whether something listens there; a container that was made before the daemon was "
        "upgraded has to be made anew",
    )


def _taken(ports: Collection[int]) -> Refused:
    """The refusal in the engine's own words, by which clients know it."""
    return Refused(
        f"Bind for {LOOPBACK}:{min(ports)} failed: port is already allocated",
        hint="stop what listens there, a program or a container (docker ps), or publish another "
        "port",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        rule="ports",
    )
