"""A daemon that is killed at any byte of a record, and the one that goes on."""

from pathlib import Path

import pytest

from airlock_daemon.audit.reading.files import read_entry
from logs import FULL, verify, write

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
    for cut in range(before, len(data) + 1):
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
