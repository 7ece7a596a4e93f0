"""The listener of one agent, in a loop whose clock is the test's own."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import trio
from trio.testing import MockClock

from airlock_daemon.boundary.fairness import Rounds, Starts
from airlock_daemon.boundary.identity.peer import make_bridged_pair
from airlock_daemon.errors import Denied
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.daemon.clients import Clients
from airlock_daemon.serving.daemon.listener import Listener, Service
from airlock_daemon.serving.request.state import AgentState
from airlock_daemon.serving.session import ClientWatch, Reason
from airlock_daemon.setup.config import LogConfig
from airlock_daemon.setup.limits import Limits


class Crowd(NamedTuple):
    """A listening socket, and those who have connected to it."""

    listening: socket.socket
    clients: list[socket.socket]


def count_answered(clients: list[socket.socket]) -> int:
    """How many of them have been told something."""
    answered = 0
    for client in clients:
        try:
            answered += bool(client.recv(65536, socket.MSG_PEEK))
        except BlockingIOError:
            continue
    return answered


class Faulty:
    """A service with a fault in a child task, at the moment when a connection is cancelled."""

    def __init__(self) -> None:
        self.served = 0

    async def serve(self, connection: socket.socket, scope: trio.CancelScope) -> None:
        """As `Service.serve`."""
        self.served += 1
        with connection:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_fail_when_cancelled)
                nursery.start_soon(trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`."""

    def put(self, error: Denied) -> bytes:
        """As `Service.put`."""
        raise AssertionError(error)


async def _fail_when_cancelled() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise ValueError


@asynccontextmanager
async def crowded(
    folder: Path, *, connections: int = 1, service: Service | None = None
) -> AsyncIterator[tuple[Listener, Crowd]]:
    """A listener whose agent has one connection open, and twenty clients that wait there."""
    audit = Ledger(LogConfig(path=str(folder / "log")), agents=1)
    watch = ClientWatch()
    shared: Any = SimpleNamespace(
        audit=audit, rounds=Rounds(), starts=Starts(), watch=watch, boxes=None
    )
    generation: Any = SimpleNamespace(
        agent=SimpleNamespace(name="my"),
        limits=Limits(connections=connections, refusals_per_s=10),
        reserved=None,
        signs_commits=False,
    )
    agent = AgentState(generation, shared)
    assert agent.gate.connect()
    path = str(folder / "socket")
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen(20)
        listening.setblocking(False)
        clients = []
        for _ in range(20):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(path)
            client.setblocking(False)
            clients.append(client)
        trio.lowlevel.add_instrument(shared.rounds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.rounds.run)
            nursery.start_soon(watch.run)
            listener = Listener(shared, agent, listening, service or Clients(shared, agent))
            yield listener, Crowd(listening, clients)
            nursery.cancel_scope.cancel()
        trio.lowlevel.remove_instrument(shared.rounds)
    audit.close()


async def test_connections_beyond_the_limit_are_refused_at_a_pace(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A second's worth at once, and then so many in each second; more wait in the queue."""
    async with crowded(tmp_path) as (listener, crowd), trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, nursery)
        await trio.sleep(0.05)
        assert count_answered(crowd.clients) == 11
        await trio.sleep(0.4)
        assert count_answered(crowd.clients) == 15
        nursery.cancel_scope.cancel()


async def test_a_fault_beside_a_cancellation_ends_one_connection(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The others are served, by this task or the next."""
    faulty = Faulty()
    async with (
        crowded(tmp_path, connections=100, service=faulty) as (listener, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(listener.run, nursery)
        await trio.sleep(1)
        assert faulty.served == 20
        nursery.cancel_scope.cancel()


async def test_refusals_over_a_bridge_hold_up_no_client_of_the_socket(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """They have waited for their own pace already, and are not waited for again."""
    async with crowded(tmp_path) as (listener, crowd), trio.open_nursery() as nursery:
        for _ in range(100):
            reason, paced = listener.serve_bridged(_refuse_to_accept)
            assert b"connections open already" in reason
            await paced
        await trio.sleep(2)
        began = trio.current_time()
        nursery.start_soon(listener.run, nursery)
        while count_answered(crowd.clients) < 11:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.05)
        assert trio.current_time() - began < 1
        nursery.cancel_scope.cancel()


async def test_a_listener_leaves_its_socket_alone_once_it_has_ended(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whoever waits is answered at once; the task that paced them meets a socket that is closed."""
    async with crowded(tmp_path) as (listener, crowd), trio.open_nursery() as requests:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(listener.run, requests)
            await trio.sleep(0.05)
            listener.stop("removed")
            accepting.cancel_scope.cancel()
        crowd.listening.close()
        assert count_answered(crowd.clients) == 20


async def test_a_client_over_a_bridge_is_told_where_the_table_is_full(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It counts no more, and another one is served once there is room."""
    async with crowded(tmp_path, connections=2) as (listener, _):

        def fail() -> socket.socket:
            raise OSError(errno.EMFILE, "")

        for _ in range(3):
            reason, paced = listener.serve_bridged(fail)
            assert b'"rule":"descriptors"' in reason
            await paced
        theirs, ours = make_bridged_pair()
        reason, serving = listener.serve_bridged(lambda: ours)
        theirs.close()
        assert reason == b""
        await serving


def _refuse_to_accept() -> socket.socket:
    raise AssertionError
