"""Tests of `airlock_daemon.serving.daemon.https_worker`, whose process is the test itself."""

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Channel,
    Connection,
    Ended,
    Finished,
    Over,
    Question,
    Ready,
    Refused,
    Settings,
    Spliced,
    ToDaemon,
    ToWorker,
    Unready,
)
from airlock_daemon.boundary.fairness import Rounds, Starts
from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.daemon.https_worker import IDLE_S, Worker
from airlock_daemon.serving.request.https import Operations
from airlock_daemon.serving.request.sources import Secret, Sources
from airlock_daemon.serving.request.state import EVERY_S, MAX_RECORDS, AgentState, Caller
from airlock_daemon.serving.session import Cancellation
from airlock_daemon.setup.config import LogConfig
from airlock_daemon.setup.limits import Limits
from airlock_modules.apis import Api

CALLER = Caller(peer={"pid": 1, "uid": 2})
API = Api(name="api", module="api", hosts=("api.test",), allow=("GET,POST /ok",))
SETTINGS = Settings(agent="my", apis=(), keys="/keys", published="/published")


class Ends(NamedTuple):
    """The worker, the channel that its process would have, and the log."""

    worker: Worker
    operations: Operations
    process: Channel[ToWorker, ToDaemon]
    log: Path

    def records(self) -> list[dict[str, Any]]:
        """What was recorded."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def receive(self) -> ToWorker:
        """The next message, whose descriptor is closed."""
        received = await self.process.receive()
        assert received is not None
        message, descriptor = received
        if descriptor is not None:
            os.close(descriptor)
        return message


class NoSources:
    """An API without a credential asks for none."""


@asynccontextmanager
async def worker_and_process(folder: Path) -> AsyncIterator[Ends]:
    log = folder / "log"
    audit = Ledger(LogConfig(path=str(log)), agents=1)
    shared: Any = SimpleNamespace(
        audit=audit,
        rounds=Rounds(),
        starts=Starts(),
        boxes=None,
        running=set(),
        record=lambda record, **_: audit.write(record),
    )
    generation: Any = SimpleNamespace(
        agent=SimpleNamespace(name="my", profile=SimpleNamespace(find_approval=lambda _: None)),
        limits=Limits(),
        reserved=None,
        signs_commits=False,
        apis=SimpleNamespace(apis=(API,), find=lambda name: API if name == "api" else None),
    )
    agent = AgentState(generation, shared)
    sources: Any = NoSources()
    ours, theirs = socket.socketpair()
    operations = Operations(shared, agent, sources)
    worker = Worker(ours, SETTINGS, operations, agent=agent, shared=shared)
    process: Channel[ToWorker, ToDaemon] = Channel(theirs, receives=ToWorker)
    trio.lowlevel.add_instrument(shared.rounds)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.rounds.run)
            nursery.start_soon(audit.run)
            yield Ends(worker, operations, process, log)
            nursery.cancel_scope.cancel()
    finally:
        trio.lowlevel.remove_instrument(shared.rounds)
        ours.close()
        process.close()
        audit.close()


def ask(number: int, path: str = "/ok", *, connection: int = 1, method: str = "GET") -> Question:
    return Question(
        question=number,
        connection=connection,
        api="api",
        fingerprint=API.fingerprint,
        host="api.test",
        method=method,
        path=path,
        needs_secret=False,
    )


async def test_a_worker_without_connections_ends_after_a_while(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """And not by itself: nothing is wrong."""
    async with worker_and_process(tmp_path) as ends:
        began = trio.current_time()
        assert not await ends.worker.run()
        assert trio.current_time() - began == pytest.approx(IDLE_S)
        assert await ends.receive() == SETTINGS
        assert await ends.process.receive() is None


async def test_what_is_granted_and_refused_is_recorded(tmp_path: Path) -> None:
    """Before it is granted, and with its end; a refusal once, with the rule."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        one, other = socket.socketpair()
        with one, other:
            nursery.start_soon(ends.worker.run)
            nursery.start_soon(ends.worker.converse, one.fileno(), CALLER, Cancellation())
            await ends.receive()
            await ends.process.send(Ready(fingerprint=""))
            assert await ends.receive() == Connection(number=1)
            await ends.process.send(ask(1))
            assert await ends.receive() == Answer(question=1)
            done = Finished(question=1, status=200, sent=3, received=4, duration_ms=5)
            await ends.process.send(done)
            await ends.process.send(ask(2, "/other"))
            answer = await ends.receive()
            assert isinstance(answer, Answer)
            assert answer.refusal is not None
            assert answer.refusal.status == 403
            await ends.process.send(Ended(connection=1))
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    began, ended, denied = ends.records()
    assert (began["event"], ended["event"]) == ("broker-start", "broker")
    assert began["id"] == ended["id"]
    assert ended["detail"] == {
        "service": "https",
        "operation": "api GET /ok",
        "host": "api.test",
        "status": 200,
        "bytes": 3,
        "received": 4,
    }
    assert (denied["outcome"], denied["layer"], denied["rule"]) == ("denied", "broker", "allow")


async def test_past_a_thousand_in_a_minute_they_are_counted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An agent that asks without end does not push the records of others away."""
    async with worker_and_process(tmp_path) as ends:
        refused = Refused(connection=1, host="other.test", port=443, rule="host", reason="no")
        for _ in range(MAX_RECORDS + 5):
            ends.operations.note_refused(refused, CALLER)
        await trio.sleep(EVERY_S)
        ends.operations.note_refused(refused, CALLER)
    counts = [each["count"] for each in ends.records()]
    assert counts.count(None) == MAX_RECORDS + 1
    assert sum(each for each in counts if each) == 5


async def test_what_may_change_something_is_recorded_however_many_there_were(
    tmp_path: Path,
) -> None:
    """Nobody hides a change behind a thousand looks."""
    async with worker_and_process(tmp_path) as ends:
        refused = Refused(connection=1, host="other.test", port=443, rule="host", reason="no")
        for _ in range(MAX_RECORDS):
            ends.operations.note_refused(refused, CALLER)
        for number, method in enumerate(("GET", "POST")):
            answer = await ends.operations.judge(ask(number, method=method), CALLER)
            assert answer.refusal is None
            done = Finished(question=number, status=200, sent=0, received=0, duration_ms=0)
            ends.operations.finish(done)
    written = [each for each in ends.records()[MAX_RECORDS:] if each.get("count") is None]
    assert [(each["event"], each["detail"]["operation"]) for each in written] == [
        ("broker-start", "api POST /ok"),
        ("broker", "api POST /ok"),
    ]


async def test_a_command_has_so_many_records_of_its_connections(tmp_path: Path) -> None:
    """Those past them are counted; of another command, and of a container, each is recorded."""
    async with worker_and_process(tmp_path) as ends:
        spliced = Spliced(connection=1, host="other.test", port=443, sent=1, received=2)
        refused = Refused(connection=1, host="other.test", port=443, rule="host", reason="no")
        for caller in (_make_command("one", most=3), _make_command("two", most=9), CALLER):
            for _ in range(4):
                ends.operations.note_spliced(spliced, caller)
                ends.operations.note_refused(refused, caller)
    records = ends.records()
    written = [each["request"] for each in records if each.get("count") is None]
    assert [written.count(each) for each in ("one", "two", None)] == [3, 8, 8]
    assert sum(each["count"] for each in records if each.get("count")) == 5


async def test_an_operation_is_recorded_that_its_process_did_not_survive(tmp_path: Path) -> None:
    """And its connection is over."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        one, other = socket.socketpair()
        with one, other:
            nursery.start_soon(ends.worker.run)
            async with trio.open_nursery() as connections:
                connections.start_soon(ends.worker.converse, one.fileno(), CALLER, Cancellation())
                await ends.receive()
                await ends.process.send(Ready(fingerprint=""))
                await ends.receive()
                await ends.process.send(ask(1))
                await ends.receive()
                ends.process.close()
    assert [record["outcome"] for record in ends.records()] == [None, "aborted"]


async def test_what_is_granted_on_a_connection_that_has_ended_is_over(tmp_path: Path) -> None:
    """Its credential may come in the moment in which the connection ends."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.worker.run)
        cancellation, is_over = Cancellation(), trio.Event()

        class LateSources:
            async def get(self, *_: object) -> Secret:
                cancellation.end("removed")
                with trio.CancelScope(shield=True):
                    await is_over.wait()
                return Secret("secret", 1)

        ends.operations._sources = cast("Sources", LateSources())
        with socket.socket() as any_socket:
            await ends.receive()
            await ends.process.send(Ready(fingerprint=""))
            nursery.start_soon(_converse, ends.worker, any_socket, cancellation)
            await ends.receive()
            await ends.process.send(replace(ask(1), needs_secret=True))
            assert await ends.receive() == Over(connection=1)
            is_over.set()
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert ends.operations.find_revoked(is_removed=True) == []
    assert [record["outcome"] for record in ends.records()] == [None, "aborted"]


async def test_the_process_is_told_of_a_connection_that_ended_here(tmp_path: Path) -> None:
    """It may wait for the answer to a question, which does not come any more."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.worker.run)
        cancellation = Cancellation()
        with socket.socket() as any_socket:
            await ends.receive()
            await ends.process.send(Ready(fingerprint=""))
            nursery.start_soon(_converse, ends.worker, any_socket, cancellation)
            assert await ends.receive() == Connection(number=1)
            cancellation.end("removed")
            assert await ends.receive() == Over(connection=1)
        nursery.cancel_scope.cancel()


async def test_a_stop_ends_what_is_idle_and_waits_for_what_runs(tmp_path: Path) -> None:
    """Each connection ends with what runs on it, and nothing new is granted."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.worker.run)
        cancellations = [Cancellation(), Cancellation()]
        with socket.socket() as any_socket:
            await ends.receive()
            await ends.process.send(Ready(fingerprint=""))
            for cancellation in cancellations:
                nursery.start_soon(_converse, ends.worker, any_socket, cancellation)
                await ends.receive()
            await ends.process.send(ask(1))
            await ends.receive()
            ends.worker.stop("stop")
            assert [cancellation.reason for cancellation in cancellations] == [None, "stop"]
            await ends.process.send(ask(2))
            while isinstance(answer := await ends.receive(), Over):
                assert answer.connection == 2
            assert isinstance(answer, Answer)
            assert answer.refusal is not None
            assert answer.refusal.message == "the daemon is stopping"
            await ends.process.send(
                Finished(question=1, status=200, sent=0, received=0, duration_ms=0)
            )
            while (received := await ends.process.receive()) is not None:
                assert isinstance(received[0], Over)
            assert cancellations[0].reason == "stop"


@pytest.mark.parametrize(
    "said",
    [
        "no message",
        "questions without end",
        "two descriptors",
        "an answer to no settings",
        "a problem with no settings",
        "two ends of a tunnel",
    ],
)
async def test_a_process_that_breaks_the_rules_is_ended(tmp_path: Path, said: str) -> None:
    """It is the one that reads what clients say, so that it is not trusted more than they are."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.worker.run)
        with socket.socket() as any_socket:
            nursery.start_soon(_converse, ends.worker, any_socket, Cancellation())
            await ends.receive()
            await ends.process.send(Ready(fingerprint=""))
            await ends.receive()
            if said == "no message":
                await ends.process.send(SETTINGS)  # type: ignore[arg-type]
            elif said == "two descriptors":
                socket.send_fds(ends.process._raw, [b"x"], [any_socket.fileno()] * 2)
            elif said == "an answer to no settings":
                await ends.process.send(Ready(fingerprint=""))
            elif said == "a problem with no settings":
                await ends.process.send(Unready(message="no", hint="none"))
            elif said == "two ends of a tunnel":
                end = Spliced(connection=1, host="api.test", port=443, sent=1, received=1)
                for _ in range(2):
                    await ends.process.send(end)
            else:
                for number in range(5):
                    await ends.process.send(ask(number))
            while await ends.process.receive() is not None:
                pass
    assert ends.worker.is_over


async def test_who_connects_is_told_why_nothing_can_be_served(tmp_path: Path) -> None:
    """As the process says it of its settings."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.worker.run)
        await ends.receive()
        await ends.process.send(Unready(message="no room", hint="make some"))
        with socket.socket() as any_socket, pytest.raises(Failed, match="no room"):
            await ends.worker.converse(any_socket.fileno(), CALLER, Cancellation())
        nursery.cancel_scope.cancel()


async def test_a_problem_that_a_process_tells_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that has broken it could forge others, also of the audit log."""
    async with worker_and_process(tmp_path) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.worker.run)
        await ends.receive()
        await ends.process.send(
            Unready(message='no "room"\n{"event":"exec"}', hint="\x1b[2J" + "x" * 5000)
        )
        with suppress(Failed):
            await ends.worker.settle()
        nursery.cancel_scope.cancel()
    (said,) = caplog.messages
    assert said.isprintable()
    assert 'no "room"' in said
    assert len(said) < 2000


def _make_command(request: str, *, most: int) -> Caller:
    """A command in a box, which has `most` records of its connections."""
    left = iter([True] * most)
    return Caller(peer=CALLER.peer, request=request, spend_record=lambda: next(left, False))


async def _converse(worker: Worker, connection: socket.socket, cancellation: Cancellation) -> None:
    with cancellation.scope:
        await worker.converse(connection.fileno(), CALLER, cancellation)
