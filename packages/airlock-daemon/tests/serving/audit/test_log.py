"""Tests of `serving.audit.log`: what a reader of the log can prove, and what it survives."""

import errno
import hashlib
import json
import os
import resource
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.serving.audit.ledger import AT_ONCE, Ledger
from airlock_daemon.serving.audit.log import AuditLog
from airlock_daemon.serving.audit.record import Kind, Record, read_entry
from airlock_daemon.setup.config import LogConfig
from logs import FULL, verify, write
from running import Daemon
from worlds import World


def open_log(path: Path, *, max_files: int = 3, max_size_mb: int = 1) -> AuditLog:
    return AuditLog(LogConfig(path=str(path), max_size_mb=max_size_mb, max_files=max_files))


@contextmanager
def nothing_opens() -> Iterator[None]:
    """No file can be opened in this block; those that are open stay so (getrlimit(2))."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def fill(log: AuditLog, count: int) -> None:
    """Write records of about 4 KB."""
    for _ in range(count):
        log.write(Record(event="exec", args=["x" * 400] * 9))


def assert_chained(lines: list[bytes], previous: str | None = None) -> str | None:
    """Each line names the hash of the one before."""
    for line in lines:
        assert json.loads(line)["prev"] == previous
        previous = hashlib.sha256(line).hexdigest()
    return previous


def test_records_are_lines_of_json_that_only_the_owner_reads(tmp_path: Path) -> None:
    """One line a record, with the time in UTC, in a file of mode 0600, whatever it was before."""
    path = tmp_path / "deep" / "airlock.log"
    path.parent.mkdir()
    path.touch(mode=0o644)
    log = open_log(path)
    log.write(Record(event="exec", command="git", args=["push"], outcome="allowed"))
    log.close()
    record = json.loads(path.read_text())
    assert (record["event"], record["command"], record["args"]) == ("exec", "git", ["push"])
    assert record["ts"].endswith("Z")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lines_are_chained_across_restarts(tmp_path: Path) -> None:
    """A removed or changed line breaks the chain, also where another daemon went on."""
    path = tmp_path / "airlock.log"
    for _ in range(2):
        log = open_log(path)
        log.write(Record(event="daemon-start"))
        log.write(Record(event="daemon-stop"))
        log.close()
    lines = path.read_bytes().splitlines()
    assert_chained(lines)
    with pytest.raises(AssertionError):
        assert_chained(lines[:1] + lines[2:])


def test_the_chain_is_the_same_whenever_a_hash_is_taken(tmp_path: Path) -> None:
    """While nobody waits, more than once, or not before the next record needs it."""
    path = tmp_path / "airlock.log"
    log = open_log(path)
    log.settle()
    for times in (0, 1, 2, 0, 1):
        log.write(Record(event="exec"))
        for _ in range(times):
            log.settle()
    log.close()
    assert_chained(path.read_bytes().splitlines())


def test_a_torn_last_line_is_closed(tmp_path: Path) -> None:
    """What a killed daemon left half written does not swallow the next record."""
    path = tmp_path / "airlock.log"
    path.write_bytes(b'{"event":"exec","comm')
    log = open_log(path)
    log.write(Record(event="daemon-start"))
    log.close()
    torn, whole = path.read_bytes().splitlines()
    assert json.loads(whole)["prev"] == hashlib.sha256(torn).hexdigest()


def test_the_log_is_rotated_by_size_and_the_chain_goes_on(tmp_path: Path) -> None:
    """Full files become .1 and .2, no more of them are kept, and none is torn apart."""
    path = tmp_path / "airlock.log"
    log = open_log(path)
    fill(log, 1000)
    log.close()
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["airlock.log", "airlock.log.1", "airlock.log.2"]
    older = (tmp_path / "airlock.log.2").read_bytes().splitlines()
    newer = (tmp_path / "airlock.log.1").read_bytes().splitlines()
    first = json.loads(older[0])["prev"]
    last = assert_chained(older + newer, first)
    assert_chained(path.read_bytes().splitlines(), last)
    assert all(entry.stat().st_size <= 1_000_000 for entry in tmp_path.iterdir())


def read_all(path: Path) -> dict[str, bytes]:
    """Each file of a log with what is in it."""
    return {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}


def test_a_log_without_a_size_is_not_rotated(tmp_path: Path) -> None:
    """max_size_mb = 0 says so, as it did in all releases."""
    log = open_log(tmp_path / "airlock.log", max_size_mb=0)
    fill(log, 300)
    assert (tmp_path / "airlock.log").stat().st_size > 1_000_000
    assert os.listdir(tmp_path) == ["airlock.log"]
    log.close()


def test_a_rotation_that_fails_destroys_nothing(tmp_path: Path) -> None:
    """Where the new file cannot be opened each record fails; afterwards the log goes on."""
    path = tmp_path / "airlock.log"
    log = open_log(path, max_files=5)
    fill(log, 1250)
    before = read_all(path)
    assert len(before) == 5
    with nothing_opens():
        for _ in range(4):
            with pytest.raises(Failed, match="cannot be written: Too many open files"):
                fill(log, 300)
    after = read_all(path)
    assert after.keys() == before.keys()
    grown = after.pop("airlock.log")
    assert grown.startswith(before.pop("airlock.log"))
    assert after == before
    fill(log, 1)
    log.close()
    assert (tmp_path / "airlock.log.1").read_bytes() == grown
    last = assert_chained(grown.splitlines(), json.loads(grown.splitlines()[0])["prev"])
    assert_chained(path.read_bytes().splitlines(), last)


def test_what_stands_in_the_way_of_a_rotation_stays(tmp_path: Path) -> None:
    """A directory at the new file's path is a failure of each record, and no log goes for it."""
    path = tmp_path / "airlock.log"
    log = open_log(path)
    (tmp_path / "airlock.log.new").mkdir()
    with pytest.raises(Failed):
        fill(log, 1000)
    before = read_all(path)
    for _ in range(4):
        with pytest.raises(Failed, match="Is a directory"):
            fill(log, 1)
    assert read_all(path) == before
    (tmp_path / "airlock.log.new").rmdir()
    fill(log, 1)
    log.close()
    assert read_all(path)["airlock.log.1"] == before["airlock.log"]


@pytest.mark.parametrize("ending", [".3", ".2", ".1", ""])
def test_a_rotation_that_fails_midway_loses_the_oldest_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """However often it is tried, and whichever rename fails, no file goes but the last one."""
    path = tmp_path / "airlock.log"
    log = open_log(path, max_files=4)
    fill(log, 1000)
    before = read_all(path)
    before.pop("airlock.log.3")
    rename = os.replace

    def fail_at_target(source: str, destination: str) -> None:
        # The way back must be open where the last step fails.
        is_way_back = source.endswith(".log.1") and destination == str(path)
        if destination == f"{path}{ending}" and not is_way_back:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, destination)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail_at_target)
        with pytest.raises(Failed):
            fill(log, 300)
        grown = path.read_bytes()
        for _ in range(4):
            with pytest.raises(Failed, match="Input/output error"):
                fill(log, 1)
    assert path.read_bytes() == grown
    kept = read_all(path).values()
    assert all(content in kept for name, content in before.items() if name != "airlock.log")
    fill(log, 1)
    log.close()
    assert (tmp_path / "airlock.log.1").read_bytes() == grown


def test_a_new_file_follows_on_the_one_before(tmp_path: Path) -> None:
    """A daemon that was killed between rotating and its next record leaves no break behind."""
    path = tmp_path / "airlock.log"
    log = open_log(path)
    log.write(Record(event="daemon-start"))
    log.close()
    path.rename(tmp_path / "airlock.log.1")
    log = open_log(path)
    log.write(Record(event="daemon-start"))
    log.close()
    older = (tmp_path / "airlock.log.1").read_bytes()
    assert_chained((older + path.read_bytes()).splitlines())


def test_a_line_of_which_a_part_was_written_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a full disk took of a record is a line of its own where it cannot be taken back.

    So it is in a file to which can only be appended (chattr(1), a); the chain goes on from it.
    """
    path = tmp_path / "airlock.log"
    log = open_log(path)
    log.write(Record(event="daemon-start"))
    write = os.write

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
        patched.setattr(os, "ftruncate", refuse)
        for _ in range(2):
            with pytest.raises(Failed, match="no space left"):
                log.write(Record(event="exec"))
    log.write(Record(event="daemon-stop"))
    log.close()
    first, *torn, last = path.read_bytes().splitlines()
    assert [len(line) for line in torn] == [20, 19]
    assert json.loads(first)["event"] == "daemon-start"
    assert json.loads(last)["prev"] == hashlib.sha256(torn[-1]).hexdigest()


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    """A second daemon is refused rather than breaking the chain of the first."""
    first = open_log(tmp_path / "airlock.log")
    with pytest.raises(AirlockError, match="another daemon"):
        open_log(tmp_path / "airlock.log")
    first.close()


def test_a_link_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    """The log is not written to where somebody else points."""
    (tmp_path / "airlock.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AirlockError, match="cannot be opened"):
        open_log(tmp_path / "airlock.log")


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="/dev/full is not for this user")
def test_a_write_that_fails_is_an_error(tmp_path: Path) -> None:
    """Whoever has to record something first learns that it is not recorded."""
    log = AuditLog(LogConfig(path="/dev/full"))
    with pytest.raises(Failed, match="No space left"):
        log.write(Record(event="daemon-start"))
    log.close()


def test_stderr_can_be_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """With "-" the records go where a container's log is taken from."""
    log = AuditLog(LogConfig(path="-"))
    log.write(Record(event="daemon-start"))
    log.close()
    assert json.loads(capfd.readouterr().err)["event"] == "daemon-start"
    os.fstat(2)


REFUSED = Kind("invalid", "denied", "limit", "connections")


def config(path: Path, *, size: int = 4) -> LogConfig:
    return LogConfig(path=str(path), max_size_mb=size, max_files=1)


async def test_an_account_goes_on_by_its_new_rate(tmp_path: Path) -> None:
    """What was spent stays spent, and nobody has more saved up than the new settings allow."""
    ledger = Ledger(config(tmp_path / "log"), agents=1)
    allowance = ledger.open_account("my", 1000)
    ledger.adopt(config(tmp_path / "elsewhere", size=1), agents=2)
    assert ledger.open_account("my", 1000) is allowance
    burst = 1_000_000 * AT_ONCE / 2
    allowance.spend(round(burst * 0.9))
    assert not allowance.has_plenty
    assert not allowance.is_spent
    ledger.adopt(config(tmp_path / "log", size=1), agents=1)
    ledger.open_account("my", 1)
    allowance.spend(601)
    assert allowance.is_spent
    ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


async def test_an_account_is_closed_once_its_counts_are_written(tmp_path: Path) -> None:
    """An agent that is gone is forgotten, and none of its refusals is."""
    path = tmp_path / "log"
    ledger = Ledger(config(path), agents=1)
    ledger.open_account("my", 1024)
    for _ in range(3):
        ledger.count("my", REFUSED, None)
    ledger.close_account("my")
    assert sum(json.loads(line)["count"] for line in path.read_text().splitlines()) == 3
    # As of an agent that nobody knows.
    ledger.write(Record(event="invalid", profile="my", outcome="invalid"))
    assert len(path.read_text().splitlines()) == 3
    ledger.close()


def test_time_stamps_follow_a_clock_that_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forwards, backwards and within a second; the order of records is that of their chain."""
    path = tmp_path / "log"
    log = AuditLog(config(path))
    for ms in (1_700_000_000_250, 1_700_000_000_750, 1_800_000_000_000, 1_600_000_000_500, -1500):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        log.write(Record(event="daemon-start"))
    log.close()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["ts"] for record in records] == [
        "2023-11-14T22:13:20.250Z",
        "2023-11-14T22:13:20.750Z",
        "2027-01-15T08:00:00.000Z",
        "2020-09-13T12:26:40.500Z",
        "1969-12-31T23:59:58.500Z",
    ]
    assert len({record["prev"] for record in records}) == len(records)


def commands(path: Path) -> list[str]:
    return [json.loads(line)["command"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("left", ["its directory", "nothing", "an empty file", "half a line"])
def test_what_follows_is_in_a_new_file_and_in_the_same_chain(tmp_path: Path, left: str) -> None:
    """So `log verify` tells that what was before is missing, and nothing after that is."""
    path = tmp_path / "log" / "airlock.log"
    log = AuditLog(LogConfig(path=str(path)))
    log.write(Record(event="exec", command="before"))
    path.unlink()
    if left == "nothing":
        path.parent.rmdir()
    elif left != "its directory":
        path.write_text("" if left == "an empty file" else "{")
    for command in ("first", "second"):
        log.write(Record(event="exec", command=command))
    log.close()
    lines = path.read_text().removeprefix("{\n").splitlines()
    records = [json.loads(line) for line in lines]
    assert [(each["command"], each["seq"]) for each in records] == [("first", 2), ("second", 3)]
    assert path.stat().st_mode & 0o777 == 0o600 or left in ("an empty file", "half a line")
    assert not verify(path).is_whole


def test_a_daemon_whose_log_is_removed_runs_nothing_unrecorded(world: World) -> None:
    """Where there can be no new file a command is refused, and later nothing is missing."""
    with Daemon(world) as daemon:
        assert daemon.shell("true").exit_code == 0
        world.log.unlink()
        world.log.mkdir()
        assert "the audit log" in daemon.shell("true").error["message"]
        world.log.rmdir()
        assert daemon.shell("true").exit_code == 0
        assert daemon.stop() == 0
        assert len(daemon.records("exec-start")) == 1
        outcomes = [record["outcome"] for record in daemon.records("exec")]
        assert sorted(outcomes) == ["allowed", "failed"]
        assert "was removed" in daemon.messages()


LATER = ({"command": "later"}, {"command": "and later"})


@pytest.mark.parametrize("is_new_file", [False, True])
def test_a_log_cut_at_any_byte_is_taken_up_and_whole(tmp_path: Path, is_new_file: bool) -> None:
    """Of its last two records, also where they are the only ones of a file after a rotation."""
    path = tmp_path / "airlock.log"
    write(path, {"command": "git", "args": ["push"]})
    if is_new_file:
        write(path, *[{"args": FULL}] * 5)
        path.rename(tmp_path / "airlock.log.1")
    before = path.stat().st_size if path.exists() else 0
    write(path, *[{"command": "git", "args": ["blå", '"\\'], "cwd": "/w"}] * 2)
    data = path.read_bytes()
    kept = verify(path).records - 2
    assert len(data) - before > 400
    for cut in range(before, len(data) + 1, 5 if is_new_file else 1):
        path.write_bytes(data[:cut])
        write(path, *LATER)
        verified = verify(path)
        assert verified.is_whole, (cut, verified.faults)
        # What was whole stays a record, and what was cut short is told as such.
        left = data[before:cut].split(b"\n")
        records = [piece for piece in left if piece and read_entry(piece)]
        torn = [piece for piece in left if piece and not read_entry(piece)]
        assert verified.records == kept + len(records) + len(LATER)
        assert [note.kind for note in verified.notes] == ["torn"] * len(torn)
        assert verified.last is not None
        assert verified.last.seq == verified.records
