"""Tests of opening a log, and of its lines: every line once, whatever happens meanwhile."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.admin.log import items
from airlock_daemon.admin.log.items import open_log, read_lines
from airlock_daemon.errors import AirlockError
from airlock_daemon.serving.audit import record
from airlock_daemon.serving.audit.record import read_backward
from logs import FULL, write, writing

texts = st.lists(st.sampled_from([b"", b"a", b"bc", b"d" * 9]), max_size=6)


@given(texts=texts, is_ended=st.booleans(), block=st.integers(1, 5))
def test_lines_are_the_same_forward_and_backward(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], is_ended: bool, block: int
) -> None:
    """Whole and torn, empty ones too, wherever the blocks end that are read."""
    path = tmp_path_factory.getbasetemp() / "lines"
    data = b"\n".join(texts) + b"\n" * is_ended
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patched, open_log(str(path)) as (file,):
        patched.setattr(record, "BLOCK", block)
        patched.setattr(items, "BLOCK", block)
        forward = [*read_lines(file)]
        assert forward == [*read_backward(file)][::-1]
        assert b"".join(line.text + b"\n" * line.is_whole for line in forward) == data
        assert [items.find_number(line) for line in forward] == [*range(1, len(forward) + 1)]
        for line in forward:
            assert next(read_lines(file, start=line.offset)) == line


def test_files_come_oldest_first(tmp_path: Path) -> None:
    """By number, also across a gap that an interrupted rotation has left."""
    path = tmp_path / "airlock.log"
    for number in (10, 9, 2):
        (tmp_path / f"airlock.log.{number}").write_text("")
    path.write_text("")
    (tmp_path / "airlock.log.new").write_text("no part of it")
    (tmp_path / "airlock.log.3").mkdir()
    with open_log(str(path)) as files:
        assert [file.number for file in files] == [10, 9, 2, 0]


def test_a_rotation_meanwhile_loses_no_file_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes while the files are opened, all records of before are there once."""
    path = tmp_path / "airlock.log"
    write(path, *[{"args": FULL, "id": number} for number in range(600)], max_files=5)
    number_of_files = len([*tmp_path.iterdir()])
    assert number_of_files == 3
    before = b"".join(each.read_bytes() for each in sorted(tmp_path.iterdir(), reverse=True))
    opened = os.open
    with writing(path, max_files=5) as log:
        for moment in range(2, 5):
            calls = iter(range(1000))

            def interrupt(name: str, *more: int, calls: object = calls, at: int = moment) -> int:
                if next(calls) == at:  # type: ignore[call-overload]
                    monkeypatch.setattr(os, "open", opened)
                    if log._size:
                        log._rotate()
                return opened(name, *more)

            monkeypatch.setattr(os, "open", interrupt)
            with open_log(str(path)) as files:
                found = b"".join(line.text + b"\n" for file in files for line in read_lines(file))
            assert found == before


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No log, something else in its place, and a log that is another user's."""
    with pytest.raises(AirlockError, match="there is no audit log at"), open_log("/nowhere/log"):
        pass
    with pytest.raises(AirlockError, match="is no regular file"), open_log("/dev/null"):
        pass
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(AirlockError, match="is no regular file"), open_log(str(tmp_path / "fifo")):
        pass
