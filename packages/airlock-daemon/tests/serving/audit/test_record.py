"""Tests of `airlock_daemon.serving.audit.record`: lines that are short, and harmless to look at."""

import hashlib
import json
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.boundary.audit_text import ARGUMENTS, TEXT, shorten, shorten_all
from airlock_daemon.serving.audit.record import (
    ASKED_BYTES,
    DETAIL,
    LINE,
    Record,
    shorten_asked,
    shorten_id,
    to_line,
)

# Each as many bytes of a line as there are of such characters: 1, 2, 6, 6, 12, and base64.
WORST = ("x", '"', "\x01", "\u202e", "\U000e0041", "\udcff")

texts = st.builds(
    lambda char, count, rest: char * count + rest,
    st.sampled_from(WORST),
    st.integers(0, 2 * TEXT),
    st.text(max_size=20),
)


def test_long_arguments_are_shortened_with_their_hash() -> None:
    """Length and hash of what is left out stay provable; short ones stay as they are."""
    long = "y" * 5000
    words: Any = shorten_all(["push", "\udcff", long, *["z"] * 1000])
    assert words[0] == "push"
    assert words[1] == {"base64": "/w=="}
    assert long.startswith(words[2].pop("begins"))
    assert words[2] == {"bytes": 5000, "sha256": hashlib.sha256(long.encode()).hexdigest()}
    left = 1003 - (len(words) - 1)
    rest = b"\0".join([b"z"] * left)
    assert words[-1] == {"more": left, "sha256": hashlib.sha256(rest).hexdigest()}


def write_widest(text: str, count: int, *, most: int = ARGUMENTS) -> Record:
    """A record in which all is as wide as it can be, but for what few records have."""
    return Record(
        ts="2025-01-01T00:00:00.000Z",
        seq=1 << 50,
        event="exec-start",
        request="0" * 16,
        id=shorten_id(text),
        profile="p" * 64,
        command=shorten(text),
        args=shorten_all([text] * count, limit=most),
        cwd=shorten(text),
        exit_code=255,
        signal="SIGRTMAX-14",
        duration_ms=86_400_000.123,
        outcome="allowed",
        reason=shorten(text),
        container="c" * 64,
        container_proven=False,
        peer={"pid": 1 << 22, "uid": (1 << 32) - 1},
        approval={"id": "K7M2PQ", "by": f"{'u' * 32} as {'v' * 32}", "rejected": True},
        bytes_out=1 << 50,
        prev="0" * 64,
    )


@given(text=texts, count=st.integers(0, 300), rule=texts)
def test_a_line_has_4_kib_at_most(text: str, count: int, rule: str) -> None:
    """Whatever characters the client takes, and however many; bytes of the line count."""
    record = msgspec.structs.replace(
        write_widest(text, count),
        layer="workspace",
        rule=rule.encode("utf-8", "replace").decode(),
        count=1 << 40,
    )
    assert len(to_line(record)) < LINE


@given(text=texts, count=st.integers(0, 300))
def test_a_line_about_a_hook_has_room_too(text: str, count: int) -> None:
    """What was asked takes its room from the arguments, and there is a detail or a rule."""
    ran = msgspec.structs.replace(
        write_widest(text, count, most=ARGUMENTS - ASKED_BYTES),
        asked=shorten_asked(text, [text] * count, text),
        detail=shorten("x" * 1000, limit=DETAIL),
    )
    refused = msgspec.structs.replace(
        ran, outcome="denied", layer="module", rule="r" * 1000, exit_code=None, detail=None
    )
    assert len(to_line(ran)) < LINE
    assert len(to_line(refused)) < LINE


def test_what_was_asked_is_whole_or_a_beginning_with_its_hash() -> None:
    """A short request can be read member by member."""
    assert shorten_asked("git", ["push", "\udcff"], None) == {
        "command": "git",
        "args": ["push", {"base64": "/w=="}],
        "cwd": None,
    }
    long: Any = shorten_asked("git", ["x" * 1000], "/w")
    assert long["begins"].startswith('{"command":"git","args":["xxx')
    assert len(long["sha256"]) == 64


@given(texts)
def test_nobody_who_looks_at_the_file_is_deceived(text: str) -> None:
    """Control, C1, bidirectional and zero-width characters are escapes; readers get the text."""
    text = text.encode("utf-8", "replace").decode()
    line = to_line(Record(event="exec", args=[text])).decode()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") for char in line)
    assert json.loads(line)["args"] == [text]


@pytest.mark.parametrize(
    "char", ["\x1b", "\x7f", "\x9b", "\u200b", "\u2066", "\ufeff", "\u2028", "\u05d0", "\ufe0f"]
)
def test_each_character_that_a_terminal_obeys_is_escaped(char: str) -> None:
    """One of each kind, among characters that are shown as they are."""
    line = to_line(Record(event="exec", args=[f"blå{char}bær"])).decode()
    assert f"blå\\u{ord(char):04x}bær" in line


def test_numbers_as_ids_are_bounded() -> None:
    """An id may be a number of thousands of digits."""
    assert shorten_id(7) == 7
    assert shorten_id(1.5) == 1.5
    assert shorten_id(10**400) == shorten(str(10**400))
