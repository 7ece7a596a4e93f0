"""Tests of `airlock_daemon.admin.log.items`: the newest requests, and those that come."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.admin.log.items import (
    Follower,
    Item,
    StartedCommands,
    Wanted,
    find_number,
    find_recent,
    list_lines,
    open_log,
)
from airlock_daemon.serving.audit.log import AuditLog
from airlock_daemon.serving.audit.record import Record
from logs import FULL, recent, write, writing


def start(request: str, **more: Any) -> dict[str, Any]:
    return {"event": "exec-start", "request": request, "command": "git", **more}


def end(request: str, **more: Any) -> dict[str, Any]:
    return {"event": "exec", "request": request, "command": "git", "outcome": "allowed", **more}


def told(items: list[Item]) -> list[tuple[str, str | None]]:
    return [(item.entry.event if item.entry else "none", item.outcome) for item in items]


def test_a_request_is_one_line(tmp_path: Path) -> None:
    """Its start is told as long as its end is not there, and what a killed daemon left says so."""
    path = tmp_path / "log"
    write(path, start("a"), start("b"), end("a"), {"event": "daemon-start"}, start("c"))
    assert told(recent(path)) == [
        ("exec-start", "cut-off"),
        ("exec", "allowed"),
        ("daemon-start", None),
        ("exec-start", "running"),
    ]
    assert told(recent(path, most=2)) == told(recent(path))[2:]
    assert told(recent(path, outcome="cut-off")) == [("exec-start", "cut-off")]
    assert recent(path, most=0) == []


def test_all_lines_are_listed_as_they_are(tmp_path: Path) -> None:
    """Each start too, across files, so that whoever has them has the chain."""
    path = tmp_path / "log"
    write(path, *[start("a", args=FULL), end("a", args=FULL)] * 200)
    whole = [*path.with_name("log.1").read_bytes().splitlines(), *path.read_bytes().splitlines()]
    with open_log(str(path)) as files:
        assert [item.line.text for item in list_lines(files, Wanted())] == whole
        assert [item.line.text for item in list_lines(files, Wanted(), limit=3)] == whole[-3:]
        assert [*list_lines(files, Wanted(agent="other"))] == []


def test_an_operation_of_an_api_is_one_line_too(tmp_path: Path) -> None:
    """Its two records have the same `id`, and belong to no request."""
    path = tmp_path / "log"
    first = {"event": "broker-start", "id": "a"}
    others = [{**first, "id": "b"}, {**first, "id": "c"}]
    write(path, first, others[0], {**first, "event": "broker", "outcome": "allowed"})
    assert told(recent(path)) == [("broker-start", "running"), ("broker", "allowed")]
    write(path, {"event": "daemon-start"}, others[1])
    assert told(recent(path, outcome="cut-off")) == [("broker-start", "cut-off")]
    assert told(recent(path, outcome="running")) == [("broker-start", "running")]


def test_lines_are_chosen_by_what_they_have(tmp_path: Path) -> None:
    """Agent, command, outcome and layer, all that are given."""
    path = tmp_path / "log"
    write(
        path,
        end("a", profile="other"),
        end("b", command="ssh"),
        end("c", outcome="denied", layer="module"),
        end("d", outcome="denied", layer="profile", command="ssh"),
    )

    def chosen(**wanted: Any) -> str:
        found = recent(path, **wanted)
        return "".join(item.entry.request or "" for item in found if item.entry)

    assert chosen(agent="other") == "a"
    assert chosen(command="ssh") == "bd"
    assert chosen(outcome="denied") == "cd"
    assert chosen(layer="profile") == "d"
    assert chosen(agent="my", command="git", outcome="denied", layer="module") == "c"


def test_the_newest_lines_are_found_across_files(tmp_path: Path) -> None:
    """And no more is read than it takes."""
    path = tmp_path / "log"
    write(path, *[{**end(f"r{number}"), "args": FULL} for number in range(300)])
    write(path, *[end(f"s{number}") for number in range(5)])
    found = recent(path, most=200)
    requests = [item.entry.request for item in found if item.entry]
    assert requests == [f"r{n}" for n in range(105, 300)] + [f"s{n}" for n in range(5)]


def test_what_is_no_record_is_shown_with_its_place(tmp_path: Path) -> None:
    """Whatever is asked for, since it could be anything; a line that is being written is not."""
    path = tmp_path / "log"
    write(path, end("a"), end("b"))
    with path.open("ab") as file:
        file.write(b"no record\n" + b'{"ts":"2026')
    with open_log(str(path)) as files:
        _, bad = find_recent(files, Wanted(agent="my"), limit=2)
        assert (bad.entry, bad.line.text, find_number(bad.line)) == (None, b"no record", 3)


class Reader:
    """Follows a log as `log tail --follow` does."""

    def __init__(self, path: Path) -> None:
        with open_log(str(path)) as files:
            self._begun = StartedCommands(find_recent(files, Wanted(outcome="running")))
            self._follower = Follower(str(path), files)

    def read(self) -> list[str]:
        """The requests of the lines that have come, and their outcomes."""
        items = [item for line in self._follower.read() for item in self._begun.read(line)]
        return [
            f"{item.entry.request or item.entry.event} {item.outcome}" if item.entry else "none"
            for item in items
        ]

    def close(self) -> None:
        """Stop following."""
        self._follower.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with writing(tmp_path / "log") as log:
        log.write(Record(event="daemon-start"))
        yield log


@pytest.fixture
def reader(log: AuditLog, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path / "log")
    yield reader
    reader.close()


def put(log: AuditLog, *records: dict[str, Any]) -> None:
    for record in records:
        log.write(Record(**{"profile": "my", **record}))


def test_what_is_added_is_read_once(log: AuditLog, reader: Reader) -> None:
    """Nothing that was there before, and each record when it is whole."""
    assert reader.read() == []
    put(log, end("a"), start("b"))
    assert reader.read() == ["a allowed"]
    put(log, end("b"), start("c"), {"event": "daemon-start"})
    assert reader.read() == ["b allowed", "c cut-off", "daemon-start None"]
    assert reader.read() == []


def test_it_is_followed_across_rotations(log: AuditLog, reader: Reader) -> None:
    """However many there were since; what rotation has deleted unread is all that is missing."""
    sent = [{**end(f"r{number}"), "args": FULL} for number in range(1000)]
    put(log, *sent[:100])
    assert len(reader.read()) == 100
    put(log, *sent[100:300])
    assert reader.read() == [f"r{number} allowed" for number in range(100, 300)]
    put(log, *sent[300:700])
    assert reader.read() == [f"r{number} allowed" for number in range(300, 700)]
    put(log, *sent, *sent)
    assert reader.read()[-1] == "r999 allowed"
    put(log, end("last"))
    assert reader.read() == ["last allowed"]


def test_a_line_that_is_not_ended_waits(log: AuditLog, reader: Reader, tmp_path: Path) -> None:
    """It is read once it is ended, or once its file is rotated; or it was taken back."""
    path = tmp_path / "log"
    size = path.stat().st_size
    with path.open("ab", buffering=0) as file:
        file.write(b'{"ts":"2026')
        assert reader.read() == []
        file.truncate(size)
        assert reader.read() == []
        put(log, end("a"))
        assert reader.read() == ["a allowed"]
        file.write(b'{"ts":"2026')
        assert reader.read() == []
    log._rotate()
    put(log, end("b"))
    assert reader.read() == ["none", "b allowed"]


def test_nothing_is_lost_while_a_rotation_is_under_way(
    log: AuditLog, reader: Reader, tmp_path: Path
) -> None:
    """Between two renames there is no newest file, and after it the reader goes on."""
    path = tmp_path / "log"
    put(log, end("a"))
    path.rename(tmp_path / "log.1")
    assert reader.read() == ["a allowed"]
    write(path, end("b"))
    assert reader.read() == ["b allowed"]


def test_a_log_that_began_before_is_followed_from_its_last_whole_line(tmp_path: Path) -> None:
    """Also where a record was being written at that moment."""
    path = tmp_path / "log"
    write(path, end("a"))
    with path.open("ab", buffering=0) as file:
        file.write(b'{"ts":"2026-01-01T00:00:00.000Z",')
        reader = Reader(path)
        assert reader.read() == []
        file.write(b'"event":"exec","request":"b"}\n')
        assert reader.read() == ["b None"]
        reader.close()


def test_what_had_begun_before_is_told_when_its_daemon_was_killed(tmp_path: Path) -> None:
    """However long before; what an earlier daemon had begun is no news."""
    path = tmp_path / "log"
    write(path, {"event": "daemon-start"}, start("old"))
    write(path, {"event": "daemon-start"}, start("a"), start("b"), *[end("c")] * 99)
    reader = Reader(path)
    write(path, end("b"), {"event": "daemon-start"})
    assert reader.read() == ["b allowed", "a cut-off", "daemon-start None"]
    reader.close()
