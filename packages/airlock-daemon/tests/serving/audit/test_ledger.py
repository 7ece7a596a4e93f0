"""Tests of `serving.audit.ledger`: what is counted, what never is, and who has to wait."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.ledger import AT_ONCE, EVERY_S, MAX_DEFERRED, Ledger
from airlock_daemon.serving.audit.record import LINE, Kind, Record
from airlock_daemon.setup.config import LogConfig

PEER = {"pid": 1, "uid": 2}
BURST = 1_000_000 * AT_ONCE


class Book:
    """A ledger for agents `my` and `other` over a log of 1 MB, and what has come of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        config = LogConfig(path=str(path), max_size_mb=1, max_files=1)
        self.ledger = Ledger(config, agents=1)
        self.mine = self.ledger.open_account("my", 1024)
        self.ledger.open_account("other", 1024)

    def deny(self, agent: str = "my", **more: Any) -> None:
        """Record a denial of 4 KB; `more` are members that it has otherwise."""
        self.ledger.write(Record(**{**denial(agent), **more}))

    def records(self) -> list[dict[str, Any]]:
        """What was written so far."""
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def counts(self) -> Counter[tuple[str, str]]:
        """How many requests the records stand for, by event and outcome."""
        counted: Counter[tuple[str, str]] = Counter()
        for record in self.records():
            counted[record["event"], record["outcome"]] += record["count"] or 1
        return counted


def denial(agent: str = "my") -> dict[str, Any]:
    return {
        "event": "exec",
        "profile": agent,
        "request": "r",
        "args": ["x" * 400] * 9,
        "outcome": "denied",
        "layer": "module",
        "rule": "--exec",
        "peer": PEER,
    }


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "airlock.log")
    yield book
    book.ledger.close()


async def test_a_flood_of_refusals_is_counted(book: Book, autojump_clock: MockClock) -> None:
    """Within the allowance each has its record; then one stands for many, and none is lost."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.ledger.run)
        for _ in range(500):
            book.deny()
        for _ in range(5):
            await trio.sleep(EVERY_S)
            for _ in range(100):
                book.deny()
        nursery.cancel_scope.cancel()
    records = book.records()
    whole = [record for record in records if record["count"] is None]
    summaries = [record for record in records if record["count"] is not None]
    assert len(whole) == pytest.approx(BURST / 2 / LINE, abs=15)
    assert len(summaries) < 15
    assert book.counts() == {("exec", "denied"): 1000}
    assert summaries[0] | {"args": None, "rule": None, "peer": PEER} == summaries[0]


async def test_others_have_an_allowance_of_their_own(book: Book, autojump_clock: MockClock) -> None:
    """However much one agent is refused, another one's records are whole."""
    for _ in range(500):
        book.deny()
    book.deny("other")
    assert book.records()[-1]["count"] is None
    assert book.records()[-1]["args"]


async def test_an_allowance_comes_back(book: Book, autojump_clock: MockClock) -> None:
    """Who was quiet for a while has whole records again."""
    for _ in range(500):
        book.deny()
    await trio.sleep(BURST / 1024)
    book.deny()
    assert book.records()[-1]["count"] is None


async def test_what_was_started_is_never_counted(book: Book, autojump_clock: MockClock) -> None:
    """Its start and its end are there in full, whatever the end is, and however much there was."""
    for _ in range(500):
        book.deny()
    for number, outcome in enumerate(("allowed", "aborted", "failed")):
        for event in ("exec-start", "broker", "exec"):
            book.deny(event=event, request=f"s{number}", outcome=outcome)
    records = book.records()[-9:]
    assert [record["event"] for record in records] == ["exec-start", "broker", "exec"] * 3
    assert all(record["count"] is None and record["args"] for record in records)
    before = len(book.records())
    book.deny(request="s0", outcome="aborted")
    assert len(book.records()) == before


async def test_an_operation_that_was_begun_has_its_end_in_full(
    book: Book, autojump_clock: MockClock
) -> None:
    """One that begins when much was written already is counted with its end."""
    book.deny(event="broker-start", request=None, id="first", outcome=None)
    for _ in range(500):
        book.deny()
    book.deny(event="broker-start", request=None, id="second", outcome=None)
    for name in ("first", "second"):
        book.deny(event="broker", request=None, id=name, outcome="allowed")
    events = [(each["event"], each["id"]) for each in book.records() if each["id"]]
    assert events == [("broker-start", "first"), ("broker", "first")]
    await trio.sleep(EVERY_S)
    book.deny(event="broker", request=None, id="first", outcome="allowed")
    assert book.counts()["broker", "allowed"] == 3


async def test_kinds_are_not_mixed(book: Book, autojump_clock: MockClock) -> None:
    """A record stands for requests of one event, outcome and layer, and one limit."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.ledger.run)
        for _ in range(500):
            book.deny()
        await trio.sleep(2 * EVERY_S)
        book.mine.spend(10_000)
        before = len(book.records())
        for _ in range(3):
            book.deny(layer="limit", rule="queued")
            book.deny(layer="limit", rule="queue_s")
            book.deny(event="check")
            book.deny(outcome="failed", layer=None)
            book.ledger.count("my", Kind("invalid", "denied", "limit", "connections"), PEER)
        nursery.cancel_scope.cancel()
    names = ("event", "outcome", "layer", "rule")
    counted: Counter[tuple[str, ...]] = Counter()
    for record in book.records()[before:]:
        counted[tuple(record[name] for name in names)] += record["count"]
    assert counted == {
        ("exec", "denied", "limit", "queued"): 3,
        ("exec", "denied", "limit", "queue_s"): 3,
        ("check", "denied", "module", None): 3,
        ("exec", "failed", None, None): 3,
        ("invalid", "denied", "limit", "connections"): 3,
    }


async def test_what_comes_alone_is_written_at_once(book: Book, autojump_clock: MockClock) -> None:
    """Floods only are held back: the first after a second of quiet is there immediately."""
    for _ in range(3):
        book.ledger.count("my", Kind("invalid", "denied", "limit", "connections"), PEER)
        await trio.sleep(EVERY_S)
    assert [record["count"] for record in book.records()] == [1, 1, 1]


async def test_what_cannot_be_written_stays_counted(
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    """A full disk loses no count; it is told, and tried again."""
    kind = Kind("invalid", "denied", "limit", "connections")
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda *_: 0)
        for _ in range(2):
            book.ledger.count("my", kind, PEER)
            await trio.sleep(EVERY_S)
    assert "cannot be written" in caplog.text
    book.ledger.count("my", kind, PEER)
    assert [record["count"] for record in book.records()] == [3]


async def test_who_has_spent_everything_waits(book: Book, autojump_clock: MockClock) -> None:
    """A debt is paid at the agent's rate, and only then is there room again."""
    assert not book.mine.is_spent
    book.mine.spend(int(BURST) + 10 * 1024)
    assert book.mine.is_spent
    began = trio.current_time()
    await book.mine.wait()
    assert trio.current_time() - began == pytest.approx(10, abs=0.1)
    assert not book.mine.is_spent


async def test_what_ended_while_nothing_could_be_written_is_kept(
    book: Book, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """So many records whole and with their own time, the others as counts; no start is kept."""
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda *_: 0)
        patched.setattr("time.time_ns", lambda: 0)
        for number in range(MAX_DEFERRED + 5):
            for event in ("exec-start", "exec"):
                more = {"event": event, "request": f"r{number}", "outcome": "allowed"}
                with pytest.raises(Failed):
                    book.deny(**more, layer=None, args=None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.ledger.run)
        await trio.sleep(2 * EVERY_S)
        nursery.cancel_scope.cancel()
    records = book.records()
    assert [record["request"] for record in records[:-1]] == [f"r{n}" for n in range(MAX_DEFERRED)]
    assert {record["event"] for record in records} == {"exec"}
    assert (records[-1]["count"], records[-1]["outcome"]) == (5, "allowed")
    assert {record["ts"] for record in records[:-1]} == {"1970-01-01T00:00:00.000Z"}
    assert not records[-1]["ts"].startswith("1970")


async def test_what_could_not_begin_is_counted_as_any_refusal(
    book: Book, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Nothing is remembered of a beginning that was not written, since it need not have an end.

    What a command that runs asked for in vain is no end of it.
    """
    book.deny(event="exec-start", request="runs", outcome=None)
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda *_: 0)
        for event, request in (("exec-start", "fails"), ("broker-start", "runs")):
            with pytest.raises(Failed):
                book.deny(event=event, request=request, outcome=None)
    for _ in range(500):
        book.deny()
    before = len(book.records())
    book.deny(request="fails", outcome="failed")
    assert len(book.records()) == before
    book.deny(request="runs", outcome="allowed")
    assert book.records()[-1]["request"] == "runs"
