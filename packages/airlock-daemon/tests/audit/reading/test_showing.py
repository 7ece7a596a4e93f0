"""Tests of `airlock_daemon.audit.reading.showing`: readable, aligned, and never what it is not."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.audit.reading.files import open_log
from airlock_daemon.audit.reading.recent import Wanted, find_recent
from airlock_daemon.audit.reading.showing import WORD, WORDS, Lines, show_word, to_object
from airlock_daemon.audit.record import shorten, shorten_all
from logs import recent, write


def plain(_code: str, text: str) -> str:
    return text


def lines_of(path: Path, *records: dict[str, Any]) -> list[str]:
    """How these records are shown, without their time."""
    write(path, *records)
    lines = Lines(plain)
    return [lines.format(item)[24:].strip() for item in recent(path)]


def test_a_request_is_a_line_that_a_person_can_read(tmp_path: Path) -> None:
    """Agent, outcome, exit status or what refused, duration, words, and why."""
    git = {"command": "git", "args": ["push", "origin main"]}
    assert lines_of(
        tmp_path / "log",
        {"event": "daemon-start", "profile": None, "detail": "0.4.0"},
        {**git, "outcome": "allowed", "exit_code": 0, "duration_ms": 31.4},
        {**git, "outcome": "allowed", "signal": "SIGKILL", "exit_code": 137, "duration_ms": 12345},
        {**git, "outcome": "denied", "layer": "module", "rule": "push & --force"},
        {**git, "outcome": "aborted", "reason": "the client hung up", "duration_ms": 1},
        {**git, "event": "check", "outcome": "allowed"},
        {"event": "invalid", "outcome": "denied", "layer": "limit", "rule": "queued", "count": 7},
        {**git, "event": "exec-start"},
    ) == [
        "-         -        daemon-start            [0.4.0]",
        'my        allowed  exit 0           31 ms  git push "origin main"',
        'my        allowed  SIGKILL         12.3 s  git push "origin main"',
        'my        denied   module                  git push "origin main" [rule "push & --force"]',
        'my        aborted  -                 1 ms  git push "origin main" ["the client hung up"]',
        'my        allowed  check                   git push "origin main"',
        "my        denied   limit                   [rule queued] [7 of this kind]",
        'my        running  -                       git push "origin main"',
    ]


def test_a_conversation_with_a_remote_reads_as_what_was_done(tmp_path: Path) -> None:
    """Which refs to where, also of a log that somebody else has written."""
    app = {"destination": "ssh://git@github.com/acme/app", "service": "git-receive-pack"}
    refs = [{"ref": "refs/heads/x", "old": "0", "new": "1"}, {"ref": "a b", "old": "1", "new": "0"}]
    broker = {"event": "broker", "outcome": "allowed"}
    fetch = {"destination": "https://host/x", "service": "git-upload-pack", "unpinned": True}
    reached = {"service": "connect", "destination": "host:443", "bytes": 1, "received": 2}
    pushed, fetched, odd, led, unread = lines_of(
        tmp_path / "log",
        {**broker, "detail": {**app, "refs": refs, "more": 3}},
        {**broker, "detail": fetch},
        {**broker, "detail": {"service": ["\x1b"], "refs": [7]}, "rule": "words"},
        {**broker, "detail": reached},
        {**broker, "detail": {"service": "connect", "bytes": 0}, "rule": "request"},
    )
    assert pushed.endswith(
        'push refs/heads/x --delete "a b" ... (3 more) to git@github.com/acme/app'
    )
    assert fetched.endswith("fetch from https://host/x [unpinned]")
    assert odd.endswith(r'"[\"\\u001b\"]" at "null" [rule words]')
    assert led.endswith(" connect to host:443")
    assert unread.endswith(" connect [rule request]")


def test_colours_are_around_our_own_words_only(tmp_path: Path) -> None:
    """The outcome's and the time's; what a client sent can end none of them."""
    path = tmp_path / "log"
    write(path, {"command": "\x1b[32mgit", "args": ["\x1b[0m"], "outcome": "denied"})
    (item,) = recent(path)
    line = Lines(lambda code, text: f"<{code}>{text}</>").format(item)
    assert re.fullmatch(
        r'<2>\S+</>  my {6}  <31>denied </>  - {19} "\\u\{1b\}\[32mgit" "\\u\{1b\}\[0m"', line
    )


@given(st.text(), st.text())
def test_no_text_breaks_its_line_or_drives_a_terminal(one: str, two: str) -> None:
    """Whatever it is, the word is one line of characters that are shown."""
    for word in (show_word(shorten(one)), *map(show_word, shorten_all([one, two]))):
        assert not any(
            unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in word
        )
        assert word
        # What is not in quotes is a plain word or a note of ours.
        assert word[0] == '"' or re.match(r"[A-Za-z0-9_@%+=:,./~^-]+$|\.\.\. \(", word)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("push", "push"),
        ("", '""'),
        ("a b", '"a b"'),
        ('"quoted"', '"\\"quoted\\""'),
        ("x\n2026-01-01T00:00:00.000Z  my  allowed", '"x\\n2026-01-01T00:00:00.000Z  my  allowed"'),
        ("\x9b2J\u202e\u200b", '"\\u{9b}2J\\u{202e}\\u{200b}"'),
        ("[rule x]", '"[rule x]"'),
        ("... (3 more arguments)", '"... (3 more arguments)"'),
        ({"base64": "/w=="}, '"\\xff"'),
        ({"base64": "?"}, '""'),
        ({"begins": "a b", "bytes": 5000, "sha256": "0"}, '"a b"... (5000 bytes)'),
        ({"more": 3, "sha256": "0"}, "... (3 more arguments)"),
        (None, '"null"'),
        ({"more": "x"}, '"{\\"more\\":\\"x\\"}"'),
    ],
)
def test_a_word_is_bare_only_where_it_is_plain(value: object, shown: str) -> None:
    """What is ours, such as brackets and dots, stands outside of quotes, and nothing else does."""
    assert show_word(value) == shown


def test_long_words_and_many_of_them_are_cut(tmp_path: Path) -> None:
    """With how much there is; a line stays a line."""
    (long, many) = lines_of(
        tmp_path / "log",
        {"command": "git", "args": ["x" * 1000]},
        {"command": "git", "args": ["a-word"] * 190},
    )
    assert long.endswith('x"... (1000 characters)')
    assert many.endswith("more arguments)")
    assert max(len(long), len(many)) < WORD + WORDS


def test_columns_stand_below_each_other(tmp_path: Path) -> None:
    """Whatever a client sends; a longer name of an agent moves those behind it."""
    git = {"command": "git", "outcome": "allowed", "exit_code": 0, "duration_ms": 1}
    shown = lines_of(
        tmp_path / "log",
        {**git, "profile": "a-long-name-of-an-agent"},
        {**git, "command": "\x1b[9D" * 20},
        {**git, "exit_code": 255},
    )
    assert len({line.index("allowed") for line in shown}) == 1
    assert len({line.index("1 ms") for line in shown}) == 1


def test_json_is_the_record_on_one_line(tmp_path: Path) -> None:
    """As it is in the file, escaped; with a member more where its end is missing."""
    path = tmp_path / "log"
    write(path, {"args": ["\x9b\u202e\n"], "command": "git"}, {"event": "exec-start"})
    with path.open("ab") as file:
        file.write(b'{"ts":"x","event":"\xc2\x9b"}\n\x1b[2J\n')
    with open_log(str(path)) as files:
        items = find_recent(files, Wanted(), most=10)
        whole, begun, raw, none = [to_object(item) for item in items]
    assert whole == path.read_bytes().splitlines()[0]
    assert json.loads(begun)["unfinished"] == "running"
    assert raw == b'{"ts":"x","event":"\\u009b"}'
    assert json.loads(none) == {"no_record": {"file": str(path), "line": 4, "text": "\x1b[2J"}}
    assert b"\x1b" not in none
