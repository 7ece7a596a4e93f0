"""The chain across rotations and failed writes, as the real log code leaves it."""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from airlock_daemon.admin.log import chain
from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.record import Record
from logs import FULL, head, verify, write, writing


def kinds(verified: chain.Verified) -> list[str]:
    return [fault.kind for fault in verified.faults]


def test_rotated_files_are_one_chain(tmp_path: Path) -> None:
    """What rotation has deleted is told and is no fault; a head from there is not missed."""
    path = tmp_path / "airlock.log"
    write(path, {"command": "first"})
    noted = head(path)
    write(path, *[{"args": FULL}] * 900)
    verified = verify(path, heads=[noted, head(path)])
    assert verified.is_whole
    assert verified.files == 3
    assert verified.first is not None
    assert [note.kind for note in verified.notes] == ["rotated", "rotated"]
    assert f"begins with record {verified.first.seq}: rotation deleted" in str(verified.notes[0])
    assert str(verified.notes[0]).startswith(f"{path}.2:1: ")


def test_a_log_that_was_written_anew_behind_all_heads_is_not_whole(tmp_path: Path) -> None:
    """As after rotations, with numbers beyond every head that was noted: nothing proves it."""
    path = tmp_path / "airlock.log"
    write(path, {"command": "true"})
    noted = head(path)
    assert noted.seq is not None
    line, previous = path.read_text().splitlines()[0], "0" * 64
    for number, name in enumerate(("airlock.log.2", "airlock.log.1", "airlock.log"), start=1):
        forged = json.loads(line)
        line = json.dumps({**forged, "seq": noted.seq + number, "prev": previous})
        previous = sha256(line.encode()).hexdigest()
        (tmp_path / name).write_text(f"{line}\n")
    assert verify(path).is_whole
    verified = verify(path, heads=[noted])
    assert kinds(verified) == ["head"]
    assert "none of the heads that were noted is in the log" in str(verified.faults[0])


def test_a_file_that_was_removed_is_found(tmp_path: Path) -> None:
    """In the middle, and the oldest one where rotation cannot have been it."""
    path = tmp_path / "airlock.log"
    write(path, *[{"args": FULL}] * 600)
    middle = (tmp_path / "airlock.log.1").read_bytes()
    (tmp_path / "airlock.log.1").unlink()
    assert kinds(verify(path)) == ["removed"]
    (tmp_path / "airlock.log.1").write_bytes(middle)
    assert verify(path).is_whole
    (tmp_path / "airlock.log.2").unlink()
    verified = verify(path)
    assert kinds(verified) == ["beginning"]
    assert "rotation deletes none before there are 3 files" in str(verified.faults[0])


@pytest.mark.parametrize("step", range(4))
def test_a_daemon_killed_between_the_steps_of_a_rotation_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """After any rename, or before the first record of the new file, the next one goes on."""
    path = tmp_path / "airlock.log"
    write(path, *[{"args": FULL}] * 600)
    rename = os.replace
    renamed: list[str] = []

    class Killed(BaseException):
        pass

    def replace(source: str, target: str) -> None:
        if len(renamed) == step:
            raise Killed
        rename(source, target)
        renamed.append(target)

    with monkeypatch.context() as patched, writing(path) as log:
        patched.setattr(os, "replace", replace)
        # The process would end here; what is undone on the way out is not undone by a kill.
        if step == 3:
            log._rotate()
        else:
            with pytest.raises(Killed):
                log._rotate()
    assert len(renamed) == step
    if step < 3:
        assert verify(path, max_files=1).is_whole
    write(path, *[{"command": "goes on"}] * 3)
    verified = verify(path)
    assert verified.is_whole, verified.faults
    assert verified.last is not None
    assert verified.last.seq == 603


def test_a_disk_that_was_full_leaves_no_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it took of a record is taken back, also of the newline that closes an earlier one."""
    path = tmp_path / "airlock.log"
    real = os.write
    write(path, {"command": "git"}, {"command": "ssh"})
    path.write_bytes(path.read_bytes()[:-30])
    for taken in (1, 2, 30):
        with writing(path) as log, monkeypatch.context() as patched:
            patched.setattr(os, "write", lambda number, data: real(number, data[:taken]))  # noqa: B023
            for _ in range(3):
                with pytest.raises(Failed):
                    log.write(Record(event="exec"))
            patched.undo()
            log.write(Record(event="exec"))
            verified = verify(path)
            assert verified.is_whole
            assert [note.kind for note in verified.notes] == ["torn"]
    assert verified.records == 1 + 3


def test_a_record_of_which_the_newline_alone_is_missing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not told as written, and stands there whole: its number is not given twice."""
    path = tmp_path / "airlock.log"
    real = os.write

    def refuse(*_: object) -> None:
        raise PermissionError("append-only")

    with writing(path) as log, monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda number, data: real(number, data[:-1]))
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(Failed):
            log.write(Record(event="exec"))
        patched.undo()
        log.write(Record(event="exec"))
    verified = verify(path)
    assert (verified.is_whole, verified.records) == (True, 2)
