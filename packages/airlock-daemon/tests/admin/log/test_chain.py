"""Tests of `airlock_daemon.admin.log.chain`: what was done to a log, and what is no fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.admin.log import chain
from airlock_daemon.admin.log.chain import Head
from airlock_daemon.serving.audit.record import Record, digest
from logs import head, verify, write, writing

Lines = list[bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of two daemons with 7 records in one file."""
    path = tmp_path / "airlock.log"
    write(path, *[{"command": f"c{number}"} for number in range(4)])
    write(path, *[{"command": f"c{number}"} for number in range(4, 7)])
    return path


def kinds(verified: chain.Verified) -> list[str]:
    return [fault.kind for fault in verified.faults]


def change(path: Path, how: Callable[[Lines], Lines]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in how(path.read_bytes().splitlines())))


def test_a_whole_log_is_whole(path: Path) -> None:
    """Numbers begin with 1 and go on across daemons; both ends are told."""
    verified = verify(path)
    assert verified.is_whole
    assert (verified.records, verified.notes) == (7, ())
    assert verified.first is not None
    assert verified.last == head(path)
    assert (verified.first.seq, verified.last.seq) == (1, 7)


@pytest.mark.parametrize("at", range(6))
def test_a_line_that_was_removed_is_found(path: Path, at: int) -> None:
    """Wherever it stood but at the end, with the place where it is missing."""
    change(path, lambda lines: lines[:at] + lines[at + 1 :])
    verified = verify(path)
    assert not verified.is_whole
    assert kinds(verified) == ["removed" if at else "beginning"]
    assert verified.faults[0].line == at + 1
    if at:
        assert f"record {at + 1} is missing before this record, which is {at + 2}" in str(
            verified.faults[0]
        )


@pytest.mark.parametrize("at", range(6))
def test_a_line_that_was_changed_is_found(path: Path, at: int) -> None:
    """Whichever byte of whichever line but the last, and the line behind it is named."""
    lines = path.read_bytes().splitlines()
    for byte in range(len(lines[at])):
        other = bytes([lines[at][byte] ^ 1])
        line = lines[at][:byte] + other + lines[at][byte + 1 :]
        change(path, lambda _, line=line: [*lines[:at], line, *lines[at + 1 :]])  # type: ignore[misc]
        verified = verify(path)
        assert not verified.is_whole, line
        assert any(fault.line in (at + 1, at + 2) for fault in verified.faults)


@pytest.mark.parametrize("at", range(6))
def test_lines_that_changed_places_are_found(path: Path, at: int) -> None:
    """Any two neighbours."""
    change(path, lambda ls: [*ls[:at], ls[at + 1], ls[at], *ls[at + 2 :]])
    assert "moved" in kinds(verify(path))


@pytest.mark.parametrize("at", range(7))
def test_a_line_that_was_put_in_is_found(path: Path, at: int) -> None:
    """One that continues the line before it perfectly, a copy, an old record, or anything else."""
    lines = path.read_bytes().splitlines()
    before = json.loads(lines[at - 1]) if at else {"seq": 0}
    forged = json.loads(lines[at])
    forged |= {"command": "forged", "seq": before["seq"] + 1}
    for line in (
        json.dumps(forged, separators=(",", ":")).encode(),
        lines[at],
        lines[0],
        b'{"ts":"2020-01-01T00:00:00Z","event":"exec"}',
        b"anything else",
        b"",
    ):
        change(path, lambda _, line=line: [*lines[:at], line, *lines[at:]])  # type: ignore[misc]
        assert not verify(path).is_whole, line


def test_a_cut_at_the_end_shows_against_a_head(path: Path) -> None:
    """And not without one; a head that is there, or that is older, is no fault."""
    noted = head(path)
    assert verify(path, heads=[noted]).is_whole
    write(path, {"command": "later"})
    assert verify(path, heads=[noted]).is_whole
    change(path, lambda lines: lines[:6])
    assert verify(path).is_whole
    verified = verify(path, heads=[noted])
    assert kinds(verified) == ["head"]
    assert "record 7, is not there: the log was cut at its end, and goes to record 6" in str(
        verified.faults[0]
    )
    # Whoever writes on does not hide it.
    write(path, {"command": "instead"}, {"command": "and more"})
    assert kinds(verify(path, heads=[noted])) == ["head"]
    assert kinds(verify(path, heads=[Head(noted.hash)])) == ["head"]
    assert kinds(verify(path, heads=[Head(head(path).hash, 3)])) == ["head"]


def test_a_log_that_was_written_anew_shows_against_a_head(path: Path) -> None:
    """Its chain is whole, and it is another one."""
    noted = head(path)
    path.unlink()
    write(path, *[{"command": "forged"}] * 9)
    assert verify(path).is_whole
    assert kinds(verify(path, heads=[noted])) == ["head"]


def test_a_record_that_was_cut_short_is_told(path: Path) -> None:
    """Before the next start as a line that is not ended, and afterwards as what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    verified = verify(path)
    assert verified.is_whole
    assert "this line is not ended" in str(verified.notes[0])
    write(path, {"command": "later"})
    verified = verify(path)
    assert verified.is_whole
    assert verified.records == 7
    (note,) = verified.notes
    assert (note.kind, note.line) == ("torn", 7)
    # Once it is in the chain nobody can remove it.
    change(path, lambda lines: lines[:6] + lines[7:])
    assert kinds(verify(path)) == ["changed"]


def test_the_log_of_an_earlier_release_may_stand_before_the_chain(tmp_path: Path) -> None:
    """It proves nothing, which is told; from the first record with a `prev` on all is proven."""
    path = tmp_path / "airlock.log"
    old = ('{"time":"x","command":"git"}', '{"ts":"2025-01-01T00:00:00Z","event":"exec"}')
    path.write_text("\n".join(old) + "\n")
    write(path, {"command": "git"}, {"command": "ssh"})
    verified = verify(path)
    assert verified.is_whole
    assert (verified.records, [note.kind for note in verified.notes]) == (2, ["unchained"])
    lines = path.read_bytes().splitlines()
    change(path, lambda _: lines[1:])
    assert verify(path).is_whole
    change(path, lambda _: [*lines[2:]])
    assert not verify(path).is_whole
    # Such a line behind the chain's beginning was put in.
    change(path, lambda _: [*lines, lines[0]])
    assert kinds(verify(path)) == ["no-record"]


def test_records_without_numbers_are_chained_too(tmp_path: Path) -> None:
    """Those of 0.4.0; numbers begin with the first daemon that writes them."""
    path = tmp_path / "airlock.log"

    def write_old(*commands: str) -> None:
        with writing(path) as log:
            for command in commands:
                log.write(Record(event="exec", command=command))

    write_old("a", "b", "c")
    unnumbered: Lines = []
    for line in path.read_bytes().splitlines():
        record: dict[str, Any] = json.loads(line)
        record.pop("seq")
        record["prev"] = digest(unnumbered[-1]) if unnumbered else None
        unnumbered.append(json.dumps(record, separators=(",", ":")).encode())
    change(path, lambda _: unnumbered)
    write(path, {"command": "d"}, {"command": "e"})
    verified = verify(path)
    assert verified.is_whole
    assert verified.last is not None
    assert (verified.records, verified.last.seq) == (5, 2)
    for at in range(1, 4):
        change(path, lambda lines, at=at: lines[:at] + lines[at + 1 :])  # type: ignore[misc]
        assert not verify(path).is_whole
        change(path, lambda _: unnumbered)
        write(path, {"command": "d"}, {"command": "e"})


def test_every_fault_is_counted_and_some_are_listed(tmp_path: Path) -> None:
    """A log in which everything is wrong is told in a bounded answer."""
    path = tmp_path / "airlock.log"
    path.write_bytes(b"no record\n" * 1000)
    verified = verify(path)
    assert (verified.fault_count, len(verified.faults)) == (1000, chain.LISTED)
    assert [*chain.describe(verified)][-3:-1] == [
        "fault: and 900 more",
        "not whole: 0 records in 1 file",
    ]


def test_what_stands_in_a_line_does_no_harm_where_it_is_told(tmp_path: Path) -> None:
    """A line that is no record is quoted."""
    path = tmp_path / "airlock.log"
    path.write_bytes(b"\x1b[2J\xff\xe2\x80\xae\n")
    assert str(verify(path).faults[0]).endswith('"\\u{1b}[2J\\xff\\u{202e}"')
