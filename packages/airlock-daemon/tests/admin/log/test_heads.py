"""Tests of `airlock_daemon.admin.log.chain`: what was noted is read in each form."""

import json
from pathlib import Path

import msgspec
import pytest

from airlock_daemon.admin.log.chain import Head, read_heads
from airlock_daemon.errors import AirlockError
from logs import head, write


def test_heads_are_read_as_they_were_printed(tmp_path: Path) -> None:
    """The hash alone, lines of any number of days, and JSON."""
    path = tmp_path / "airlock.log"
    write(path, {})
    first = head(path)
    write(path, {})
    second = head(path)
    assert first.seq == 1
    assert str(first) == f"1 {first.hash} {first.ts}"
    assert read_heads(first.hash, source="x") == (Head(first.hash),)
    both = (Head(first.hash, 1), Head(second.hash, 2))
    assert read_heads(f"{first}\n{second}\n", source="x") == both
    text = "\n".join(msgspec.json.format(msgspec.json.encode(each)).decode() for each in both)
    assert read_heads(text, source="x") == both
    assert read_heads(json.dumps([{"seq": 1, "hash": first.hash}]), source="x") == both[:1]


@pytest.mark.parametrize("text", ["", "\n", "1 abc\n", "f" * 63, f"{'f' * 64}\nsomething else\n"])
def test_what_is_no_head_is_refused(text: str) -> None:
    """Rather than looking for less than was noted."""
    with pytest.raises(AirlockError, match="there is no head in FILE"):
        read_heads(text, source="FILE")


def test_a_log_without_records_has_no_head(tmp_path: Path) -> None:
    """A torn line is none."""
    path = tmp_path / "airlock.log"
    path.write_text('{"ts":"2026')
    with pytest.raises(AirlockError, match="has no record yet"):
        head(path)
